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
