package hostclient

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

const (
	// maxHead bounds the bytes of an answer's head, and of a chunked body's
	// trailer.
	maxHead = 64 << 10
	// trusted is how much memory is taken on the word of a Content-Length.
	trusted = 1 << 20
	// maxInterim bounds the 1xx answers before the final one.
	maxInterim = 8
)

// ErrBodyTooLarge: the answer's body is over Config.MaxBody.
var ErrBodyTooLarge = errors.New("the answer's body is too large")

var (
	errMalformed  = errors.New("malformed answer")
	errStatusLine = fmt.Errorf("%w: bad status line", errMalformed)
)

// answerHead is what the framing of an answer depends on.
type answerHead struct {
	status  int
	length  int64 // −1 without Content-Length
	chunked bool
	// keepAlive: the connection stays open after the answer, unless it is said
	// to close.
	keepAlive, close bool
}

// readAnswer reads one final answer.
func readAnswer(r *bufio.Reader, maxBody int64) (status int, body []byte, reusable bool, err error) {
	h, err := readHead(r)
	for i := 0; err == nil && h.status < 200; i++ {
		if i == maxInterim || h.status == 101 {
			return 0, nil, false, fmt.Errorf("%w: unasked status %d", errMalformed, h.status)
		}
		h, err = readHead(r)
	}
	if err != nil {
		return 0, nil, false, err
	}
	switch {
	case h.status == 204 || h.status == 304:
	case h.chunked:
		h.close = h.close || h.length >= 0 // two framings: one of them lies
		body, err = readChunks(r, maxBody)
	case h.length >= 0:
		body, err = readLength(r, h.length, maxBody)
	default:
		h.close = true
		body, err = readToEnd(r, maxBody)
	}
	if err != nil {
		return 0, nil, false, err
	}
	// More bytes belong to no request: whoever sent them is not to be trusted
	// with another.
	return h.status, body, h.keepAlive && !h.close && r.Buffered() == 0, nil
}

// readLine reads a line of at most *limit bytes without its end, which is valid
// until the next read. A line longer than the reader's buffer is malformed.
func readLine(r *bufio.Reader, limit *int) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, fmt.Errorf("%w: line too long", errMalformed)
	}
	if err != nil {
		return nil, unexpected(err)
	}
	if *limit -= len(line); *limit < 0 {
		return nil, fmt.Errorf("%w: head too large", errMalformed)
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}

// unexpected turns the end of the stream into an error that says it came early.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func readHead(r *bufio.Reader) (h answerHead, err error) {
	limit := maxHead
	line, err := readLine(r, &limit)
	if err != nil {
		return h, err
	}
	h.length = -1
	if h.status, h.keepAlive, err = parseStatusLine(line); err != nil {
		return h, err
	}
	for {
		line, err := readLine(r, &limit)
		if err != nil || len(line) == 0 {
			return h, err
		}
		if err := h.header(line); err != nil {
			return h, err
		}
	}
}

// parseStatusLine reads "HTTP/1.1 200 OK"; keepAlive is what the version implies.
func parseStatusLine(line []byte) (status int, keepAlive bool, err error) {
	const version = "HTTP/1.x "
	if len(line) < len(version)+3 || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[len(version)-1] != ' ' {
		return 0, false, errStatusLine
	}
	minor, rest := line[len(version)-2], line[len(version):]
	if minor != '0' && minor != '1' || len(rest) > 3 && rest[3] != ' ' {
		return 0, false, errStatusLine
	}
	for _, digit := range rest[:3] {
		if digit < '0' || digit > '9' {
			return 0, false, errStatusLine
		}
		status = status*10 + int(digit-'0')
	}
	if status < 100 {
		return 0, false, errStatusLine
	}
	return status, minor == '1', nil
}

// header takes one header line into account.
func (h *answerHead) header(line []byte) error {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok || len(name) == 0 || bytes.ContainsAny(name, " \t") {
		return fmt.Errorf("%w: bad header line", errMalformed)
	}
	value = bytes.Trim(value, " \t")
	switch {
	case equalFold(name, "content-length"):
		n, err := strconv.ParseUint(string(value), 10, 63)
		if err != nil || h.length >= 0 && h.length != int64(n) {
			return fmt.Errorf("%w: bad Content-Length", errMalformed)
		}
		h.length = int64(n)
	case equalFold(name, "transfer-encoding"):
		if h.chunked || !equalFold(value, "chunked") {
			return fmt.Errorf("%w: unknown Transfer-Encoding", errMalformed)
		}
		h.chunked = true
	case equalFold(name, "connection"):
		for token := range bytes.SplitSeq(value, []byte(",")) {
			switch token = bytes.TrimSpace(token); {
			case equalFold(token, "close"):
				h.close = true
			case equalFold(token, "keep-alive"):
				h.keepAlive = true
			}
		}
	}
	return nil
}

// equalFold compares with an ASCII name in lower case.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

func readLength(r *bufio.Reader, n, maxBody int64) ([]byte, error) {
	if n > maxBody {
		return nil, ErrBodyTooLarge
	}
	return appendN(nil, r, n)
}

// appendN reads n more bytes behind body. It takes memory as they arrive if they
// are many.
func appendN(body []byte, r io.Reader, n int64) ([]byte, error) {
	for n > 0 {
		part := min(n, trusted)
		start := len(body)
		if free := int64(cap(body) - start); free < part {
			grown := make([]byte, start, max(int64(start)+part, 2*int64(start)))
			copy(grown, body)
			body = grown
		}
		body = body[:start+int(part)]
		if _, err := io.ReadFull(r, body[start:]); err != nil {
			return nil, unexpected(err)
		}
		n -= part
	}
	return body, nil
}

func readToEnd(r io.Reader, maxBody int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	if err == nil && int64(len(body)) > maxBody {
		err = ErrBodyTooLarge
	}
	return body, err
}

func readChunks(r *bufio.Reader, maxBody int64) (body []byte, err error) {
	for {
		limit := maxHead
		line, err := readLine(r, &limit)
		if err != nil {
			return nil, err
		}
		digits, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseUint(string(bytes.TrimRight(digits, " \t")), 16, 62)
		if err != nil {
			return nil, fmt.Errorf("%w: bad chunk size", errMalformed)
		}
		if n == 0 {
			return body, skipTrailer(r)
		}
		if int64(n) > maxBody-int64(len(body)) {
			return nil, ErrBodyTooLarge
		}
		if body, err = appendN(body, r, int64(n)); err != nil {
			return nil, err
		}
		if line, err = readLine(r, &limit); err != nil || len(line) != 0 {
			return nil, fmt.Errorf("%w: chunk without its end", errMalformed)
		}
	}
}

func skipTrailer(r *bufio.Reader) error {
	limit := maxHead
	for {
		if line, err := readLine(r, &limit); err != nil || len(line) == 0 {
			return err
		}
	}
}
