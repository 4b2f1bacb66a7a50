package plugins

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"log/slog"
	"net/url"
	"strings"

	"millrace/plugin"
)

const grpcWebSchema = `{"type":"object","properties":{
	"cors_allow_headers":{
		"description":"multiple header use ',' to split. default: content-type,x-grpc-web,x-user-agent.",
		"type":"string","default":"content-type,x-grpc-web,x-user-agent"
	}
}}`

func init() { plugin.Register[grpcWeb]("grpc-web", 505, grpcWebSchema) }

// grpcWeb lets browsers call gRPC services: they send one message in a body of its own
// media type, and get the trailers as the last part of the answer's body.
type grpcWeb struct {
	AllowHeaders string `json:"cors_allow_headers"`

	log *slog.Logger
}

var (
	_ plugin.Initer       = (*grpcWeb)(nil)
	_ plugin.Accesser     = (*grpcWeb)(nil)
	_ plugin.HeaderFilter = (*grpcWeb)(nil)
	_ plugin.BodyStreamer = (*grpcWeb)(nil)
	_ plugin.BodyChooser  = (*grpcWeb)(nil)
)

// grpcWebCall is a call that the plugin has let pass: its media type, and whether its
// bodies are base64.
type grpcWebCall struct {
	mime string
	text bool
}

// grpcWebTypes are the media types of calls, and which of them are base64.
var grpcWebTypes = map[string]bool{
	"application/grpc-web": false, "application/grpc-web+proto": false,
	"application/grpc-web-text": true, "application/grpc-web-text+proto": true,
}

// grpcWebBody is the longest request that is read.
const grpcWebBody = 64 << 20

// Init implements plugin.Initer.
func (p *grpcWeb) Init(env *plugin.Env) error {
	p.log = env.Log
	return nil
}

// Access makes a call of gRPC of the request: the rest of the path behind the route's
// prefix names the method.
func (p *grpcWeb) Access(c *plugin.Context) error {
	switch method := c.Request.Method(); method {
	case "POST":
	case "OPTIONS":
		return c.Exit(204, nil)
	default:
		return p.refuse(c, 405, "request method is not POST", method)
	}
	mime := string(c.Request.Header("Content-Type"))
	text, ok := grpcWebTypes[mime]
	if !ok {
		return p.refuse(c, 400, "request Content-Type is not of gRPC-Web", mime)
	}
	if c.Matched.Ext == "" {
		return p.refuse(c, 400, "routing configuration error, grpc-web plugin only supports `prefix matching` pattern routing", c.Matched.URI)
	}
	body, err := c.Request.Body(grpcWebBody)
	if err != nil {
		return err
	}
	if len(body) == 0 {
		return p.refuse(c, 400, "failed to read request body", "")
	}
	if text {
		if body = decodeBase64Parts(body); body == nil {
			return p.refuse(c, 400, "failed to decode request body", "")
		}
	}
	c.Request.SetBody(body)
	c.Request.SetHeader("Content-Type", "application/grpc")
	c.UpstreamTarget = (&url.URL{Path: "/" + strings.TrimPrefix(c.Matched.Ext, "/"), RawQuery: c.Request.Query()}).RequestURI()
	c.SetValue(p, grpcWebCall{mime, text})
	return nil
}

func (p *grpcWeb) refuse(c *plugin.Context, status int, why, what string) error {
	p.log.Warn("grpc-web: "+why, "route", c.Matched.RouteID, "is", what)
	return c.Exit(status, nil)
}

// FilterHeader lets pages of all origins read the answer, unless the plugin cors has
// said which may.
func (p *grpcWeb) FilterHeader(c *plugin.Context) {
	r := c.Response
	if c.Request.Method() == "OPTIONS" {
		r.SetHeader("Access-Control-Allow-Methods", "POST")
		r.SetHeader("Access-Control-Allow-Headers", p.AllowHeaders)
	}
	if c.Value(corsAllowed{}) == nil {
		r.SetHeader("Access-Control-Allow-Origin", "*")
	}
	r.SetHeader("Access-Control-Expose-Headers", "grpc-message,grpc-status")
	if call, ok := c.Value(p).(grpcWebCall); ok {
		r.SetHeader("Content-Type", call.mime)
		r.DelHeader("Content-Length")
	}
}

// WantsBody implements plugin.BodyChooser.
func (p *grpcWeb) WantsBody(c *plugin.Context) bool { return c.Value(p) != nil }

// StreamBody puts the trailers behind the body. Of a call in base64 each part is
// encoded by itself.
func (p *grpcWeb) StreamBody(c *plugin.Context, part []byte, last bool) []byte {
	call := c.Value(p).(grpcWebCall)
	var out []byte
	if !call.text {
		out = part
		if last {
			out = append(part[:len(part):len(part)], grpcWebTrailer(c)...)
		}
		return out
	}
	out = base64.StdEncoding.AppendEncode(nil, part)
	if last {
		out = base64.StdEncoding.AppendEncode(out, grpcWebTrailer(c))
	}
	return out
}

// grpcWebTrailer is the trailers as the last frame of a body: 0x80, their length, and a
// line for each. A call that failed at once has its status in the header.
func grpcWebTrailer(c *plugin.Context) []byte {
	status, message := "2", "upstream grpc status not received"
	if v := c.Var("upstream_trailer_grpc_status"); v.Present && v.Text != "" {
		status, message = v.Text, c.Var("upstream_trailer_grpc_message").Text
	} else if v := c.Var("upstream_http_grpc_status"); v.Present && v.Text != "" {
		status, message = v.Text, c.Var("upstream_http_grpc_message").Text
	}
	frame := append(make([]byte, 0, 64), 0x80, 0, 0, 0, 0)
	frame = append(frame, "grpc-status:"+status+"\r\ngrpc-message:"+message+"\r\n"...)
	if c.Upstream.Trailers != nil {
		c.Upstream.Trailers(func(name, value []byte) bool {
			if lower := strings.ToLower(string(name)); lower != "grpc-status" && lower != "grpc-message" {
				frame = append(frame, lower+":"+string(value)+"\r\n"...)
			}
			return true
		})
	}
	binary.BigEndian.PutUint32(frame[1:], uint32(len(frame)-5))
	return frame
}

// decodeBase64Parts decodes base64 that may have been put together of several padded
// texts; nil if it is none.
func decodeBase64Parts(text []byte) []byte {
	if len(text)%4 != 0 {
		return nil
	}
	out := make([]byte, 0, len(text)/4*3)
	for len(text) > 0 {
		n := len(text) // up to the next padding
		if i := bytes.IndexByte(text, '='); i >= 0 {
			n = i/4*4 + 4
		}
		var err error
		if out, err = base64.StdEncoding.AppendDecode(out, text[:n]); err != nil {
			return nil
		}
		text = text[n:]
	}
	return out
}
