// Package crashtest kills a real process in the middle of its writes, so that
// the tests of storage engines can look at what is there afterwards. The
// process is the test binary itself, started again.
package crashtest

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
)

const (
	dirVar   = "CRASHTEST_DIR"
	roundVar = "CRASHTEST_ROUND"
)

// Work is what the child does until it is killed: writes to the state in dir,
// from any number of goroutines, with one call of ack for each write that was
// acknowledged. Rounds are numbered from 0.
type Work func(dir string, round int, ack func(line string))

// Main is called first in TestMain. In the child it does the work and never
// returns; in the parent it does nothing.
func Main(work Work) {
	dir := os.Getenv(dirVar)
	if dir == "" {
		return
	}
	round, _ := strconv.Atoi(os.Getenv(roundVar))
	var mu sync.Mutex
	work(dir, round, func(line string) {
		mu.Lock()
		defer mu.Unlock()
		if _, err := fmt.Println(line); err != nil {
			os.Exit(1) // the parent is gone
		}
	})
	os.Exit(0)
}

// Rounds starts and kills children on one folder. After each it calls check
// with the lines that this child acknowledged.
func Rounds(t *testing.T, rounds, maxLines int, check func(dir string, round int, lines []string)) {
	dir := t.TempDir()
	acknowledged := 0
	for round := range rounds {
		lines := kill(t, dir, round, rand.IntN(maxLines+1))
		acknowledged += len(lines)
		check(dir, round, lines)
		if t.Failed() {
			t.Fatalf("in round %d, after %d acknowledged writes", round, len(lines))
		}
	}
	t.Logf("%d rounds, %d acknowledged writes", rounds, acknowledged)
}

// kill runs a child until it has written n lines and answers all that it could
// still write before the signal came.
func kill(t *testing.T, dir string, round, n int) []string {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), dirVar+"="+dir, roundVar+"="+strconv.Itoa(round))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for in := bufio.NewReader(out); ; {
		if len(lines) == n {
			cmd.Process.Kill()
		}
		line, err := in.ReadString('\n')
		if err != nil { // a line cut short counts for nothing
			break
		}
		lines = append(lines, line[:len(line)-1])
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != -1 {
		t.Fatalf("the child ended by itself with status %d", code)
	}
	return lines
}
