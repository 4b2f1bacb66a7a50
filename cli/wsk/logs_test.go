package wsk

import (
	"slices"
	"strings"
	"testing"
)

func TestEachEvent(t *testing.T) {
	for name, test := range map[string]struct {
		stream string
		want   []string
	}{
		"one":          {"event: log\ndata: a\n\n", []string{"log a"}},
		"no name":      {"data: a\n\n", []string{" a"}},
		"no blank":     {"event:log\ndata:a\n\n", []string{"log a"}},
		"two blanks":   {"data:  a\n\n", []string{"  a"}},
		"many lines":   {"data: a\ndata: b\n\n", []string{" a\nb"}},
		"carriage":     {"event: end\r\ndata: a\r\n\r\ndata: b\r\n\r\n", []string{"end a", " b"}},
		"comments":     {": c\n\n:\n\ndata: a\n: c\n\n", []string{" a"}},
		"other fields": {"id: 1\nretry: 5\ndata: a: b\n\n", []string{" a: b"}},
		"empty data":   {"data\n\n", []string{" "}},
		"no data":      {"event: log\n\ndata: a\n\n", []string{" a"}},
		"cut off":      {"data: a\n\ndata: b", []string{" a"}},
		"nothing":      {"\n\n\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			err := eachEvent(strings.NewReader(test.stream), func(name, data string) { got = append(got, name+" "+data) })
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestEachEventBounds(t *testing.T) {
	stream := "data: " + strings.Repeat("x", longestEvent) + "\n\n"
	if err := eachEvent(strings.NewReader(stream), func(_, data string) {}); err == nil {
		t.Error("a line without an end was accepted")
	}
}

// Whatever a stream holds, there is no more data than that.
func FuzzEachEvent(f *testing.F) {
	f.Add("data: a\n\n: c\nevent: x\r\ndata\n\n")
	f.Fuzz(func(t *testing.T, stream string) {
		size := 0
		if err := eachEvent(strings.NewReader(stream), func(name, data string) { size += len(name) + len(data) }); err != nil {
			t.Error(err)
		}
		if size > len(stream) {
			t.Errorf("%d bytes of events in %d", size, len(stream))
		}
	})
}
