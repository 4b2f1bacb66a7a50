package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// rpcServer answers as it is asked to, and notes what it was asked.
type rpcServer struct {
	testgrpc.UnimplementedTestServiceServer
	addr string

	mu    sync.Mutex
	calls []metadata.MD
	ended chan error // of each stream, how its context ended
	names []string   // of clients' certificates
}

func (s *rpcServer) note(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	md, _ := metadata.FromIncomingContext(ctx)
	s.calls = append(s.calls, md)
	if p, ok := peer.FromContext(ctx); ok {
		if t, ok := p.AuthInfo.(credentials.TLSInfo); ok && len(t.State.PeerCertificates) > 0 {
			s.names = append(s.names, t.State.PeerCertificates[0].Subject.CommonName)
		}
	}
}

func (s *rpcServer) last() metadata.MD {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[len(s.calls)-1]
}

// serveRPC serves the service, with TLS if conf is not nil.
func serveRPC(t *testing.T, conf *tls.Config) *rpcServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &rpcServer{addr: ln.Addr().String(), ended: make(chan error, 100)}
	options := []grpc.ServerOption{
		grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			s.note(ctx)
			return handle(ctx, req)
		}),
		grpc.StreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
			s.note(ss.Context())
			err := handle(srv, ss)
			s.ended <- ss.Context().Err()
			return err
		}),
	}
	if conf != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(conf)))
	}
	server := grpc.NewServer(options...)
	testgrpc.RegisterTestServiceServer(server, s)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(ln)
	}()
	t.Cleanup(func() {
		server.Stop()
		<-done
	})
	return s
}

// dialRPC is a client of the gateway.
func dialRPC(t *testing.T, addr string, conf *tls.Config) (*grpc.ClientConn, testgrpc.TestServiceClient) {
	t.Helper()
	creds := insecure.NewCredentials()
	if conf != nil {
		creds = credentials.NewTLS(conf)
	}
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(creds), grpc.WithAuthority("rpc.com"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, testgrpc.NewTestServiceClient(conn)
}

func payload(size int32) *testgrpc.Payload { return &testgrpc.Payload{Body: make([]byte, size)} }

func (s *rpcServer) EmptyCall(context.Context, *testgrpc.Empty) (*testgrpc.Empty, error) {
	return &testgrpc.Empty{}, nil
}

// UnaryCall answers with the metadata that the client sent, before the answer and
// behind it.
func (s *rpcServer) UnaryCall(ctx context.Context, in *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	_ = grpc.SetHeader(ctx, metadata.MD{"x-head": md["x-head"]})
	_ = grpc.SetTrailer(ctx, metadata.MD{"x-tail-bin": md["x-tail-bin"]})
	if st := in.GetResponseStatus(); st != nil {
		return nil, status.Error(codes.Code(st.Code), st.Message)
	}
	return &testgrpc.SimpleResponse{Payload: payload(in.ResponseSize)}, nil
}

func (s *rpcServer) StreamingOutputCall(in *testgrpc.StreamingOutputCallRequest, stream grpc.ServerStreamingServer[testgrpc.StreamingOutputCallResponse]) error {
	for _, p := range in.ResponseParameters {
		if err := stream.Send(&testgrpc.StreamingOutputCallResponse{Payload: payload(p.Size)}); err != nil {
			return err
		}
	}
	return nil
}

func (s *rpcServer) StreamingInputCall(stream grpc.ClientStreamingServer[testgrpc.StreamingInputCallRequest, testgrpc.StreamingInputCallResponse]) error {
	for sum := 0; ; {
		in, err := stream.Recv()
		if err == io.EOF {
			return stream.SendAndClose(&testgrpc.StreamingInputCallResponse{AggregatedPayloadSize: int32(sum)})
		}
		if err != nil {
			return err
		}
		sum += len(in.Payload.Body)
	}
}

func (s *rpcServer) FullDuplexCall(stream grpc.BidiStreamingServer[testgrpc.StreamingOutputCallRequest, testgrpc.StreamingOutputCallResponse]) error {
	for {
		in, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.StreamingOutputCall(in, stream); err != nil {
			return err
		}
	}
}

func rpcContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return ctx
}

func useHTTP2(c *Config) { c.HTTP2 = true }

