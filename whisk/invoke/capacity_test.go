package invoke

import (
	"testing"
	"time"
)

func TestRestedTime(t *testing.T) {
	const stat = `cpu  100 0 100 3000 300 0 0 0 0 0
cpu0 50 0 50 1000 100 0 0 0 0 0
cpu1 50 0 50 2000 200 0 0 0 0 0
cpu10 0 0 0 7 0 0 0 0 0 0
intr 12345
`
	for _, tc := range []struct {
		cpus []int
		want time.Duration
	}{
		{[]int{0}, 11 * time.Second},
		{[]int{0, 1}, 33 * time.Second},
		{[]int{10}, 70 * time.Millisecond},
		{[]int{2}, 0},
	} {
		if got := restedTime([]byte(stat), tc.cpus); got != tc.want {
			t.Errorf("cpus %v: %s, want %s", tc.cpus, got, tc.want)
		}
	}
}

// A core that spins is no core to spare; after a pause nothing is known.
func TestLook(t *testing.T) {
	c := newCapacity(1)
	if len(c.cpus) == 0 {
		t.Skip("this machine does not tell which cores the process may use")
	}
	now := time.Now()
	c.look(now)
	if c.state != unknown {
		t.Errorf("first look: state %d, want unknown", c.state)
	}
	c.rested += time.Hour // as if the cores had been idle before and busy since
	c.look(now.Add(lookEvery))
	if c.state != saturated || !c.shed {
		t.Errorf("busy: state %d, shed %v", c.state, c.shed)
	}
	c.rested -= 2 * time.Hour
	c.look(now.Add(2 * lookEvery))
	if c.state != idle {
		t.Errorf("at rest: state %d, want idle", c.state)
	}
	c.look(now.Add(10 * lookEvery))
	if c.state != unknown {
		t.Errorf("after a pause: state %d, want unknown", c.state)
	}
}
