package server

import (
	"net"
	"net/http"
	"net/netip"

	"millrace/internal/sockowner"
)

// msgActionsRefused is what an action reads that calls what is not for it.
const msgActionsRefused = `{"error_msg":"actions cannot call this API: it is open to whoever is on this machine"}` + "\n"

// withoutActions refuses requests that come from actions of this process. They
// are on this machine, so an API that opens to everybody on it (with a key that
// everybody knows, or none) would hand one tenant's action the secrets of all.
// Where actions have no users of their own they cannot be told from others.
func (s *Server) withoutActions(h http.Handler) http.Handler {
	if s.functions == nil || !s.functions.launcher.SeparateUsers() {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.fromAction(r) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			w.Write([]byte(msgActionsRefused))
			return
		}
		h.ServeHTTP(w, r)
	})
}

// fromAction tells whether a client is an action, or has gone so that nobody can
// tell.
func (s *Server) fromAction(r *http.Request) bool {
	client, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false // a Unix socket, which no action can reach
	}
	own, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		s.log.Error("finding who calls: the server's own address is not known")
		return true
	}
	uid, found, err := sockowner.UID(client, own.AddrPort())
	if err != nil {
		s.log.Error("finding who calls", "error", err)
		return true
	}
	if !found {
		return client.Addr().Unmap().IsLoopback()
	}
	return s.functions.launcher.OwnsUser(uid)
}
