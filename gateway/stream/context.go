package stream

import "context"

// request is the empty request that plugins find on a connection.
type request struct{ ctx context.Context }

func (request) Method() string                        { return "" }
func (request) Target() string                        { return "" }
func (request) Path() string                          { return "" }
func (request) Query() string                         { return "" }
func (request) SetQuery(string)                       {}
func (request) SetPath(string)                        {}
func (request) Host() string                          { return "" }
func (request) Header(string) []byte                  { return nil }
func (request) Headers(func(name, value []byte) bool) {}
func (request) SetHeader(_, _ string)                 {}
func (request) AddHeader(_, _ string)                 {}
func (request) DelHeader(string)                      {}
func (request) Body(int64) ([]byte, error)            { return nil, nil }
func (request) SetBody([]byte)                        {}

// Context ends with the connection.
func (r request) Context() context.Context { return r.ctx }

// response is the status of a connection, as nginx has them: 200, or why it was
// refused.
type response struct{ status int }

func (r *response) Status() int                         { return r.status }
func (r *response) SetStatus(status int)                { r.status = status }
func (*response) Header(string) []byte                  { return nil }
func (*response) Headers(func(name, value []byte) bool) {}
func (*response) SetHeader(_, _ string)                 {}
func (*response) AddHeader(_, _ string)                 {}
func (*response) DelHeader(string)                      {}
