package hostclient

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

const testMaxBody = 20

func TestReadAnswer(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	cases := []struct {
		name, in string
		status   int
		body     string
		reusable bool
		err      error
	}{
		{"length", ok + "Content-Length: 2\r\n\r\n{}", 200, "{}", true, nil},
		{"length twice", ok + "Content-Length: 2\r\ncontent-length: 2\r\n\r\n{}", 200, "{}", true, nil},
		{"bare line feeds", "HTTP/1.1 200\nContent-Length:2\n\n{}", 200, "{}", true, nil},
		{"no body", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", true, nil},
		{"304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, "", true, nil},
		{"length 0", "HTTP/1.1 503 \r\nContent-Length: 0\r\n\r\n", 503, "", true, nil},
		{"chunked", ok + "Transfer-Encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\n0a \r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n", 200, "abc0123456789", true, nil},
		{"to the end", ok + "\r\nabc", 200, "abc", false, nil},
		{"close", ok + "Connection: keep-alive, Close\r\nContent-Length: 2\r\n\r\n{}", 200, "{}", false, nil},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, "{}", false, nil},
		{"HTTP/1.0 keep-alive", "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\n{}", 200, "{}", true, nil},
		{"interim answers", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + ok + "Content-Length: 2\r\n\r\n{}", 200, "{}", true, nil},
		{"bytes behind", ok + "Content-Length: 2\r\n\r\n{}HTTP/1.1 200", 200, "{}", false, nil},
		{"two framings", ok + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, "", false, nil},
		{"redirect", "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 2\r\n\r\n{}", 302, "{}", true, nil},

		{"nothing", "", 0, "", false, io.ErrUnexpectedEOF},
		{"cut in the head", ok + "Content-", 0, "", false, io.ErrUnexpectedEOF},
		{"cut in the body", ok + "Content-Length: 3\r\n\r\n{}", 0, "", false, io.ErrUnexpectedEOF},
		{"cut in a chunk", ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nab", 0, "", false, io.ErrUnexpectedEOF},
		{"cut in the trailer", ok + "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n", 0, "", false, io.ErrUnexpectedEOF},
		{"not HTTP", "SSH-2.0\r\n\r\n", 0, "", false, errMalformed},
		{"HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", 0, "", false, errMalformed},
		{"HTTP/1.2", "HTTP/1.2 200 OK\r\n\r\n", 0, "", false, errMalformed},
		{"status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", 0, "", false, errMalformed},
		{"status below 100", "HTTP/1.1 099 OK\r\n\r\n", 0, "", false, errMalformed},
		{"status no number", "HTTP/1.1 2x0 OK\r\n\r\n", 0, "", false, errMalformed},
		{"status 101", "HTTP/1.1 101 Switching\r\n\r\n", 0, "", false, errMalformed},
		{"interim without end", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 100), 0, "", false, errMalformed},
		{"no colon", ok + "abc\r\n\r\n", 0, "", false, errMalformed},
		{"space before the colon", ok + "Content-Length : 2\r\n\r\n{}", 0, "", false, errMalformed},
		{"folded line", ok + "A: b\r\n c: d\r\n\r\n", 0, "", false, errMalformed},
		{"lengths differ", ok + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 0, "", false, errMalformed},
		{"length signed", ok + "Content-Length: +2\r\n\r\n{}", 0, "", false, errMalformed},
		{"length huge", ok + "Content-Length: 99999999999999999999\r\n\r\n", 0, "", false, errMalformed},
		{"unknown coding", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n", 0, "", false, errMalformed},
		{"chunk size no number", ok + "Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n", 0, "", false, errMalformed},
		{"chunk longer than its size", ok + "Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n", 0, "", false, errMalformed},
		{"line too long", ok + "A: " + strings.Repeat("x", maxLine) + "\r\n\r\n", 0, "", false, errMalformed},
		{"head too large", ok + strings.Repeat("A: "+strings.Repeat("x", 1000)+"\r\n", 100) + "\r\n", 0, "", false, errMalformed},
		{"body too large", ok + "Content-Length: 21\r\n\r\n", 0, "", false, ErrBodyTooLarge},
		{"chunks too large", ok + "Transfer-Encoding: chunked\r\n\r\n14\r\n01234567890123456789\r\n1\r\na\r\n0\r\n\r\n", 0, "", false, ErrBodyTooLarge},
		{"chunk too large", ok + "Transfer-Encoding: chunked\r\n\r\n3fffffffffffffff\r\n", 0, "", false, ErrBodyTooLarge},
		{"to the end too large", ok + "\r\n" + strings.Repeat("x", 21), 0, "", false, ErrBodyTooLarge},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := bufio.NewReaderSize(strings.NewReader(tc.in), maxLine)
			status, body, reusable, err := readAnswer(r, testMaxBody)
			if !errors.Is(err, tc.err) || tc.err == nil && err != nil {
				t.Fatalf("error %v, want %v", err, tc.err)
			}
			if status != tc.status || string(body) != tc.body || reusable != tc.reusable {
				t.Errorf("got %d %q, reusable %t", status, body, reusable)
			}
		})
	}
}

// Memory for a large body is taken as it arrives.
func TestAppendNGrowsWithWhatArrives(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789abcdef"), 3*trusted/16+5)
	got, err := appendN(nil, bytes.NewReader(want), int64(len(want)))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
	}
	if allocs := testing.AllocsPerRun(5, func() {
		if _, err := appendN(nil, strings.NewReader("short"), 1<<40); err == nil {
			t.Error("no error")
		}
	}); allocs > 2 {
		t.Errorf("%v allocations for five bytes", allocs)
	}
}

func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"))
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1;a\r\nx\r\n0\r\nb:c\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		status, body, _, err := readAnswer(bufio.NewReaderSize(bytes.NewReader(in), maxLine), testMaxBody)
		if err == nil && (status < 200 || status > 999 || len(body) > testMaxBody) {
			t.Errorf("status %d with %d bytes", status, len(body))
		}
		if err != nil && (status != 0 || body != nil) {
			t.Errorf("an answer beside the error %v", err)
		}
	})
}