const anyRPC = "/grpc.testing.TestService/*"

func TestRPC(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "servers")
	certPEM, keyPEM := ca.pair("rpc.com")
	cert, err := tls.X509KeyPair([]byte(certPEM), []byte(keyPEM))
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, useHTTP2)
	defer r.stop()
	r.put("ssls/1", object(t, map[string]any{"sni": "rpc.com", "cert": certPEM, "key": keyPEM}))
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	secured := serveTLS(t, r.g)
	servers := map[string]*rpcServer{"grpc": serveRPC(t, nil), "grpcs": serveRPC(t, &tls.Config{Certificates: []tls.Certificate{cert}})}
	for scheme, server := range servers {
		r.put("routes/1", `{"uri":"`+anyRPC+`","upstream":{"scheme":"`+scheme+`","nodes":{"`+server.addr+`":1}}}`)
		for name, conf := range map[string]*tls.Config{"h2c": nil, "h2": {RootCAs: roots, ServerName: "rpc.com"}} {
			addr := r.addr
			if conf != nil {
				addr = secured
			}
			t.Run(scheme+" "+name, func(t *testing.T) {
				conn, client := dialRPC(t, addr, conf)
				testRPC(t, conn, client)
			})
		}
		if got := server.last(); !slices.Equal(got[":authority"], []string{"rpc.com"}) || !slices.Equal(got["x-real-ip"], []string{"127.0.0.1"}) {
			t.Errorf("%s: the server was told %v", scheme, got)
		}
	}
}

// testRPC makes calls of all kinds.
func testRPC(t *testing.T, conn *grpc.ClientConn, client testgrpc.TestServiceClient) {
	ctx := rpcContext(t)
	for _, size := range []int32{0, 1, 100_000, 2 << 20} {
		res, err := client.UnaryCall(ctx, &testgrpc.SimpleRequest{Payload: payload(size), ResponseSize: size})
		if err != nil || len(res.Payload.Body) != int(size) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	testRPCMetadata(t, client)
	testRPCStreams(t, client)
	err := conn.Invoke(ctx, "/grpc.testing.TestService/Nothing", &testgrpc.Empty{}, &testgrpc.Empty{})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("a method that does not exist: %v", err)
	}
}

func testRPCMetadata(t *testing.T, client testgrpc.TestServiceClient) {
	ctx := metadata.AppendToOutgoingContext(rpcContext(t), "x-head", "h", "x-tail-bin", "\x00\xff")
	for _, want := range []*testgrpc.EchoStatus{nil, {Code: 2, Message: "\t\u00fc \u4f60\n"}} {
		var head, tail metadata.MD
		_, err := client.UnaryCall(ctx, &testgrpc.SimpleRequest{ResponseStatus: want}, grpc.Header(&head), grpc.Trailer(&tail))
		if status.Code(err) != codes.Code(want.GetCode()) || status.Convert(err).Message() != want.GetMessage() {
			t.Errorf("want %v, got %v", want, err)
		}
		if want == nil && !slices.Equal(head["x-head"], []string{"h"}) || !slices.Equal(tail["x-tail-bin"], []string{"\x00\xff"}) {
			t.Errorf("head %v, tail %v", head, tail)
		}
	}
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	stream, err := client.FullDuplexCall(short)
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("behind the deadline: %v", err)
	}
}

