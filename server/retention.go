package server

import (
	"context"
	"time"

	"millrace/activation"
)

// expireEvery is how often old activation records are looked for.
const expireEvery = time.Minute

// expire removes activation records that are past their retention, until ctx
// ends.
func (s *Server) expire(ctx context.Context) error {
	keep := activation.Retention{MaxAge: s.cfg.Functions.Retention.MaxAge, MaxBytes: s.cfg.Functions.Retention.MaxSize}
	t := time.NewTicker(expireEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-t.C:
			n, err := s.state.activations.Expire(ctx, now, func(string) activation.Retention { return keep })
			switch {
			case err != nil && ctx.Err() == nil:
				s.log.Error("expiring activation records", "error", err)
			case n > 0:
				s.log.Info("removed old activation records", "records", n)
			}
		}
	}
}
