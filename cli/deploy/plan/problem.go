package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Pos is a line of a file; Line 0 is the file as a whole.
type Pos struct {
	File string
	Line int
}

func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Problem is something that is wrong in a file, or only odd.
type Problem struct {
	Pos
	Msg string
}

func (p Problem) String() string {
	if p.File == "" {
		return p.Msg
	}
	return p.Pos.String() + ": " + p.Msg
}

// Problems are all that were found; as an error, one a line.
type Problems []Problem

// maxProblems is how many are told of one file.
const maxProblems = 1000

// Add notes a problem, once, and the first of very many only.
func (l *Problems) Add(at Pos, format string, args ...any) {
	p := Problem{at, fmt.Sprintf(format, args...)}
	if len(*l) < maxProblems && !slices.Contains(*l, p) {
		*l = append(*l, p)
	}
}

// Err is nil if there are no problems, else the list in the order of the lines.
func (l Problems) Err() error {
	if len(l) == 0 {
		return nil
	}
	slices.SortStableFunc(l, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return l
}

func (l Problems) Error() string {
	lines := make([]string, len(l))
	for i := range l {
		lines[i] = l[i].String()
	}
	return strings.Join(lines, "\n")
}
