package server

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"millrace/config"
)

// listen opens a listener; what says for whom, key which key of config.yaml set it.
func listen(what, key string, l config.Listener) (net.Listener, error) {
	ln, err := net.Listen(l.Network, l.Address())
	if err == nil {
		return ln, nil
	}
	return nil, listenError(what, key, l.Address(), err)
}

// listenError adds to the error of opening an address what can be done about it.
func listenError(what, key, address string, err error) error {
	remedy := "set " + key + " in config.yaml to an address of this machine"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		remedy = "stop the process that listens there, or set " + key + " in config.yaml to another port"
	case errors.Is(err, syscall.EACCES):
		remedy = "ports below 1024 need more rights: set " + key + " in config.yaml to a higher one"
	}
	return fmt.Errorf("opening %s for %s: %w; %s", address, what, err, remedy)
}

// listen opens all listeners or none, and closes them when the server closes.
func (s *Server) listen(what, key string, listeners ...config.Listener) ([]net.Listener, error) {
	open := make([]net.Listener, 0, len(listeners))
	s.add(part{name: "listeners of " + what, close: func() error { closeAll(open); return nil }})
	for _, l := range listeners {
		ln, err := listen(what, key, l)
		if err != nil {
			return nil, err
		}
		open = append(open, ln)
		s.bound = append(s.bound, boundTo{key, ln.Addr().(*net.TCPAddr).AddrPort()})
	}
	return open, nil
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		l.Close()
	}
}
