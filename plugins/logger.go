package plugins

import (
	"millrace/plugin"
	"millrace/plugins/internal/logformat"
)

// entryMaker is the part of a logger that makes its entries. It keeps what is
// wanted of the bodies while a request passes.
type entryMaker struct {
	logformat.Conf

	process *Process
}

// bodiesKey finds the bodies that a logger has kept.
type bodiesKey struct{ of *entryMaker }

func (m *entryMaker) bodies(c *plugin.Context) *logformat.Bodies {
	b, _ := c.Value(bodiesKey{m}).(*logformat.Bodies)
	if b == nil {
		b = &logformat.Bodies{}
		c.SetValue(bodiesKey{m}, b)
	}
	return b
}

// Access keeps the beginning of the request's body, if it is logged.
func (m *entryMaker) Access(c *plugin.Context) error {
	if m.WantsRequestBody(c) {
		m.bodies(c).Request = m.RequestBody(c)
	}
	return nil
}

// WantsBody tells whether the answer's body is logged.
func (m *entryMaker) WantsBody(c *plugin.Context) bool {
	return m.IncludeRespBody && m.WantsResponseBody(c)
}

// WatchBody keeps the beginning of the answer's body.
func (m *entryMaker) WatchBody(c *plugin.Context, part []byte) {
	b := m.bodies(c)
	room := m.MaxRespBodyBytes - len(b.Response)
	b.Response = append(b.Response, part[:max(0, min(room, len(part)))]...)
}

// entry makes the entry of a request.
func (m *entryMaker) entry(c *plugin.Context, meta *logformat.Metadata) []byte {
	bodies := logformat.Bodies{}
	if m.LogsBodies() {
		bodies = *m.bodies(c)
	}
	server := logformat.Server{Hostname: m.process.host, Version: m.process.conf.Version}
	return m.Append(make([]byte, 0, 1024), c, meta, server, bodies)
}
