package plugins_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// parrot answers with as many payloads as it is asked for, then as it is told.
type parrot struct {
	testgrpc.UnimplementedTestServiceServer
}

func (parrot) UnaryCall(ctx context.Context, in *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	_ = grpc.SetTrailer(ctx, metadata.Pairs("x-more", "m"))
	if st := in.ResponseStatus; st != nil {
		return nil, status.Error(codes.Code(st.Code), st.Message)
	}
	return &testgrpc.SimpleResponse{Payload: in.Payload}, nil
}

func (parrot) StreamingOutputCall(in *testgrpc.StreamingOutputCallRequest, stream grpc.ServerStreamingServer[testgrpc.StreamingOutputCallResponse]) error {
	for range in.ResponseParameters {
		if err := stream.Send(&testgrpc.StreamingOutputCallResponse{Payload: in.Payload}); err != nil {
			return err
		}
	}
	return nil
}

func startParrot(t *testing.T) (nodes string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(server, parrot{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(ln)
	}()
	t.Cleanup(func() {
		server.Stop()
		<-done
	})
	return fmt.Sprintf(`{"scheme":"grpc","nodes":{%q:1}}`, ln.Addr())
}

// message is a message as gRPC frames it.
func message(t *testing.T, m proto.Message) string {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string([]byte{0, 0, 0, 0, byte(len(b))}) + string(b)
}

func trailer(lines string) string { return string([]byte{0x80, 0, 0, 0, byte(len(lines))}) + lines }

// decoded undoes base64 that was put together of padded parts.
func decoded(t *testing.T, text string) string {
	t.Helper()
	var out []byte
	for len(text) > 0 {
		part, err := base64.StdEncoding.DecodeString(text[:4])
		if err != nil {
			t.Fatal(err)
		}
		out, text = append(out, part...), text[4:]
	}
	return string(out)
}

func TestGRPCWeb(t *testing.T) {
	s := startGateway(t)
	nodes := startParrot(t)
	s.put("routes/1", `{"uri":"/grpc/web/*","plugins":{"grpc-web":{}},"upstream":`+nodes+`}`)
	pay := &testgrpc.Payload{Body: []byte("abc")}
	one := message(t, &testgrpc.SimpleResponse{Payload: pay})
	part := message(t, &testgrpc.StreamingOutputCallResponse{Payload: pay})
	twice := &testgrpc.StreamingOutputCallRequest{Payload: pay, ResponseParameters: make([]*testgrpc.ResponseParameters, 2)}
	for i := range twice.ResponseParameters {
		twice.ResponseParameters[i] = &testgrpc.ResponseParameters{}
	}
	for _, tt := range []struct {
		method string
		ask    proto.Message
		want   string
	}{
		{"UnaryCall", &testgrpc.SimpleRequest{Payload: pay}, one + trailer("grpc-status:0\r\ngrpc-message:\r\nx-more:m\r\n")},
		{"UnaryCall", &testgrpc.SimpleRequest{ResponseStatus: &testgrpc.EchoStatus{Code: 5, Message: "no such"}}, trailer("grpc-status:5\r\ngrpc-message:no such\r\n")},
		{"StreamingOutputCall", twice, part + part + trailer("grpc-status:0\r\ngrpc-message:\r\n")},
		{"Nothing", twice, trailer("grpc-status:12\r\ngrpc-message:unknown method Nothing for service grpc.testing.TestService\r\n")},
	} {
		for _, mime := range []string{"application/grpc-web", "application/grpc-web+proto", "application/grpc-web-text", "application/grpc-web-text+proto"} {
			body := message(t, tt.ask)
			if strings.Contains(mime, "text") {
				body = base64.StdEncoding.EncodeToString([]byte(body[:5])) + base64.StdEncoding.EncodeToString([]byte(body[5:]))
			}
			res, err := http.Post(s.url+"/grpc/web/grpc.testing.TestService/"+tt.method, mime, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(res.Body)
			res.Body.Close()
			got := string(b)
			if strings.Contains(mime, "text") {
				got = decoded(t, got)
			}
			h := res.Header
			if err != nil || res.StatusCode != 200 || got != tt.want || h.Get("Content-Type") != mime || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Expose-Headers") != "grpc-message,grpc-status" {
				t.Errorf("%s %s: %s %v %v\n%q, want\n%q", mime, tt.method, res.Status, err, h, got, tt.want)
			}
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestGRPCWebRefuses(t *testing.T) {
	s := startGateway(t)
	nodes := startParrot(t)
	s.put("routes/1", `{"uri":"/grpc/web/*","plugins":{"grpc-web":{}},"upstream":`+nodes+`}`)
	s.put("routes/2", `{"uri":"/exact/UnaryCall","plugins":{"grpc-web":{}},"upstream":`+nodes+`}`)
	s.put("routes/3", `{"uri":"/cors/*","plugins":{"grpc-web":{"cors_allow_headers":"x-own"},"cors":{"allow_origins":"http://a.com","allow_methods":"GET"}},"upstream":`+nodes+`}`)
	s.put("routes/4", `{"uri":"/own/*","plugins":{"grpc-web":{"cors_allow_headers":"x-own"}},"upstream":`+nodes+`}`)
	for _, tt := range []struct {
		method, path, mime, body string
		status                   int
		header                   string // name: value
	}{
		{"OPTIONS", "/grpc/web/a/b", "", "", 204, "Access-Control-Allow-Methods: POST"},
		{"OPTIONS", "/grpc/web/a/b", "", "", 204, "Access-Control-Allow-Headers: content-type,x-grpc-web,x-user-agent"},
		{"OPTIONS", "/grpc/web/a/b", "", "", 204, "Access-Control-Allow-Origin: *"},
		{"OPTIONS", "/own/a/b", "", "", 204, "Access-Control-Allow-Headers: x-own"},
		{"GET", "/grpc/web/a/b", "application/grpc-web", "", 405, "Access-Control-Allow-Origin: *"},
		{"POST", "/grpc/web/a/b", "application/octet-stream", "x", 400, "Content-Type: text/html; charset=utf-8"},
		{"POST", "/grpc/web/a/b", "application/grpc-web", "", 400, ""},
		{"POST", "/grpc/web/a/b", "application/grpc-web-text", "a", 400, ""},
		{"POST", "/grpc/web/a/b", "application/grpc-web-text", "%%%%", 400, ""},
		{"POST", "/exact/UnaryCall", "application/grpc-web", "\x00\x00\x00\x00\x00", 400, ""},
		{"POST", "/cors/grpc.testing.TestService/UnaryCall", "application/grpc-web", "\x00\x00\x00\x00\x00", 200, "Access-Control-Allow-Origin: http://a.com"},
	} {
		req, _ := http.NewRequest(tt.method, s.url+tt.path, bytes.NewReader([]byte(tt.body)))
		req.Header.Set("Origin", "http://a.com")
		if tt.mime != "" {
			req.Header.Set("Content-Type", tt.mime)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		name, value, _ := strings.Cut(tt.header, ": ")
		if res.StatusCode != tt.status || res.Header.Get(name) != value {
			t.Errorf("%s %s %s: %d %v, want %d %s", tt.method, tt.path, tt.mime, res.StatusCode, res.Header, tt.status, tt.header)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// Plugins of all phases work on routes whose upstream speaks gRPC.
func TestPluginsOnRPC(t *testing.T) {
	s := startGateway(t)
	s.put("consumers/jack", `{"username":"jack","plugins":{"key-auth":{"key":"k1"}}}`)
	s.put("routes/1", `{"uri":"/*","upstream":`+startParrot(t)+`,"plugins":{"key-auth":{"hide_credentials":true},"limit-count":{"count":2,"time_window":3600},
		"response-rewrite":{"headers":{"set":{"x-set":"$upstream_status"}}},"request-id":{}}}`)
	conn, err := grpc.NewClient("passthrough:///"+strings.TrimPrefix(s.url, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := testgrpc.NewTestServiceClient(conn)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var head, tail metadata.MD
	call := func(ctx context.Context) error {
		_, err := client.UnaryCall(ctx, &testgrpc.SimpleRequest{}, grpc.Header(&head), grpc.Trailer(&tail))
		return err
	}
	if err := call(ctx); status.Code(err) != codes.Unauthenticated {
		t.Errorf("without a key: %v", err)
	}
	keyed := metadata.AppendToOutgoingContext(ctx, "apikey", "k1")
	for range 2 {
		if err := call(keyed); err != nil || len(head["x-request-id"]) != 1 || len(head["x-set"]) != 1 || head["x-set"][0] != "200" || len(tail["x-more"]) != 1 {
			t.Errorf("%v, head %v, tail %v", err, head, tail)
		}
	}
	if err := call(keyed); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "503") {
		t.Errorf("over the limit: %v", err)
	}
}
