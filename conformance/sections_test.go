package conformance

import (
	"fmt"
	"regexp"
	"testing"
)

// sections are those of spec/gateway.md about what clients and operators of a gateway
// notice, with how many subsections each has; 0 stands for none. Those about plugins
// (§8 to §10) have a script for each plugin instead.
var sections = map[int]int{1: 4, 2: 9, 3: 3, 4: 5, 5: 6, 6: 6, 7: 11, 11: 5, 12: 0, 13: 0, 15: 0}

// vectors are the test vectors of §14 whose plugins there are.
var vectors = []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 19, 20, 21, 22, 23, 24, 25, 26}

func TestEverySectionHasACase(t *testing.T) {
	named := map[string]bool{}
	origin := regexp.MustCompile(`^spec/gateway\.md §([0-9.]+( vector [0-9]+)?)`)
	for _, s := range readAll(t) {
		for _, c := range s.cases {
			if found := origin.FindStringSubmatch(c.name); found != nil {
				named[found[1]] = true
			}
		}
	}
	var want []string
	for section, parts := range sections {
		if parts == 0 {
			want = append(want, fmt.Sprint(section))
		}
		for part := range parts {
			want = append(want, fmt.Sprintf("%d.%d", section, part+1))
		}
	}
	for _, n := range vectors {
		want = append(want, fmt.Sprintf("14 vector %d", n))
	}
	for _, name := range want {
		if !named[name] {
			t.Errorf("no case of spec/gateway.md §%s", name)
		}
	}
}
