package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// http2Scheme before a URL asks for HTTP/2 with prior knowledge, which h2load speaks.
const http2Scheme = "h2:"

// http2Streams is how many requests each connection has under way.
const http2Streams = 10

func http2Cases() []loadCase {
	return []loadCase{{"plain route over HTTP/2, 8 connections of 10 streams", 8, []subject{millraceHTTP2(), nginxHTTP2()}}}
}

func millraceHTTP2() subject {
	return millrace("millrace", func(o options, s *site, r *running) error {
		err := plainRoute(o, s, r)
		r.url = http2Scheme + r.url
		return err
	})
}

// nginxHTTP2 has a second port for HTTP/2: where that is spoken in the clear, nothing
// else is, and the wait for a server speaks HTTP/1.1.
func nginxHTTP2() subject {
	port := 0
	s := proxyTo("nginx", func(o options, plain int, stub string) string {
		port = freePort()
		listen := fmt.Sprintf("listen 127.0.0.1:%d;", plain)
		return strings.Replace(nginxConf(o, plain, stub), listen, fmt.Sprintf("%s listen 127.0.0.1:%d http2;", listen, port), 1)
	}, "nginx", "-c", "%s")
	return subject{s.name, func(o options) (*running, error) {
		r, err := s.start(o)
		if err == nil {
			r.url = fmt.Sprintf("%shttp://127.0.0.1:%d/hello", http2Scheme, port)
		}
		return r, err
	}}
}

var (
	h2loadRate  = regexp.MustCompile(`([\d.]+) req/s`)
	h2loadCount = regexp.MustCompile(`(\d+) done`)
	h2loadGood  = regexp.MustCompile(`status codes: (\d+) 2xx`)
	h2loadTimes = regexp.MustCompile(`time for request:\s+\S+\s+([\d.]+)(us|ms|s)\s+([\d.]+)(us|ms|s)`)
)

// measureHTTP2 is measure by h2load, which tells the mean and the longest time
// instead of percentiles.
func measureHTTP2(o options, server *process, conns int, url string) (sample, error) {
	args := []string{"h2load", "-t1", "-c" + strconv.Itoa(conns), "-m" + strconv.Itoa(http2Streams), fmt.Sprintf("-D%ds", max(1, int(o.duration.Seconds()))), url}
	if o.pin {
		args = append([]string{"taskset", "-c", "1"}, args...)
	}
	before := server.usage()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	after := server.usage()
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	done := number(h2loadCount, out)
	s := sample{rps: number(h2loadRate, out), bytes: after.bytes, failed: int(done - number(h2loadGood, out))}
	if m := h2loadTimes.FindSubmatch(out); m != nil {
		s.p99, _ = time.ParseDuration(string(m[1]) + string(m[2]))
		s.p50, _ = time.ParseDuration(string(m[3]) + string(m[4]))
	}
	if done > 0 {
		s.cpu = time.Duration(float64(after.cpu-before.cpu) / done)
	}
	return s, nil
}
