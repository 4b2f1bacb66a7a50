package server

import (
	"context"

	"millrace/whisk"
	"millrace/whisk/api"
	"millrace/whisk/catalog"
	"millrace/whisk/feed"
)

// feeds are the event sources. Their functions are needed before the REST API is
// there, by which they fire triggers.
type feeds struct {
	*feed.Feeds
	firer *firer
}

// firer fires triggers through an API that comes later, before anything fires.
type firer struct{ api *api.API }

// FireLocal fires a trigger.
func (f *firer) FireLocal(ctx context.Context, caller *whisk.Identity, trigger whisk.FullName, payload []byte) (string, error) {
	return f.api.FireLocal(ctx, caller, trigger, payload)
}

func (f *feeds) fireBy(a *api.API) { f.firer.api = a }

func (s *Server) openFeeds(ctx context.Context, entities *catalog.Catalog, url string) (*feeds, error) {
	limits := &s.cfg.Functions.Limits
	f := &feeds{firer: &firer{}}
	var err error
	f.Feeds, err = feed.Open(ctx, feed.Config{
		Log:        s.log,
		Store:      s.state.store,
		Keys:       s.tenants,
		Triggers:   entities,
		Firer:      f.firer,
		Sealer:     s.sealer,
		URL:        url,
		MaxPayload: limits.MaxPayload,
		CronFields: limits.CronFields,
		Meter:      s.meter,
	})
	return f, err
}
