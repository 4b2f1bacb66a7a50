// Package resolvertest is a small name server for the tests of what looks names up.
package resolvertest

import (
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// Server answers with the records it was given. It counts the questions.
type Server struct {
	// Addr is its address, UDP and TCP.
	Addr string

	mu      sync.Mutex
	records map[string][]dns.RR // by name and type
	asked   map[string]int
	failing bool
	big     bool
}

// Start starts a server, which stops with the test.
func Start(t testing.TB, records ...string) *Server {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", pc.LocalAddr().String())
	if err != nil {
		t.Skip("the port for UDP is taken for TCP")
	}
	s := &Server{Addr: pc.LocalAddr().String(), asked: map[string]int{}}
	s.Set(t, records...)
	var running sync.WaitGroup
	udp := &dns.Server{PacketConn: pc, Handler: s}
	tcp := &dns.Server{Listener: ln, Handler: s}
	for _, server := range []*dns.Server{udp, tcp} {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		running.Go(func() { server.ActivateAndServe() })
		<-started
		t.Cleanup(func() { server.Shutdown() })
	}
	t.Cleanup(func() { udp.Shutdown(); tcp.Shutdown(); running.Wait() })
	return s
}

// Set replaces the records, each as in a zone file: "a.test. 60 IN A 10.0.0.1".
func (s *Server) Set(t testing.TB, records ...string) {
	t.Helper()
	all := map[string][]dns.RR{}
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		key := rr.Header().Name + " " + dns.TypeToString[rr.Header().Rrtype]
		all[key] = append(all[key], rr)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = all
}

// Fail makes the server answer that it has failed, or no longer.
func (s *Server) Fail(failing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing = failing
}

// Truncate makes answers by UDP say that they are to be had by TCP.
func (s *Server) Truncate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.big = true
}

// Asked is how often a question was put: "a.test. A".
func (s *Server) Asked(question string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[question]
}

// ServeDNS implements dns.Handler.
func (s *Server) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := strings.ToLower(q.Question[0].Name) + " " + dns.TypeToString[q.Question[0].Qtype]
	s.asked[key]++
	m := new(dns.Msg).SetReply(q)
	_, udp := w.RemoteAddr().(*net.UDPAddr)
	switch {
	case s.failing:
		m.Rcode = dns.RcodeServerFailure
	case s.big && udp:
		m.Truncated = true
	default:
		m.Answer = s.records[key]
		if len(m.Answer) == 0 { // aliases are left to who asks
			m.Answer = s.records[strings.ToLower(q.Question[0].Name)+" CNAME"]
		}
		if len(m.Answer) == 0 && !s.knows(q.Question[0].Name) {
			m.Rcode = dns.RcodeNameError
		}
	}
	w.WriteMsg(m)
}

func (s *Server) knows(name string) bool {
	for key := range s.records {
		if strings.HasPrefix(key, strings.ToLower(name)+" ") {
			return true
		}
	}
	return false
}
