package watermark

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(-1)
		ended := make(chan error, 1)
		go func() { ended <- m.Wait(t.Context(), 5) }()
		for _, to := range []int64{3, 2} {
			m.Raise(to)
			synctest.Wait()
			if m.At() != 3 || len(ended) > 0 {
				t.Fatalf("raised to %d: at %d, %d have returned", to, m.At(), len(ended))
			}
		}
		m.Raise(6)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if m.Lower(7); m.At() != 6 {
			t.Errorf("lowered from 6 to 7: at %d", m.At())
		}
		if err := m.Wait(t.Context(), 6); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { ended <- m.Wait(ctx, 7) }()
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
		if m.Lower(2); m.At() != 2 {
			t.Errorf("lowered from 6 to 2: at %d", m.At())
		}
	})
}
