package request

import (
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"millrace/whisk"
)

func statusOf(err error) int {
	var e *whisk.Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

func TestMeter(t *testing.T) {
	m := NewMeter()
	for _, step := range []struct {
		namespace string
		n         int64
		status    int
	}{
		{"a", meterOfOne, 0}, {"a", 1, 429}, {"b", meterOfOne, 0}, {"c", meterOfOne, 0}, {"d", meterOfOne, 0}, {"e", 1, 503},
	} {
		if err := m.Take(step.namespace, step.n); statusOf(err) != step.status || (err == nil) != (step.status == 0) {
			t.Errorf("%s takes %d: %v, want %d", step.namespace, step.n, err, step.status)
		}
	}
	m.Give("a", meterOfOne)
	if err := m.Take("e", 1); err != nil {
		t.Error(err)
	}
	m.Give("e", 1)
	for _, ns := range []string{"b", "c", "d"} {
		m.Give(ns, meterOfOne)
	}
	if m.all != 0 || len(m.of) != 0 {
		t.Errorf("after all was given back: %d, %v", m.all, m.of)
	}
	var none *Meter
	if err := none.Take("a", 1<<50); err != nil {
		t.Error(err)
	}
	none.Give("a", 1<<50)
}

// A body takes memory while it is read, and the refusal of more is what its reader
// sees.
func TestMetered(t *testing.T) {
	m := NewMeter()
	r := httptest.NewRequest("PUT", "/", strings.NewReader(strings.Repeat("x", 1<<20)))
	done := m.Metered(r, "a")
	if n, err := io.CopyN(io.Discard, r.Body, 1<<20); err != nil || m.all < n-Small || m.all > n+meterStep {
		t.Errorf("%v, %d bytes were read and %d taken", err, n, m.all)
	}
	done()
	if m.all != 0 {
		t.Errorf("%d bytes are not given back", m.all)
	}

	if err := m.Take("a", meterOfOne-meterStep); err != nil {
		t.Fatal(err)
	}
	r = httptest.NewRequest("PUT", "/", strings.NewReader(strings.Repeat("x", 1<<20)))
	r.ContentLength = -1
	done = m.Metered(r, "a")
	if n, err := io.Copy(io.Discard, r.Body); statusOf(err) != 429 || n < meterStep {
		t.Errorf("%d bytes were read, then %v", n, err)
	}
	done()
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		t.Errorf("the rest, which nobody keeps: %v", err)
	}
	m.Give("a", meterOfOne-meterStep)

	r = httptest.NewRequest("PUT", "/", strings.NewReader("small"))
	was := r.Body
	if m.Metered(r, "a")(); r.Body != was {
		t.Error("a small body is measured")
	}
}

func TestReadGrowing(t *testing.T) {
	for _, size := range []int{0, 1, 511, 512, 513, 64 << 10, 64<<10 + 1, 1 << 20} {
		for _, announced := range []int64{int64(size), -1} {
			b, err := readGrowing(strings.NewReader(strings.Repeat("x", size)), announced)
			if err != nil || len(b) != size {
				t.Errorf("%d bytes, %d announced: %d, %v", size, announced, len(b), err)
			}
			if announced >= 0 && cap(b) > size+512 {
				t.Errorf("%d bytes take %d", size, cap(b))
			}
		}
	}
	if b, err := readGrowing(io.LimitReader(strings.NewReader("xxxx"), 2), 1<<40); err != nil || string(b) != "xx" || cap(b) > 64<<10 {
		t.Errorf("%q, %v, takes %d", b, err, cap(b))
	}
}
