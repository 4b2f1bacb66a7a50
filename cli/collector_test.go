package cli

import "testing"

func TestGarbagePercent(t *testing.T) {
	for live, want := range map[uint64]int{
		0: 400, 10 << 20: 400, 64 << 20: 400, 65 << 20: 200, 128 << 20: 200, 129 << 20: 100, 10 << 30: 100,
	} {
		if got := garbagePercent(live); got != want {
			t.Errorf("%d MB live: %d, want %d", live>>20, got, want)
		}
	}
}
