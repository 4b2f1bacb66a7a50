package cli

import (
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"
)

// The command stop may come while quit waits, and more than once: the server ends at
// once, but in order.
func TestStopWhileQuitWaits(t *testing.T) {
	first, second, stop := stopSignals(t.Context())
	defer stop()
	seen := make(chan os.Signal, 1)
	signal.Notify(seen, syscall.SIGTERM, syscall.SIGUSR2)
	defer signal.Stop(seen)
	send := func(sig syscall.Signal) {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), sig); err != nil {
			t.Fatal(err)
		}
		await(t, seen)
	}
	send(syscall.SIGTERM)
	await(t, first.Done())
	if second.Err() != nil {
		t.Error("the first signal cuts requests off")
	}
	send(syscall.SIGUSR2)
	await(t, second.Done())
	send(syscall.SIGUSR2)
}

func await[T any](t *testing.T, c <-chan T) (got T) {
	t.Helper()
	select {
	case got = <-c:
	case <-time.After(30 * time.Second):
		t.Fatal("waited in vain")
	}
	return got
}
