// Package config reads config.yaml into one checked Config value: addresses
// parsed, durations as time.Duration, every key known.
//
// The gateway's part uses the key names of Apache APISIX; `functions`,
// `console`, `data`, `log` and `roles` stand beside them. What a file leaves
// out keeps its default: mappings are merged, lists (and functions.users) are
// replaced. The keys and where each goes are the table in keys.go; example.yaml
// shows those that matter with their defaults.
package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"time"
)

// Config is all that a process is told by its configuration file.
type Config struct {
	// File is the path it was read from, empty for the defaults.
	File string
	// Data is the data folder, empty for the user's state folder. With
	// Ephemeral nothing is kept.
	Data      string
	Ephemeral bool
	// Roles are the parts to start, in starting order, without repetition.
	Roles []Role
	Log   Log
	// Workers is how many processors are used at once; 0 is all.
	Workers int
	// DrainTimeout bounds how long requests in flight may take at shutdown.
	DrainTimeout time.Duration
	// InsecureWellKnownKeys lets CheckExposure pass in any case.
	InsecureWellKnownKeys bool

	Gateway   Gateway
	Admin     Admin
	Functions Functions
	Operator  Operator
	Console   Console

	values map[string]string // see Changed

	// Warnings name the keys that are known but have no effect here with their
	// lines, those with the same reason together.
	Warnings []string
}

// Role is a part of the system that a process can play.
type Role string

// The roles, in starting order.
const (
	RoleFunctions Role = "functions"
	RoleOperator  Role = "operator"
	RoleGateway   Role = "gateway"
	RoleAdmin     Role = "admin"
	RoleConsole   Role = "console"
)

// AllRoles answers every role in starting order.
func AllRoles() []Role {
	return []Role{RoleFunctions, RoleOperator, RoleGateway, RoleAdmin, RoleConsole}
}

// Has tells whether the process plays a role.
func (c *Config) Has(r Role) bool {
	for _, have := range c.Roles {
		if have == r {
			return true
		}
	}
	return false
}

// Log says how the process logs. Format is auto (text on a terminal, JSON
// otherwise), text or json.
type Log struct {
	Level  slog.Level
	Format string
}

// Listener is an address to listen on. Port 0 takes any free one.
type Listener struct {
	Addr netip.AddrPort
	// Network is tcp, or tcp4 where IPv6 is switched off: what net.Listen takes.
	Network string
	// HTTP2 and HTTP3 are only meant for the data plane.
	HTTP2, HTTP3 bool
}

// Address is ip:port, as net.Listen takes it.
func (l Listener) Address() string { return l.Addr.String() }

// Loopback tells whether only this machine can reach the listener.
func (l Listener) Loopback() bool { return l.Addr.Addr().IsLoopback() }

// Gateway configures the data plane and the Control API.
type Gateway struct {
	Listen       []Listener
	TLS          TLS
	ACME         ACME
	ServerTokens bool
	// Router is radixtree_host_uri, radixtree_uri or radixtree_uri_with_parameter.
	Router                  string
	DeleteURITailSlash      bool
	NormalizeURILikeServlet bool
	MatchURIEncodedSlash    bool
	ShowUpstreamStatus      bool
	// MaxPostArgs and MaxGraphql in bytes bound the bodies in which the variables post_arg…
	// and graphql_… are looked for.
	MaxPostArgs, MaxGraphql int64
	// TrustedAddresses are the peers whose X-Forwarded-* headers are believed.
	TrustedAddresses []netip.Prefix
	Control          Control
	Prometheus       Prometheus
	// ID names this process to others; empty: a random one, which the data folder keeps.
	ID string
	// ServerInfoTTL is how long what the plugin server-info tells of this process holds,
	// BatchURI where batch-requests has its endpoint, empty for its own place.
	ServerInfoTTL time.Duration
	BatchURI      string
	// RedirectPort is where the plugin redirect finds HTTPS; 0: on the first TLS listener.
	RedirectPort int
	Status       Status
	AccessLog    AccessLog
	RealIP       RealIP
	// KeepaliveTimeout closes idle client connections, 0 after each request; the
	// others bound reading a request's header and body and writing its answer.
	KeepaliveTimeout, ClientHeaderTimeout, ClientBodyTimeout, SendTimeout time.Duration
	// MaxBodySize in bytes; 0 is no bound.
	MaxBodySize          int64
	ClientLimits         ClientLimits
	UnderscoresInHeaders bool
	Upstream             UpstreamPool
	// NoHealthChecks: no upstream's nodes are checked, whatever it says.
	NoHealthChecks bool
	Resolver       Resolver
	Discovery      Discovery
	DataEncryption DataEncryption
	Secrets        Secrets
	// Plugins are the names of the plugins that may be used; nil is all.
	Plugins       []string
	Source        Source
	Stream        Stream
	ProxyProtocol ProxyProtocol
}

