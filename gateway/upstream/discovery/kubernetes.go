package discovery

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"millrace/resource"
)

// Kubernetes is the API server of a cluster, whose endpoints are watched. A
// service is named namespace/name:port_name, with several clusters
// id/namespace/name:port_name.
type Kubernetes struct {
	ID     string // "" if there is one cluster
	Server string // URL
	// Token is the service account's, TokenFile the file that it is read from each
	// time. If there is a ca.crt beside the file, it verifies the API server.
	Token, TokenFile string
	DefaultWeight    int // of every node; 0 is 50
	LabelSelector    string
	// Namespace is the only one that is looked at, NotNamespace one that is not;
	// Match and NotMatch are regular expressions of which any decides.
	Namespace, NotNamespace string
	Match, NotMatch         []*regexp.Regexp
	// EndpointSlices watches these instead of Endpoints.
	EndpointSlices bool
}

// kubernetes is all clusters.
type kubernetes struct {
	clusters map[string]*cluster
}

// cluster follows one API server.
type cluster struct {
	services
	conf   Kubernetes
	log    *slog.Logger
	base   *url.URL
	client *http.Client

	known sync.Mutex
	// objects are the ports of each object of a service: its Endpoints, or its
	// slices. Services are named namespace/name. nil before the first list.
	objects map[string]map[string]ports
}

// ports are the nodes behind each port of a service.
type ports map[string][]resource.Node

func newKubernetes(confs []Kubernetes, log *slog.Logger) (registry, error) {
	k := &kubernetes{clusters: map[string]*cluster{}}
	for _, c := range confs {
		cl := &cluster{conf: c, log: log}
		cl.conf.DefaultWeight = cmp.Or(c.DefaultWeight, 50)
		var err error
		if cl.base, err = url.Parse(c.Server); err != nil || cl.base.Host == "" {
			return nil, fmt.Errorf("the API server %q is not a URL", c.Server)
		}
		if k.clusters[c.ID] != nil {
			return nil, fmt.Errorf("two clusters have the id %q", c.ID)
		}
		cl.client = &http.Client{Transport: &http.Transport{TLSClientConfig: cl.tls(), ResponseHeaderTimeout: 30 * time.Second}}
		k.clusters[c.ID] = cl
	}
	return k, nil
}

// tls verifies the server if the cluster's authority is known; API servers have
// certificates of their own making.
func (c *cluster) tls() *tls.Config {
	if c.conf.TokenFile != "" {
		if pem, err := os.ReadFile(filepath.Join(filepath.Dir(c.conf.TokenFile), "ca.crt")); err == nil {
			roots := x509.NewCertPool()
			if roots.AppendCertsFromPEM(pem) {
				return &tls.Config{RootCAs: roots}
			}
		}
	}
	return &tls.Config{InsecureSkipVerify: true}
}

// service implements registry.
func (k *kubernetes) service(service string, args Args) (Service, error) {
	c := k.clusters[""]
	if c == nil {
		id, rest, _ := strings.Cut(service, "/")
		if c = k.clusters[id]; c == nil {
			return nil, fmt.Errorf("%w: no cluster %q", ErrUnknown, id)
		}
		service = rest
	}
	sub, _ := c.get(name{service, args})
	c.known.Lock()
	defer c.known.Unlock()
	c.publish(sub)
	return sub, nil
}

// run implements registry.
func (k *kubernetes) run(ctx context.Context) {
	var running sync.WaitGroup
	for _, c := range k.clusters {
		running.Go(func() { c.run(ctx) })
	}
	running.Wait()
}

// dump implements registry.
func (k *kubernetes) dump() map[string]*List {
	all := map[string]*List{}
	for id, c := range k.clusters {
		for service, l := range c.dump() {
			if id != "" {
				service = id + "/" + service
			}
			all[service] = l
		}
	}
	return all
}

// dump answers the nodes of every port of every service, and what upstreams ask for.
func (c *cluster) dump() map[string]*List {
	all := c.services.dump()
	c.known.Lock()
	defer c.known.Unlock()
	for service, objects := range c.objects {
		byPort := ports{}
		for _, object := range slices.Sorted(maps.Keys(objects)) {
			for port, nodes := range objects[object] {
				byPort[port] = append(byPort[port], nodes...)
			}
		}
		for port, nodes := range byPort {
			sortNodes(nodes)
			all[service+":"+port] = &List{Nodes: nodes}
		}
	}
	return all
}

