package web

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// nowhere is a ResponseWriter that keeps nothing.
type nowhere struct{ header http.Header }

func (w *nowhere) Header() http.Header               { return w.header }
func (w *nowhere) Write(p []byte) (int, error)       { return len(p), nil }
func (w *nowhere) WriteString(s string) (int, error) { return len(s), nil }
func (w *nowhere) WriteHeader(int)                   {}
func (w *nowhere) SetReadDeadline(time.Time) error   { return nil }

// BenchmarkHandler is all but the call itself and the connection.
func BenchmarkHandler(b *testing.B) {
	large := `{"body":"` + strings.Repeat("x", 256<<10) + `","headers":{"content-type":"text/plain"}}`
	for _, bc := range []struct{ name, method, path, body, result string }{
		{"get", "GET", "w.json?name=you", "", `{"greeting":"Hi you"}`},
		{"http", "GET", "w?name=you", "", `{"statusCode":200,"headers":{"content-type":"text/plain"},"body":"Hi you"}`},
		{"post", "POST", "w", `{"name":"you","list":[1,2,3]}`, `{"body":{"greeting":"Hi you"}}`},
		{"large-post", "POST", "w", `{"s":"` + strings.Repeat("x", 256<<10) + `"}`, `{}`},
		{"large-answer", "GET", "w", "", large},
	} {
		b.Run(bc.name, func(b *testing.B) {
			s := newHouse(b)
			s.put("w", web)
			s.f.result = bc.result
			body := strings.NewReader(bc.body)
			r := httptest.NewRequest(bc.method, "http://localhost/api/v1/web/guest/default/"+bc.path, body)
			for name, value := range map[string]string{"User-Agent": "curl/8", "Accept": "*/*", "Content-Type": "application/json"} {
				r.Header.Set(name, value)
			}
			w := &nowhere{http.Header{}}
			b.SetBytes(int64(len(bc.body) + len(bc.result)))
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				if _, err := body.Seek(0, io.SeekStart); err != nil {
					b.Fatal(err)
				}
				s.h.ServeHTTP(w, r)
			}
		})
	}
}
