package invoke

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// capacity is how busy the cores are that this process may use, whoever uses
// them. More instances help calls that wait for something else than a core, and
// only those. The pool's lock guards it.
type capacity struct {
	cores int
	state coreState

	cpus   []int // their numbers; empty if the machine does not tell
	at     time.Time
	rested time.Duration // of all cores, since the machine started
	// shed: since the last look no instance has been given up.
	shed bool
}

// coreState is what was found at the last look.
type coreState int

const (
	unknown   coreState = iota
	idle                // there is time to spare
	saturated           // there is none
)

const (
	// lookEvery is long against the 10 ms in which the kernel counts.
	lookEvery = 100 * time.Millisecond
	// spareShare of the time must be idle for cores not to be saturated.
	spareShare = 0.15
	clockTick  = 10 * time.Millisecond
)

func newCapacity(cores int) capacity {
	c := capacity{cores: cores}
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err == nil {
		for cpu := range 8 * 128 {
			if set.IsSet(cpu) {
				c.cpus = append(c.cpus, cpu)
			}
		}
	}
	return c
}

// look finds the state anew, if it is time to. A pause since the last look says
// nothing of now.
func (c *capacity) look(now time.Time) {
	since := now.Sub(c.at)
	if since < lookEvery {
		return
	}
	stat, err := os.ReadFile("/proc/stat")
	if err != nil || len(c.cpus) == 0 {
		return
	}
	rested := restedTime(stat, c.cpus)
	spare := float64(rested-c.rested) / float64(since) / float64(len(c.cpus))
	switch {
	case since > 3*lookEvery:
		c.state = unknown
	case spare < spareShare:
		c.state = saturated
	default:
		c.state = idle
	}
	c.at, c.rested, c.shed = now, rested, true
}

// restedTime adds up the idle and the I/O wait time of cpus in /proc/stat.
func restedTime(stat []byte, cpus []int) time.Duration {
	var ticks int64
	for line := range bytes.Lines(stat) {
		fields := bytes.Fields(line)
		if len(fields) < 6 || len(fields[0]) < 4 || !bytes.HasPrefix(fields[0], []byte("cpu")) {
			continue
		}
		n, err := strconv.Atoi(string(fields[0][3:]))
		if err != nil || !slices.Contains(cpus, n) {
			continue
		}
		for _, f := range fields[4:6] {
			t, _ := strconv.ParseInt(string(f), 10, 64)
			ticks += t
		}
	}
	return time.Duration(ticks) * clockTick
}