// run lists and watches until ctx ends.
func (c *cluster) run(ctx context.Context) {
	defer c.client.CloseIdleConnections()
	retry := minRetry
	for ctx.Err() == nil {
		version, err := c.list(ctx)
		if err == nil {
			retry = minRetry
			err = c.watch(ctx, version)
		} else {
			for _, s := range c.all() {
				s.fail(fmt.Errorf("asking kubernetes: %w", err))
			}
		}
		if ctx.Err() != nil {
			return
		}
		c.log.Warn("following a cluster; what it said before stays", "registry", "kubernetes", "cluster", c.conf.ID, "err", err)
		timer := time.NewTimer(retry)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
		retry = min(2*retry, maxRetry)
	}
}

// kubeObject is the parts of Endpoints and of an EndpointSlice that are read.
type kubeObject struct {
	Metadata struct {
		Name            string            `json:"name"`
		Namespace       string            `json:"namespace"`
		Labels          map[string]string `json:"labels"`
		ResourceVersion string            `json:"resourceVersion"`
	} `json:"metadata"`
	Subsets []struct {
		Addresses []struct {
			IP string `json:"ip"`
		} `json:"addresses"`
		Ports []kubePort `json:"ports"`
	} `json:"subsets"`
	Endpoints []struct {
		Addresses  []string `json:"addresses"`
		Conditions struct {
			Ready *bool `json:"ready"`
		} `json:"conditions"`
	} `json:"endpoints"`
	Ports []kubePort `json:"ports"`
	Code  int        `json:"code"` // of a Status
}

type kubePort struct {
	Name string `json:"name"`
	Port int    `json:"port"`
}

// open asks the API for the endpoints.
func (c *cluster) open(ctx context.Context, query url.Values) (*http.Response, error) {
	path := "/api/v1/endpoints"
	if c.conf.EndpointSlices {
		path = "/apis/discovery.k8s.io/v1/endpointslices"
	}
	if c.conf.LabelSelector != "" {
		query.Set("labelSelector", c.conf.LabelSelector)
	}
	switch {
	case c.conf.Namespace != "":
		query.Set("fieldSelector", "metadata.namespace="+c.conf.Namespace)
	case c.conf.NotNamespace != "":
		query.Set("fieldSelector", "metadata.namespace!="+c.conf.NotNamespace)
	}
	u := c.base.JoinPath(path)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, "GET", u.String(), nil)
	if err != nil {
		return nil, err
	}
	token := c.conf.Token
	if c.conf.TokenFile != "" {
		text, err := os.ReadFile(c.conf.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("reading the token: %w", err)
		}
		token = strings.TrimSpace(string(text))
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := c.client.Do(req)
	if err == nil && res.StatusCode != http.StatusOK {
		res.Body.Close()
		return nil, fmt.Errorf("%s: status %d", path, res.StatusCode)
	}
	return res, err
}

// pageSize is how many objects a listing asks for at once.
const pageSize = 500

// What is read of a page and of an event. Both are many times what Kubernetes
// makes of full ones: it cuts an Endpoints object off at a thousand addresses.
const (
	maxPage  = 256 << 20
	maxEvent = 16 << 20
)

// list reads all objects and answers the version that they are of.
func (c *cluster) list(ctx context.Context) (version string, err error) {
	objects := map[string]map[string]ports{}
	query := url.Values{"limit": {strconv.Itoa(pageSize)}}
	for {
		var page struct {
			Metadata struct {
				ResourceVersion string `json:"resourceVersion"`
				Continue        string `json:"continue"`
			} `json:"metadata"`
			Items []kubeObject `json:"items"`
		}
		if err := c.page(ctx, query, &page); err != nil {
			return "", err
		}
		for i := range page.Items {
			c.put(objects, &page.Items[i])
		}
		version = page.Metadata.ResourceVersion
		if page.Metadata.Continue == "" {
			break
		}
		query.Set("continue", page.Metadata.Continue)
	}
	c.known.Lock()
	defer c.known.Unlock()
	c.objects = objects
	for _, s := range c.all() {
		c.publish(s)
	}
	return version, nil
}