// TLS configures the data plane's TLS listeners.
type TLS struct {
	Enabled bool
	// Given: the file says something about it.
	Given  bool
	Listen []Listener
	// MinVersion and MaxVersion are tls.VersionTLS10 … tls.VersionTLS13.
	MinVersion, MaxVersion uint16
	SessionTickets         bool
	// CipherSuites are those up to TLS 1.2; nil stands for Go's own.
	CipherSuites []uint16
	// TrustedCertificate is a PEM file of authorities, empty for the system's.
	TrustedCertificate string
	// FallbackSNI names the certificate for clients that send no server name.
	FallbackSNI string
}

// Control configures the Control API.
type Control struct {
	Enabled bool
	Listen  Listener
}

// Status configures the status API, which is off unless the file has its key.
type Status struct {
	Enabled bool
	Listen  Listener
}

// AccessLog says where a line for each request is written to; nowhere without Path.
type AccessLog struct {
	Enabled bool
	// Path is of a file. One that is not absolute is below the data folder. Implied: the
	// file does not name it.
	Path    string
	Implied bool
	// Format has variables such as $request in it; Escape, of their values, is
	// default, json or none, as in nginx.
	Format, Escape string
	// Buffer is how many bytes may wait to be written.
	Buffer int64
}

// RealIP says which peers may name the client's address, and in which header.
type RealIP struct {
	Header    string
	Recursive bool
	From      []netip.Prefix
}

// Resolver says how the names of nodes are looked up.
type Resolver struct {
	Servers []string // address or address:port; none means the system's
	// Valid is how long an answer is used, 0 as long as it says itself.
	Valid   time.Duration
	Timeout time.Duration // of a look-up
	Search  bool          // in the search domains of the system
}

// UpstreamPool bounds the idle connections to upstreams: how many, how many
// requests each may carry, and how long one may idle. Keepalive 0 keeps none.
type UpstreamPool struct {
	Keepalive         int
	KeepaliveRequests int
	KeepaliveTimeout  time.Duration
}

// DataEncryption says whether secrets in stored resources are encrypted. The
// first key encrypts, all of them decrypt; each has 16 or 32 bytes.
type DataEncryption struct {
	Enabled bool
	Keyring []string
}

// Admin configures the Admin API.
type Admin struct {
	Enabled     bool
	Listen      Listener
	Keys        []AdminKey
	KeyRequired bool
	// AllowFrom are the networks that may call; empty is every one.
	AllowFrom []netip.Prefix
	CORS      bool
	// APIVersion is v3, or v2 or default, which are one.
	APIVersion string
	TLS        AdminTLS
}

// AdminKey opens the Admin API. Role viewer may only read, any other may write.
type AdminKey struct {
	Name, Key, Role string
	// Generated: the file left the key empty, so a random one was made for this
	// run; it has to be shown at start, as nobody else knows it.
	Generated bool
}