func testRPCStreams(t *testing.T, client testgrpc.TestServiceClient) {
	ctx := rpcContext(t)
	up, err := client.StreamingInputCall(ctx)
	for range 50 {
		if err == nil {
			err = up.Send(&testgrpc.StreamingInputCallRequest{Payload: payload(50_000)})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if sum, err := up.CloseAndRecv(); err != nil || sum.AggregatedPayloadSize != 50*50_000 {
		t.Errorf("client streaming: %v, %v", sum, err)
	}
	ask := &testgrpc.StreamingOutputCallRequest{ResponseParameters: []*testgrpc.ResponseParameters{{Size: 1}, {Size: 100_000}, {Size: 1}}}
	down, err := client.StreamingOutputCall(ctx, ask)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		if _, err := down.Recv(); err == io.EOF && i == 3 {
			break
		} else if err != nil {
			t.Fatalf("server streaming, %d: %v", i, err)
		}
	}
	both, err := client.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 { // each part waits for the answer to the one before
		if err := both.Send(&testgrpc.StreamingOutputCallRequest{ResponseParameters: ask.ResponseParameters[:1]}); err != nil {
			t.Fatalf("part %d: %v", i, err)
		}
		if _, err := both.Recv(); err != nil {
			t.Fatalf("part %d: %v", i, err)
		}
	}
	if err := both.CloseSend(); err != nil {
		t.Error(err)
	}
	if _, err := both.Recv(); err != io.EOF {
		t.Errorf("both directions: %v", err)
	}
}

// A call that its client gives up ends at the server too.
func TestRPCCancelled(t *testing.T) {
	server := serveRPC(t, nil)
	r := start(t, useHTTP2)
	defer r.stop()
	r.put("routes/1", `{"uri":"/*","upstream":{"scheme":"grpc","nodes":{"`+server.addr+`":1}}}`)
	_, client := dialRPC(t, r.addr, nil)
	ctx, cancel := context.WithCancel(rpcContext(t))
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ask := &testgrpc.StreamingOutputCallRequest{ResponseParameters: []*testgrpc.ResponseParameters{{Size: 1}}}
	if err := stream.Send(ask); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case err := <-server.ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the server's call ended with %v", err)
		}
	case <-time.After(deadline):
		t.Error("the server's call goes on")
	}
}

func TestRPCFails(t *testing.T) {
	t.Parallel()
	node := serveRPC(t, nil)
	r := start(t, useHTTP2)
	defer r.stop()
	_, client := dialRPC(t, r.addr, nil)
	call := func() error {
		_, err := client.EmptyCall(rpcContext(t), &testgrpc.Empty{})
		return err
	}
	r.put("routes/1", `{"uri":"/*","upstream":{"scheme":"grpc","nodes":{"`+closedAddr(t)+`":1}}}`)
	if err := call(); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "502") {
		t.Errorf("nobody there: %v", err)
	}
	r.put("routes/1", `{"uri":"/*","upstream":{"scheme":"grpc","nodes":[{"host":"127.0.0.1","port":`+closedPort(t)+`,"weight":1,"priority":1},
		{"host":"127.0.0.1","port":`+portOf(node.addr)+`,"weight":1}]}}`)
	if err := call(); err != nil {
		t.Errorf("another node was there: %v", err)
	}
	r.put("routes/1", `{"uri":"/*","upstream":{"scheme":"grpc","nodes":{}}}`)
	if err := call(); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "503") {
		t.Errorf("no nodes: %v", err)
	}
	silent := serve(t, func(_ *server, c *upstreamConn) { _, _ = io.Copy(io.Discard, c) })
	r.put("routes/1", `{"uri":"/*","upstream":{"scheme":"grpc","timeout":{"connect":1,"send":1,"read":0.2},"nodes":{"`+silent.addr+`":1}}}`)
	if err := call(); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "504") {
		t.Errorf("a server that is silent: %v", err)
	}
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

func closedPort(t *testing.T) string { return portOf(closedAddr(t)) }

func TestRPCHost(t *testing.T) {
	server := serveRPC(t, nil)
	r := start(t, useHTTP2)
	defer r.stop()
	_, client := dialRPC(t, r.addr, nil)
	for _, tt := range []struct{ conf, want string }{
		{``, "rpc.com"},
		{`"pass_host":"node",`, server.addr},
		{`"pass_host":"rewrite","upstream_host":"other.com",`, "other.com"},
	} {
		r.put("routes/1", `{"uri":"/*","upstream":{"scheme":"grpc",`+tt.conf+`"nodes":{"`+server.addr+`":1}}}`)
		if _, err := client.EmptyCall(rpcContext(t), &testgrpc.Empty{}); err != nil {
			t.Fatal(err)
		}
		if got := server.last()[":authority"]; !slices.Equal(got, []string{tt.want}) {
			t.Errorf("%s: the server was asked as %q", tt.conf, got)
		}
	}
}