func (c *cluster) page(ctx context.Context, query url.Values, to any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	res, err := c.open(ctx, query)
	if err != nil {
		return fmt.Errorf("listing endpoints: %w", err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(&bounded{from: res.Body, left: maxPage}).Decode(to); err != nil {
		return fmt.Errorf("listing endpoints: %w", err)
	}
	return nil
}

var errExpired = errors.New("the version to watch from has expired")

// watchTime is how long the server keeps a watch open.
const watchTime = 5 * time.Minute

// watch takes in changes until the watch fails. One that ends in time is begun
// again.
func (c *cluster) watch(ctx context.Context, version string) error {
	for ctx.Err() == nil {
		began := time.Now()
		seen, err := c.watchOnce(ctx, version)
		if err != nil {
			return err
		}
		if seen == version && time.Since(began) < minRetry {
			return errors.New("the watch ended at once")
		}
		version = seen
	}
	return ctx.Err()
}

func (c *cluster) watchOnce(ctx context.Context, version string) (seen string, err error) {
	ctx, cancel := context.WithTimeout(ctx, watchTime+time.Minute)
	defer cancel()
	res, err := c.open(ctx, url.Values{
		"watch": {"true"}, "allowWatchBookmarks": {"true"}, "resourceVersion": {version},
		"timeoutSeconds": {strconv.Itoa(int(watchTime.Seconds()))},
	})
	if err != nil {
		return "", fmt.Errorf("watching endpoints: %w", err)
	}
	defer res.Body.Close()
	body := &bounded{from: res.Body}
	events := json.NewDecoder(body)
	for {
		body.left = maxEvent
		var e struct {
			Type   string     `json:"type"`
			Object kubeObject `json:"object"`
		}
		switch err := events.Decode(&e); {
		case errors.Is(err, errTooLong):
			return "", fmt.Errorf("watching endpoints: %w", err)
		case err != nil:
			return version, nil
		}
		switch e.Type {
		case "ADDED", "MODIFIED", "DELETED":
			c.change(&e.Object, e.Type == "DELETED")
		case "ERROR":
			if e.Object.Code == http.StatusGone {
				return "", errExpired
			}
			return "", fmt.Errorf("watching endpoints: status %d", e.Object.Code)
		}
		version = cmp.Or(e.Object.Metadata.ResourceVersion, version)
	}
}

// change takes in one object.
func (c *cluster) change(o *kubeObject, deleted bool) {
	c.known.Lock()
	defer c.known.Unlock()
	service := c.serviceOf(o)
	if deleted {
		if of := c.objects[service]; of != nil {
			if delete(of, o.Metadata.Name); len(of) == 0 {
				delete(c.objects, service)
			}
		}
	} else {
		c.put(c.objects, o)
	}
	for _, s := range c.all() {
		if of, _, _ := strings.Cut(s.name.service, ":"); of == service {
			c.publish(s)
		}
	}
}

// serviceOf names the service that an object belongs to.
func (c *cluster) serviceOf(o *kubeObject) string {
	service := o.Metadata.Name
	if c.conf.EndpointSlices {
		service = cmp.Or(o.Metadata.Labels["kubernetes.io/service-name"], service)
	}
	return o.Metadata.Namespace + "/" + service
}

// put enters an object.
func (c *cluster) put(objects map[string]map[string]ports, o *kubeObject) {
	if !c.selects(o.Metadata.Namespace) {
		return
	}
	service := c.serviceOf(o)
	if objects[service] == nil {
		objects[service] = map[string]ports{}
	}
	objects[service][o.Metadata.Name] = c.ports(o)
}

// selects says whether a namespace is looked at.
func (c *cluster) selects(namespace string) bool {
	matches := func(re *regexp.Regexp) bool { return re.MatchString(namespace) }
	if len(c.conf.Match) > 0 && !slices.ContainsFunc(c.conf.Match, matches) {
		return false
	}
	return !slices.ContainsFunc(c.conf.NotMatch, matches)
}

func (c *cluster) ports(o *kubeObject) ports {
	p := ports{}
	add := func(ip string, list []kubePort) {
		for _, port := range list {
			key := cmp.Or(port.Name, strconv.Itoa(port.Port))
			p[key] = append(p[key], resource.Node{Host: ip, Port: port.Port, Weight: c.conf.DefaultWeight})
		}
	}
	for _, s := range o.Subsets {
		for _, a := range s.Addresses {
			add(a.IP, s.Ports)
		}
	}
	for _, e := range o.Endpoints {
		if e.Conditions.Ready != nil && !*e.Conditions.Ready {
			continue
		}
		for _, ip := range e.Addresses {
			add(ip, o.Ports)
		}
	}
	return p
}

// publish tells a subscription its nodes; known is held. A port may be named by
// its number as well.
func (c *cluster) publish(s *subscription) {
	if c.objects == nil {
		return
	}
	service, port, _ := strings.Cut(s.name.service, ":")
	var nodes []resource.Node
	objects := c.objects[service]
	for _, object := range slices.Sorted(maps.Keys(objects)) {
		byPort := objects[object]
		found, ok := byPort[port]
		if n, err := strconv.Atoi(port); !ok && err == nil {
			for _, of := range byPort {
				if len(of) > 0 && of[0].Port == n {
					found = of
				}
			}
		}
		nodes = append(nodes, found...)
	}
	sortNodes(nodes)
	s.set(nodes)
}