// Functions configures the functions platform.
type Functions struct {
	Listen           []Listener
	APIGatewayListen []Listener
	// APIGatewayURL is where clients reach the API gateway; empty: at the host by
	// which they reach the functions API, on the port of APIGatewayListen.
	APIGatewayURL string
	// APIGatewayBackends are networks that APIs may call beside the Internet.
	APIGatewayBackends []netip.Prefix
	Users              []User
	// MasterKey, in hex, seals secrets in the store; MasterKeyFile is a file with
	// it. Both empty: the file master.key in the data folder, made at first start.
	MasterKey, MasterKeyFile string
	Limits                   Limits
	// Memory in bytes is the budget of all instances; 0: chosen at start from
	// what the machine has.
	Memory int64
	// Isolation is auto (every layer the machine allows), require (all or fail) or off.
	Isolation string
	// Runtimes maps a family (nodejs, python) to the program that runs it;
	// families not named are looked for in PATH.
	Runtimes map[string]string
	// NodeModules is a folder of modules that Node actions find in addition to
	// their own, empty for none.
	NodeModules string
	// WebSandbox has browsers give what web actions answer an origin of its own.
	WebSandbox bool
	// StemCells is how many uninitialised instances are kept for each kind in use.
	StemCells int
	// IdleTimeout ends an instance that served nothing for so long.
	IdleTimeout time.Duration
	// Retention bounds the activation records of each namespace; 0 is no bound.
	Retention Retention
}

// User is a subject, its namespace of the same name, and the two halves of its key.
type User struct {
	Namespace    string
	UUID, Secret string
}

// Retention says how long activation records are kept.
type Retention struct {
	MaxAge  time.Duration
	MaxSize int64 // bytes
}

// Limits bound what namespaces may do and what actions may ask for. Sizes are
// in bytes.
type Limits struct {
	InvocationsPerMinute, ConcurrentInvocations, FiresPerMinute int

	SequenceLength                                           int
	CronFields                                               int // 6 allows seconds
	MinActionTimeout, DefaultActionTimeout, MaxActionTimeout time.Duration
	MinActionMemory, DefaultActionMemory, MaxActionMemory    int64
	MinActionLogs, DefaultActionLogs, MaxActionLogs          int64
	MaxActionConcurrency                                     int
	MaxPayload, MaxParameters, MaxCode, MaxResult            int64
	MaxBlockingWait                                          time.Duration
}

// Operator configures the API for namespaces, their keys and limits. It is served
// beside the functions API.
type Operator struct {
	Listen Listener
	// Key is what clients must know, KeyFile a file with it. Both empty: the file
	// operator.key in the data folder, made at first start.
	Key, KeyFile string
}

// Console configures the dashboard.
type Console struct {
	Listen []Listener
}

// Default answers the configuration of a process that is told nothing.
func Default() *Config {
	return &Config{
		Roles:        AllRoles(),
		Log:          Log{Level: slog.LevelInfo, Format: "auto"},
		DrainTimeout: 240 * time.Second,
		Gateway:      defaultGateway(),
		Admin: Admin{
			Enabled: true,
			Listen:  loopback(9180),
			Keys: []AdminKey{
				{Name: "admin", Key: wellKnownAdminKey, Role: "admin"},
				{Name: "viewer", Key: wellKnownViewerKey, Role: "viewer"},
			},
			KeyRequired: true,
			AllowFrom:   []netip.Prefix{netip.MustParsePrefix("127.0.0.0/24"), netip.MustParsePrefix("::1/128")},
			CORS:        true,
			APIVersion:  "v3",
		},
		Functions: defaultFunctions(),
		Operator:  Operator{Listen: loopback(3235)},
		Console:   Console{Listen: []Listener{loopback(3232)}},
	}
}

// accessLogFormat is APISIX's.
const accessLogFormat = `$remote_addr - $remote_user [$time_local] $http_host "$request" $status $body_bytes_sent $request_time "$http_referer" "$http_user_agent" ` +
	`$upstream_addr $upstream_status $upstream_response_time "$upstream_scheme://$upstream_host$upstream_uri" "$apisix_request_id"`

