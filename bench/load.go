package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sample is what one round of load showed.
type sample struct {
	rps      float64
	p50, p99 time.Duration
	cpu      time.Duration // a request, of the server and its children
	bytes    int64
	failed   int // answers other than 2xx and 3xx, and connection errors
}

var (
	wrkRate    = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	wrkCount   = regexp.MustCompile(`(\d+) requests in`)
	wrkLatency = regexp.MustCompile(`(50|99)%\s+([\d.]+)(us|ms|s)\b`)
	wrkBad     = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
	wrkErrors  = regexp.MustCompile(`Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)`)
)

// measure loads url for one round and reads the server's accounting around it.
func measure(o options, server *process, conns int, url, script string) (sample, error) {
	if rest, ok := strings.CutPrefix(url, http2Scheme); ok {
		return measureHTTP2(o, server, conns, rest)
	}
	args := []string{"wrk", "-t1", "-c" + strconv.Itoa(conns), fmt.Sprintf("-d%ds", max(1, int(o.duration.Seconds()))), "--latency"}
	if script != "" {
		args = append(args, "-s", script)
	}
	args = append(args, url)
	if o.pin {
		args = append([]string{"taskset", "-c", "1"}, args...)
	}
	before := server.usage()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	after := server.usage()
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	s := sample{rps: number(wrkRate, out), bytes: after.bytes, failed: int(number(wrkBad, out))}
	for _, m := range wrkErrors.FindAllSubmatch(out, -1) {
		for _, n := range m[1:] {
			count, _ := strconv.Atoi(string(n))
			s.failed += count
		}
	}
	for _, m := range wrkLatency.FindAllSubmatch(out, -1) {
		d, _ := time.ParseDuration(string(m[2]) + string(m[3]))
		if string(m[1]) == "50" {
			s.p50 = d
		} else {
			s.p99 = d
		}
	}
	if n := number(wrkCount, out); n > 0 {
		s.cpu = time.Duration(float64(after.cpu-before.cpu) / n)
	}
	return s, nil
}

func number(re *regexp.Regexp, text []byte) float64 {
	m := re.FindSubmatch(text)
	if m == nil {
		return 0
	}
	v, _ := strconv.ParseFloat(string(m[1]), 64)
	return v
}

// median answers each figure's median over the rounds; failures are added up.
func median(rounds []sample) sample {
	mid := func(figure func(sample) float64) float64 {
		v := make([]float64, len(rounds))
		for i, r := range rounds {
			v[i] = figure(r)
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	m := sample{
		rps:   mid(func(s sample) float64 { return s.rps }),
		p50:   time.Duration(mid(func(s sample) float64 { return float64(s.p50) })),
		p99:   time.Duration(mid(func(s sample) float64 { return float64(s.p99) })),
		cpu:   time.Duration(mid(func(s sample) float64 { return float64(s.cpu) })),
		bytes: int64(mid(func(s sample) float64 { return float64(s.bytes) })),
	}
	for _, r := range rounds {
		m.failed += r.failed
	}
	return m
}
