package plugins

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"millrace/internal/calmlog"
	"millrace/plugin"
)

const mqttProxySchema = `{"type":"object",
	"properties":{
		"protocol_name":{"type":"string"},
		"protocol_level":{"type":"integer"},
		"upstream":{"description":"Deprecated. We should configure upstream outside of the plugin","type":"object",
			"properties":{"ip":{"type":"string"},"host":{"type":"string"},"port":{"type":"number"}},
			"oneOf":[{"required":["host","port"]},{"required":["ip","port"]}]}},
	"required":["protocol_name","protocol_level"]}`

func init() { plugin.RegisterStream[mqttProxy]("mqtt-proxy", 1000, mqttProxySchema) }

// mqttProxy lets MQTT clients of one version pass. Who they are is the variable
// mqtt_client_id, by which chash sends them to the same node each time.
type mqttProxy struct {
	ProtocolName  string `json:"protocol_name"`
	ProtocolLevel int    `json:"protocol_level"`
	Upstream      *struct {
		IP   string  `json:"ip"`
		Host string  `json:"host"`
		Port float64 `json:"port"`
	} `json:"upstream"`

	log      *slog.Logger
	upstream plugin.UpstreamHandle // nil: the route's
}

var (
	_ plugin.Initer    = (*mqttProxy)(nil)
	_ plugin.Prereader = (*mqttProxy)(nil)
	_ plugin.Closer    = (*mqttProxy)(nil)
)

// Init makes the upstream of the plugin's own ready.
func (p *mqttProxy) Init(env *plugin.Env) (err error) {
	p.log = calmlog.New(env.Log.With("plugin", "mqtt-proxy"), "route")
	if p.Upstream == nil {
		return nil
	}
	compiler, ok := plugin.Service[plugin.UpstreamCompiler](env)
	if !ok {
		return errNoUpstreams
	}
	host := p.Upstream.Host
	if host == "" {
		host = p.Upstream.IP
	}
	node := map[string]any{"host": host, "port": int(p.Upstream.Port), "weight": 1}
	conf, err := json.Marshal(map[string]any{"type": "roundrobin", "nodes": []any{node}})
	if err == nil {
		p.upstream, err = compiler.CompileUpstream(conf)
	}
	return err
}

// Close lets go of the upstream.
func (p *mqttProxy) Close() {
	if p.upstream != nil {
		p.upstream.Close()
	}
}

// Preread reads the client's first packet.
func (p *mqttProxy) Preread(c *plugin.Context) error {
	packet, err := readConnect(c.Stream.Client)
	switch {
	case err != nil:
	case packet.name != p.ProtocolName:
		err = fmt.Errorf("mismatch protocol name: %q", packet.name)
	case packet.level != p.ProtocolLevel:
		err = fmt.Errorf("mismatch protocol level: %d", packet.level)
	}
	if err != nil {
		p.log.Warn("refusing a client", "route", c.Matched.RouteID, "client", c.Conn.RemoteAddr, "err", err)
		return c.Exit(503, nil)
	}
	if packet.clientID != "" {
		c.SetVar("mqtt_client_id", packet.clientID)
	}
	if p.upstream != nil {
		c.SetUpstream(p.upstream)
	}
	return nil
}

// connectPacket is what a client's first packet says.
type connectPacket struct {
	name     string
	level    int
	clientID string
}

// errNotMQTT says that a client does not begin with CONNECT.
var errNotMQTT = errors.New("not an MQTT CONNECT packet")

// mqtt5 is the protocol level from which on packets have properties.
const mqtt5 = 5

// readConnect looks ahead into a CONNECT packet up to the client's id; no more than
// is needed is waited for.
func readConnect(client plugin.Peeker) (packet connectPacket, err error) {
	r := connectReader{client: client, end: 1}
	if first := r.take(1); r.err == nil && first[0] != 0x10 {
		return packet, errNotMQTT
	}
	r.end += 4
	length := r.varint()
	r.end = r.at + length
	packet.name = r.text()
	if head := r.take(4); r.err == nil { // level, flags, keep alive
		packet.level = int(head[0])
	}
	if packet.level >= mqtt5 {
		r.take(r.varint())
	}
	packet.clientID = r.text()
	return packet, r.err
}

// connectReader reads a packet that ends at end. After an error it answers nothing.
type connectReader struct {
	client  plugin.Peeker
	at, end int
	err     error
}

func (r *connectReader) take(n int) []byte {
	if r.err == nil && r.at+n > r.end {
		r.err = fmt.Errorf("%w: it is cut short", errNotMQTT)
	}
	if r.err != nil {
		return nil
	}
	b, err := r.client.Peek(r.at + n)
	if err != nil {
		r.err = err
		return nil
	}
	r.at += n
	return b[r.at-n : r.at]
}

// varint reads a number in groups of seven bits, four of them at most.
func (r *connectReader) varint() (n int) {
	for shift := 0; shift < 28; shift += 7 {
		b := r.take(1)
		if r.err != nil {
			return 0
		}
		if n |= int(b[0]&0x7f) << shift; b[0]&0x80 == 0 {
			return n
		}
	}
	r.err = fmt.Errorf("%w: a length is too long", errNotMQTT)
	return 0
}

// text reads a text with its length before it.
func (r *connectReader) text() string {
	size := r.take(2)
	if r.err != nil {
		return ""
	}
	return string(r.take(int(binary.BigEndian.Uint16(size))))
}
