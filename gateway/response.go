package gateway

import "millrace/plugin"

// response is the answer as plugins see it.
type response struct {
	status int
	fields fields
}

var _ plugin.Response = (*response)(nil)

func (r *response) reset() { r.status, r.fields = 0, r.fields[:0] }

func (r *response) Status() int          { return r.status }
func (r *response) SetStatus(status int) { r.status = status }

func (r *response) Header(name string) []byte                { return r.fields.get(name) }
func (r *response) Headers(fn func(name, value []byte) bool) { r.fields.each(fn) }
func (r *response) SetHeader(name, value string)             { r.fields.set(name, value) }
func (r *response) AddHeader(name, value string)             { r.fields.add(name, value) }
func (r *response) DelHeader(name string)                    { r.fields.del(name) }
