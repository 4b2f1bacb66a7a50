package gateway

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"millrace/gateway/http1"
)

// localBody is the longest request body that the local handler is given.
const localBody = 8 << 20

// isLocal says whether the request is for the local handler: the client must be
// on this machine whatever its headers say.
func (x *exchange) isLocal() bool {
	if !x.conn.local || x.g.conf.Local == nil {
		return false
	}
	for _, prefix := range x.g.conf.LocalPrefixes {
		rest, ok := bytes.CutPrefix(x.req.path, []byte(prefix))
		if ok && (len(rest) == 0 || rest[0] == '/') {
			return true
		}
	}
	return false
}

// serveLocal lets the local handler answer.
func (x *exchange) serveLocal() {
	body, err := x.req.Body(localBody)
	if err != nil {
		x.answerError(err)
		return
	}
	req, err := x.httpRequest(body)
	if err != nil {
		x.exit(400, nil)
		return
	}
	w := &localWriter{header: http.Header{}}
	x.g.conf.Local.ServeHTTP(w, req)
	w.WriteHeader(http.StatusOK)
	for name, values := range w.header {
		for _, v := range values {
			x.res.fields.add(name, v)
		}
	}
	frame := chunked
	if w.header.Get("Content-Length") != "" {
		frame = sized
	}
	x.res.fields.del("Date")
	x.answer(w.status, w.body.Bytes(), frame, "")
}

// httpRequest makes the request as net/http has it.
func (x *exchange) httpRequest(body []byte) (*http.Request, error) {
	u, err := url.ParseRequestURI(x.req.Target())
	if err != nil {
		return nil, err
	}
	req := &http.Request{
		Method: x.req.Method(), URL: u, RequestURI: x.req.Target(), Host: x.req.Host(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, ContentLength: int64(len(body)),
		Body:       io.NopCloser(bytes.NewReader(body)),
		RemoteAddr: x.conn.Conn.RemoteAddr().String(),
	}
	for i := range x.req.fields {
		f := &x.req.fields[i]
		if len(f.Name) == 0 {
			continue
		}
		switch f.Kind {
		case http1.Host, http1.TransferEncoding, http1.ContentLength, http1.Connection:
		default:
			req.Header.Add(string(f.Name), strings.Clone(string(f.Value)))
		}
	}
	if len(body) > 0 {
		req.Header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	return req.WithContext(context.WithValue(x.req.Context(), http.LocalAddrContextKey, x.conn.Conn.LocalAddr())), nil
}

// localWriter collects an answer.
type localWriter struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *localWriter) Header() http.Header { return w.header }

func (w *localWriter) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
}

func (w *localWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}
