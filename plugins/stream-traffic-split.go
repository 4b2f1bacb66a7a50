package plugins

import "millrace/plugin"

func init() {
	plugin.RegisterStream[streamTrafficSplit]("traffic-split", 966, trafficSplitSchema)
}

// streamTrafficSplit sends a part of the connections to other upstreams than the
// route's.
type streamTrafficSplit struct{ trafficSplit }

var (
	_ plugin.Checker   = (*streamTrafficSplit)(nil)
	_ plugin.Initer    = (*streamTrafficSplit)(nil)
	_ plugin.Prereader = (*streamTrafficSplit)(nil)
	_ plugin.Closer    = (*streamTrafficSplit)(nil)
)

// Preread chooses the upstream by the first rule that matches.
func (p *streamTrafficSplit) Preread(c *plugin.Context) error {
	if u := p.choose(c); u != nil && u.handle != nil {
		c.SetUpstream(u.handle)
	}
	return nil
}
