// Command bench runs Millrace and its peers (nginx, haproxy, Caddy, a bare Node
// HTTP server) side by side on this machine and prints ratios: absolute figures
// depend on the machine, ratios within one run do not.
//
// Every case has subjects, each a server that is started on its own. Rounds
// alternate between the subjects, so that a noisy minute hits all of them, and
// the median round counts. Pinned, the server and its children have one core,
// the load (wrk) and the stub upstream the other.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// options are the flags of one run.
type options struct {
	millrace string
	out      string
	rounds   int
	duration time.Duration
	conns    int
	only     *regexp.Regexp
	pin      bool
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	o := options{}
	var only, pin string
	flag.StringVar(&o.millrace, "millrace", "./millrace", "the `binary` to measure")
	flag.StringVar(&o.out, "out", "bench/out", "`folder` for configurations, logs and data")
	flag.IntVar(&o.rounds, "rounds", 3, "alternating rounds a case")
	flag.DurationVar(&o.duration, "duration", 2*time.Second, "load a round")
	flag.IntVar(&o.conns, "conns", 32, "client connections")
	flag.StringVar(&only, "only", "", "`regexp` of the cases to run")
	flag.StringVar(&pin, "pin", "both", "pinned to cores: yes, no or both")
	flag.Parse()
	var err error
	if o.only, err = regexp.Compile(only); err != nil {
		return fmt.Errorf("flag -only: %w", err)
	}
	if o.millrace, err = filepath.Abs(o.millrace); err != nil {
		return err
	}
	if o.out, err = filepath.Abs(o.out); err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	go func() { <-stop; killAll(); os.Exit(1) }()
	defer killAll()

	pins := map[string][]bool{"yes": {true}, "no": {false}, "both": {true, false}}[pin]
	if pins == nil {
		return fmt.Errorf("flag -pin: %q is none of yes, no, both", pin)
	}
	for _, o.pin = range pins {
		if o.pin {
			fmt.Printf("\n== pinned: server on core 0, load and stub on core 1; %d connections, median of %d rounds of %s\n", o.conns, o.rounds, o.duration)
		} else {
			fmt.Printf("\n== unpinned: all on all cores; %d connections, median of %d rounds of %s\n", o.conns, o.rounds, o.duration)
		}
		if err := runCases(o); err != nil {
			return err
		}
	}
	return nil
}
