package server

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"millrace/internal/sockowner"
	"millrace/whisk"
	"millrace/whisk/api"
	"millrace/whisk/request"
)

// What an action reads that calls what is not for it, and one that uses a key that
// everybody knows for another namespace than its own.
const (
	msgActionsRefused = `{"error_msg":"actions cannot call this API: it is open to whoever is on this machine"}` + "\n"
	msgForeignKey     = "An action can use a key that everybody knows for its own namespace only. Set own keys to allow others."
)

// withoutActions refuses requests that come from actions of this process. They
// are on this machine, so an API that opens to everybody on it (with a key that
// everybody knows, or none) would hand one tenant's action the secrets of all.
// Where actions have no users of their own they cannot be told from others.
func (s *Server) withoutActions(h http.Handler) http.Handler {
	if !s.actionsTold() {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, action := s.actionBehind(r); action {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			w.Write([]byte(msgActionsRefused))
			return
		}
		h.ServeHTTP(w, r)
	})
}

// withoutForeignActions refuses requests with a key that everybody knows that come
// from an action of another namespace. Else such a key, which is in force for
// whoever is at this machine, would open its namespace to all tenants.
func (s *Server) withoutForeignActions(h http.Handler) http.Handler {
	if !s.actionsTold() || len(s.cfg.WellKnownUsers()) == 0 {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.foreignKey(r) {
			body := whisk.AppendString([]byte(`{"code":`), request.TransactionID(r.Header.Get("X-Request-Id")))
			body = append(whisk.AppendString(append(body, `,"error":`...), msgForeignKey), '}')
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			w.Write(body)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// foreignKey tells whether an action sends a key that everybody knows and is not
// of the key's namespace.
func (s *Server) foreignKey(r *http.Request) bool {
	key, given := request.Key(r)
	if !given {
		return false
	}
	id, err := s.tenants.Authenticate(key)
	if err != nil || !api.WellKnown(id.UUID+":"+id.Secret) {
		return false
	}
	uid, action := s.actionBehind(r)
	return action && s.functions.launcher.Namespace(uid) != id.Namespace
}

// actionsTold tells whether actions can be told from other clients.
func (s *Server) actionsTold() bool {
	return s.functions != nil && s.functions.launcher.SeparateUsers()
}

// actionBehind tells whether a client is an action, and as which user it runs; or
// has gone so that nobody can tell, which counts as one of no user.
func (s *Server) actionBehind(r *http.Request) (uid uint32, action bool) {
	client, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return 0, false // a Unix socket, which no action can reach
	}
	own, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		s.log.Error("finding who calls: the server's own address is not known")
		return 0, true
	}
	o := ownerOf(r.Context(), client, own.AddrPort())
	switch {
	case o.err != nil:
		s.log.Error("finding who calls", "error", o.err)
		return 0, true
	case !o.found:
		return 0, client.Addr().Unmap().IsLoopback()
	}
	return o.uid, s.functions.launcher.OwnsUser(o.uid)
}

// owner is the user at the other end of a connection, found out once.
type owner struct {
	once  sync.Once
	uid   uint32
	found bool
	err   error
}

type ownerKey struct{}

// withOwner gives the requests of a connection a place to keep its owner.
func withOwner(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, ownerKey{}, new(owner))
}

func ownerOf(ctx context.Context, client, own netip.AddrPort) *owner {
	o, ok := ctx.Value(ownerKey{}).(*owner)
	if !ok {
		o = new(owner)
	}
	o.once.Do(func() { o.uid, o.found, o.err = sockowner.UID(client, own) })
	return o
}