// The server is shown the certificate that the upstream says.
func TestRPCClientCertificate(t *testing.T) {
	ca, clients := newAuthority(t, "servers"), newAuthority(t, "clients")
	certPEM, keyPEM := ca.pair("rpc.com")
	cert, err := tls.X509KeyPair([]byte(certPEM), []byte(keyPEM))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(clients.cert)
	server := serveRPC(t, &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool})
	r := start(t, useHTTP2)
	defer r.stop()
	_, client := dialRPC(t, r.addr, nil)
	call := func() error {
		_, err := client.EmptyCall(rpcContext(t), &testgrpc.Empty{})
		return err
	}
	conf := map[string]any{"scheme": "grpcs", "nodes": map[string]int{server.addr: 1}}
	r.put("routes/1", object(t, map[string]any{"uri": "/*", "upstream": conf}))
	if err := call(); !strings.Contains(err.Error(), "502") {
		t.Errorf("without a certificate: %v", err)
	}
	ownCert, ownKey := clients.pair("gateway")
	conf["tls"] = map[string]any{"client_cert": ownCert, "client_key": ownKey}
	r.put("routes/1", object(t, map[string]any{"uri": "/*", "upstream": conf}))
	if err := call(); err != nil || len(server.names) != 1 || server.names[0] != "gateway" {
		t.Errorf("with a certificate: %v, %q", err, server.names)
	}
}

// A client that speaks HTTP/1.1 gets the trailers behind the chunks.
func TestRPCFromHTTP1(t *testing.T) {
	server := serveRPC(t, nil)
	r := start(t, useHTTP2)
	defer r.stop()
	r.put("routes/1", `{"uri":"/*","upstream":{"scheme":"grpc","nodes":{"`+server.addr+`":1}}}`)
	for range 3 { // over one connection
		resp, err := http.Post("http://"+r.addr+"/grpc.testing.TestService/EmptyCall", "application/json", strings.NewReader("\x00\x00\x00\x00\x00"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || string(body) != "\x00\x00\x00\x00\x00" || resp.Header.Get("Content-Type") != rpcType || resp.Trailer.Get("Grpc-Status") != "0" {
			t.Errorf("%s %q %v %v %v", resp.Status, body, resp.Header, resp.Trailer, err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// A body that breaks off its own framing is answered as for nodes of HTTP/1.1.
func TestRPCMalformedBody(t *testing.T) {
	t.Parallel()
	server := serveRPC(t, nil)
	r := start(t, useHTTP2)
	defer r.stop()
	r.put("routes/1", `{"uri":"/*","upstream":{"scheme":"grpc","nodes":{"`+server.addr+`":1}}}`)
	c := r.dial()
	c.send("POST /grpc.testing.TestService/EmptyCall HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n\x00\x00\r\nno size\r\n")
	if rep := c.reply("POST"); rep.status != 400 || !rep.closed {
		t.Errorf("%s %q", rep.line, rep.head)
	}
}

// What a client sends that cannot be said over HTTP/2 is not the node's fault.
func TestRPCOddRequests(t *testing.T) {
	t.Parallel()
	server := serveRPC(t, nil)
	r := start(t, func(c *Config) {
		useHTTP2(c)
		c.MaxHeaderLine, c.MaxHeader = 30<<10, 60<<10
	})
	defer r.stop()
	r.put("routes/1", `{"uri":"/*","enable_websocket":true,"upstream":{"scheme":"grpc","nodes":{"`+server.addr+`":1}}}`)
	for _, c := range []struct{ name, header string }{
		{"a length promised as a trailer", "Trailer: Content-Length, X-Tail"},
		{"a trailer that is no name", "Trailer: a b, ä, X-Tail"},
		{"trailers of the connection", "Trailer: Transfer-Encoding, Trailer, Connection"},
		{"a host of any bytes", "Host: \xff\xfe.com"},
		{"a host in percents", "Host: %zz"},
		{"an upgrade", "Connection: Upgrade\r\nUpgrade: websocket"},
		{"a long header", "X-Long: " + strings.Repeat("x", 20<<10)},
	} {
		t.Run(c.name, func(t *testing.T) {
			host := "Host: h.com\r\n"
			if strings.HasPrefix(c.header, "Host:") {
				host = ""
			}
			client := r.dial()
			client.send("POST /grpc.testing.TestService/EmptyCall HTTP/1.1\r\n" + host + c.header +
				"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n\x00\x00\x00\x00\x00\r\n0\r\n\r\n")
			if got := client.reply("POST"); got.status != 200 && got.status != 400 {
				t.Errorf("%s %s", got.line, got.body)
			}
		})
	}
}
