package config

import (
	"fmt"
	"strings"
)

// ClientLimits bound what clients of the data plane may take.
type ClientLimits struct {
	// Requests is how many requests a connection may carry, Connections how many
	// connections there may be for each processor; 0 is no limit.
	Requests, Connections int
	// HeaderLine bounds the request line and each header line, Header all of them
	// together, in bytes.
	HeaderLine, Header int
}

// leastHeaderLine is the shortest line that any client can be expected to keep to.
const leastHeaderLine = 1 << 10

// headerBuffers is nginx's "4 8k": how many buffers a request's head may fill, of
// which each holds a line at least.
func headerBuffers(to *ClientLimits) field {
	want := fmt.Sprintf("a number and a size such as 4 8k, of %d bytes at least", leastHeaderLine)
	parse := func(text string) (ClientLimits, bool) {
		number, rest, _ := strings.Cut(text, " ")
		n, ok := parseSize(number, 1)
		size, sized := parseSize(strings.TrimSpace(rest), 1)
		l := *to
		l.HeaderLine, l.Header = int(size), int(n*size)
		return l, ok && sized && n >= 1 && n <= 1<<10 && size >= leastHeaderLine && size <= 1<<20
	}
	return scalar(to, want, parse)
}
