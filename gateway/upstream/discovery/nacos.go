package discovery

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"millrace/resource"
)

// Nacos is servers of Nacos that know the same services.
type Nacos struct {
	Host          []string      // URLs, with user and password if needed
	Prefix        string        // "" is /nacos/v1/
	Weight        int           // of an instance without one; 0 is 100
	FetchInterval time.Duration // 0 is thirty seconds
	Timeout       time.Duration // 0 is five seconds
	// AccessKey and SecretKey sign requests, as Alibaba's MSE wants it.
	AccessKey, SecretKey string
}

type nacos struct {
	*poller
	conf    Nacos
	servers []*nacosServer
}

// nacosServer is a server with the token of its login.
type nacosServer struct {
	*server
	user  *url.Userinfo
	mu    sync.Mutex
	token string
	until time.Time
}

func newNacos(c *Nacos, log *slog.Logger) (registry, error) {
	r := &nacos{conf: *c, poller: newPoller("nacos", log, cmp.Or(c.FetchInterval, 30*time.Second))}
	r.conf.Weight = cmp.Or(c.Weight, 100)
	r.conf.Prefix = strings.TrimSuffix(cmp.Or(c.Prefix, "/nacos/v1/"), "/")
	servers, err := newServers(c.Host, cmp.Or(c.Timeout, 5*time.Second))
	if err != nil {
		return nil, err
	}
	for _, s := range servers {
		r.servers = append(r.servers, &nacosServer{server: s, user: s.user})
		s.user = nil // it is told once, for a token
	}
	r.fetch = r.ask
	return r, nil
}

func (r *nacos) ask(ctx context.Context, wanted []name) (map[name][]resource.Node, error) {
	found := map[name][]resource.Node{}
	var errs []error
	for _, n := range wanted {
		err := anyOf(r.servers, func(s *nacosServer) error {
			nodes, err := r.askServer(ctx, s, n)
			if err == nil {
				found[n] = nodes
			}
			return err
		})
		errs = append(errs, err)
	}
	return found, errors.Join(errs...)
}

func (r *nacos) askServer(ctx context.Context, s *nacosServer, n name) ([]resource.Node, error) {
	query := url.Values{"serviceName": {n.service}, "healthyOnly": {"true"}}
	if n.NamespaceID != "" {
		query.Set("namespaceId", n.NamespaceID)
	}
	if n.GroupName != "" {
		query.Set("groupName", n.GroupName)
	}
	if err := r.login(ctx, s, query); err != nil {
		return nil, err
	}
	r.sign(query, n)
	var answer struct {
		Hosts []struct {
			IP      string   `json:"ip"`
			Port    int      `json:"port"`
			Weight  *float64 `json:"weight"`
			Enabled *bool    `json:"enabled"`
		} `json:"hosts"`
	}
	err := s.call(ctx, "GET", r.conf.Prefix+"/ns/instance/list", query, &answer)
	if err != nil && !errors.Is(err, errAbsent) {
		s.forget()
		return nil, err
	}
	weights := make([]float64, len(answer.Hosts))
	nodes := make([]resource.Node, 0, len(answer.Hosts))
	for i, h := range answer.Hosts {
		weights[i] = float64(r.conf.Weight)
		if h.Weight != nil {
			weights[i] = *h.Weight
		}
	}
	scale := scaleOf(weights)
	for i, h := range answer.Hosts {
		if h.Enabled != nil && !*h.Enabled {
			continue
		}
		nodes = append(nodes, resource.Node{Host: h.IP, Port: h.Port, Weight: int(min(max(0, weights[i]*scale), 1e6))})
	}
	return nodes, nil
}

// scaleOf is what makes weights with fractions whole numbers.
func scaleOf(weights []float64) float64 {
	for _, w := range weights {
		if w != math.Trunc(w) {
			return 100
		}
	}
	return 1
}

// tokenValid is how long a token is used if the server does not say.
const tokenValid = 10 * time.Minute

// login adds the token of a server that wants one.
func (r *nacos) login(ctx context.Context, s *nacosServer, query url.Values) error {
	if s.user == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == "" || time.Now().After(s.until) {
		password, _ := s.user.Password()
		var answer struct {
			AccessToken string `json:"accessToken"`
			TokenTTL    int    `json:"tokenTtl"`
		}
		who := url.Values{"username": {s.user.Username()}, "password": {password}}
		if err := s.call(ctx, "POST", r.conf.Prefix+"/auth/login", who, &answer); err != nil {
			return fmt.Errorf("logging in: %w", err)
		}
		valid := tokenValid
		if ttl := time.Duration(answer.TokenTTL) * time.Second; ttl > 0 {
			valid = min(valid, ttl*9/10)
		}
		s.token, s.until = answer.AccessToken, time.Now().Add(valid)
	}
	query.Set("accessToken", s.token)
	return nil
}

// forget makes the next request log in again.
func (s *nacosServer) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = ""
}

func (r *nacos) sign(query url.Values, n name) {
	if r.conf.AccessKey == "" || r.conf.SecretKey == "" {
		return
	}
	data := strconv.FormatInt(time.Now().UnixMilli(), 10) + "@@" + cmp.Or(n.GroupName, "DEFAULT_GROUP") + "@@" + n.service
	mac := hmac.New(sha1.New, []byte(r.conf.SecretKey))
	mac.Write([]byte(data))
	query.Set("ak", r.conf.AccessKey)
	query.Set("data", data)
	query.Set("signature", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}
