package plugins

import (
	"time"

	"millrace/plugin"
)

// wait holds a request up. It answers plugin.ErrDrop if the client goes first.
func wait(c *plugin.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.Request.Context().Done():
		return plugin.ErrDrop
	}
}

// seconds is a time that a configuration gives; what is longer than a year is a year.
func seconds(n float64) time.Duration {
	const year = 365 * 24 * 3600
	return time.Duration(min(n, year) * float64(time.Second))
}
