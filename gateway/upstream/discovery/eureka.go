package discovery

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"millrace/resource"
)

// Eureka is servers of Eureka that know the same services.
type Eureka struct {
	Host          []string      // URLs, with user and password if needed
	Prefix        string        // "" is /eureka/
	Weight        int           // of an instance without one; 0 is 100
	FetchInterval time.Duration // 0 is thirty seconds
	Timeout       time.Duration // 0 is five seconds
}

type eureka struct {
	*poller
	conf    Eureka
	servers []*server
}

func newEureka(c *Eureka, log *slog.Logger) (registry, error) {
	r := &eureka{conf: *c, poller: newPoller("eureka", log, cmp.Or(c.FetchInterval, 30*time.Second))}
	r.conf.Weight, r.conf.Prefix = cmp.Or(c.Weight, 100), cmp.Or(c.Prefix, "/eureka/")
	var err error
	r.servers, err = newServers(c.Host, cmp.Or(c.Timeout, 5*time.Second))
	r.fetch, r.everything = r.ask, r.askEverything
	return r, err
}

// anyOf asks servers in turn from a random one on until one answers.
func anyOf[S any](servers []S, ask func(S) error) error {
	var errs []error
	start := rand.IntN(len(servers))
	for i := range servers {
		err := ask(servers[(start+i)%len(servers)])
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

type eurekaApps struct {
	Applications struct {
		Application oneOrMore[struct {
			Name     string                    `json:"name"`
			Instance oneOrMore[eurekaInstance] `json:"instance"`
		}] `json:"application"`
	} `json:"applications"`
}

// oneOrMore is a list of which a single member may stand for itself.
type oneOrMore[T any] []T

// UnmarshalJSON takes an array or one member.
func (l *oneOrMore[T]) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '[' {
		return json.Unmarshal(data, (*[]T)(l))
	}
	var one T
	if err := json.Unmarshal(data, &one); err != nil {
		return err
	}
	*l = oneOrMore[T]{one}
	return nil
}

type eurekaInstance struct {
	IPAddr           string                     `json:"ipAddr"`
	Status           string                     `json:"status"`
	OverriddenStatus string                     `json:"overriddenstatus"` // the case of S varies
	Port             eurekaPort                 `json:"port"`
	SecurePort       eurekaPort                 `json:"securePort"`
	Metadata         map[string]json.RawMessage `json:"metadata"`
}

// eurekaPort has its values as texts or not, as the server's version likes.
type eurekaPort struct {
	Number  json.RawMessage `json:"$"`
	Enabled json.RawMessage `json:"@enabled"`
}

func (p *eurekaPort) port() int {
	if unquote(p.Enabled) != "true" {
		return 0
	}
	n, _ := strconv.Atoi(unquote(p.Number))
	return n
}

func unquote(raw json.RawMessage) string { return strings.Trim(string(raw), `"`) }

func (r *eureka) ask(ctx context.Context, wanted []name) (map[name][]resource.Node, error) {
	all, err := r.askEverything(ctx)
	if err != nil {
		return nil, err
	}
	found := map[name][]resource.Node{}
	for _, n := range wanted {
		for app, nodes := range all {
			if strings.EqualFold(app.service, n.service) {
				found[n] = append(found[n], nodes...)
			}
		}
	}
	return found, nil
}

func (r *eureka) askEverything(ctx context.Context) (map[name][]resource.Node, error) {
	var apps eurekaApps
	err := anyOf(r.servers, func(s *server) error {
		apps = eurekaApps{}
		return s.call(ctx, "GET", strings.TrimSuffix(r.conf.Prefix, "/")+"/apps", nil, &apps)
	})
	if err != nil {
		return nil, err
	}
	found := map[name][]resource.Node{}
	for i := range apps.Applications.Application {
		app := &apps.Applications.Application[i]
		n := name{service: app.Name}
		found[n] = append(found[n], r.nodes(app.Instance)...)
	}
	return found, nil
}

// nodes are the instances that are up.
func (r *eureka) nodes(instances []eurekaInstance) (nodes []resource.Node) {
	for i := range instances {
		in := &instances[i]
		status := in.Status
		if s := in.OverriddenStatus; s != "" && s != "UNKNOWN" {
			status = s
		}
		port := cmp.Or(in.SecurePort.port(), in.Port.port())
		if status != "UP" || port == 0 || in.IPAddr == "" {
			continue
		}
		n := resource.Node{Host: in.IPAddr, Port: port, Weight: r.conf.Weight}
		if w, err := strconv.Atoi(unquote(in.Metadata["weight"])); err == nil && w >= 0 {
			n.Weight = w
		}
		nodes = append(nodes, n)
	}
	return nodes
}