func defaultGateway() Gateway {
	return Gateway{
		Stream: defaultStream(), Secrets: defaultSecrets(),
		Source: Source{Provider: "data", Etcd: Etcd{Prefix: "/apisix", Timeout: 30 * time.Second, Retries: 2, StartupWait: 5 * time.Second, TLS: EtcdTLS{Verify: true}}},
		Listen: []Listener{{Addr: netip.AddrPortFrom(netip.IPv4Unspecified(), 9080), Network: "tcp", HTTP2: true}},
		TLS: TLS{
			Enabled:    true,
			Listen:     []Listener{{Addr: netip.AddrPortFrom(netip.IPv4Unspecified(), 9443), Network: "tcp", HTTP2: true}},
			MinVersion: tls.VersionTLS12,
			MaxVersion: tls.VersionTLS13,
		},
		ACME:                 ACME{Challenges: []string{HTTP01, TLSALPN01}},
		ServerTokens:         true,
		Router:               "radixtree_host_uri",
		MaxPostArgs:          64 << 20,
		MaxGraphql:           1 << 20,
		ServerInfoTTL:        60 * time.Second,
		Control:              Control{Enabled: true, Listen: loopback(9090)},
		Prometheus:           Prometheus{Enabled: true, Listen: loopback(9091), URI: "/apisix/prometheus/metrics", Prefix: "apisix_"},
		Status:               Status{Listen: loopback(7085)},
		AccessLog:            AccessLog{Enabled: true, Format: accessLogFormat, Escape: "default", Buffer: 16 << 10},
		RealIP:               RealIP{Header: "X-Real-IP", From: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}},
		KeepaliveTimeout:     60 * time.Second,
		ClientHeaderTimeout:  60 * time.Second,
		ClientBodyTimeout:    60 * time.Second,
		SendTimeout:          10 * time.Second,
		ClientLimits:         ClientLimits{Requests: 1000, Connections: 10620, HeaderLine: 8 << 10, Header: 32 << 10},
		UnderscoresInHeaders: true,
		Upstream:             UpstreamPool{Keepalive: 320, KeepaliveRequests: 1000, KeepaliveTimeout: 60 * time.Second},
		Resolver:             Resolver{Timeout: 5 * time.Second, Search: true},
		DataEncryption:       DataEncryption{Enabled: true, Keyring: []string{"qeddd145sfvddff3", "edd1c9f0985e76a2"}},
	}
}

func defaultFunctions() Functions {
	return Functions{
		Listen:           []Listener{loopback(3233)},
		APIGatewayListen: []Listener{loopback(3234)},
		Users: []User{
			{Namespace: "guest", UUID: wellKnownGuestUUID, Secret: wellKnownGuestSecret},
			{Namespace: "whisk.system", UUID: wellKnownSystemUUID, Secret: wellKnownSystemSecret},
		},
		Limits: Limits{
			InvocationsPerMinute: 60000, ConcurrentInvocations: 1000, FiresPerMinute: 60000,
			SequenceLength: 50, CronFields: 6,
			MinActionTimeout: 100 * time.Millisecond, DefaultActionTimeout: time.Minute, MaxActionTimeout: 5 * time.Minute,
			MinActionMemory: 128 << 20, DefaultActionMemory: 256 << 20, MaxActionMemory: 512 << 20,
			DefaultActionLogs: 10 << 20, MaxActionLogs: 10 << 20,
			MaxActionConcurrency: 1,
			MaxPayload:           1 << 20, MaxParameters: 1 << 20, MaxCode: 48 << 20, MaxResult: 1 << 20,
			MaxBlockingWait: time.Minute,
		},
		Isolation:   "auto",
		StemCells:   2,
		IdleTimeout: 10 * time.Minute,
		Retention:   Retention{MaxAge: 30 * 24 * time.Hour, MaxSize: 1 << 30},
	}
}

func loopback(port uint16) Listener {
	return Listener{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port), Network: "tcp"}
}

// Load reads the file at path over the defaults; an empty path is the defaults
// alone. env looks up a variable for ${{NAME}}. The error names every problem
// found, each on a line of its own as file:line: key: what is wrong.
func Load(path string, env func(string) (string, bool)) (*Config, error) {
	if path == "" {
		return Default(), nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: there is no such file; give --config the path of a config.yaml, or leave it out for the defaults", path)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return parse(path, text, env)
}
