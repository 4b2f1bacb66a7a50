package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"millrace/config"
)

// probe is one thing that has to listen.
type probe struct {
	name, url string
	// status is the only one that counts as ready, 0 is any.
	status int
}

func newWaitready(e *env) *cobra.Command {
	var file string
	var roles []string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "waitready",
		Short: "Wait until everything that the configuration names listens",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(file, e.lookup)
			if err != nil {
				return err
			}
			if len(roles) > 0 {
				if c.Roles, err = config.ParseRoles(roles); err != nil {
					return err
				}
			}
			probes, err := probesOf(c)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return awaitAll(ctx, timeout, probes)
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "the `FILE` that serve was started with")
	cmd.Flags().StringSliceVar(&roles, "roles", nil, "the roles that serve was started with, joined by commas")
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "how long to wait")
	return cmd
}

// probesOf answers what has to listen under a configuration.
func probesOf(c *config.Config) ([]probe, error) {
	var all []probe
	add := func(name, path string, status int, listeners ...config.Listener) error {
		for _, l := range listeners {
			if l.Addr.Port() == 0 {
				return fmt.Errorf("%s listens on a port chosen at start (port 0), which waitready cannot know", name)
			}
			all = append(all, probe{name: name + " on " + l.Address(), url: "http://" + reachable(l.Addr).String() + path, status: status})
		}
		return nil
	}
	var errs []error
	if c.Has(config.RoleGateway) {
		errs = append(errs, add("the gateway", "/", 0, c.Gateway.Listen...))
	}
	if c.Has(config.RoleAdmin) && c.Admin.Enabled {
		errs = append(errs, add("the Admin API", "/apisix/admin", 0, c.Admin.Listen))
	}
	if c.Has(config.RoleFunctions) {
		errs = append(errs, add("the functions API", "/ping", http.StatusOK, c.Functions.Listen...))
	}
	if c.Has(config.RoleOperator) {
		errs = append(errs, add("the operator API", "/v1", 0, c.Operator.Listen))
	}
	return all, errors.Join(errs...)
}

// reachable is an address at which a listener answers from this machine.
func reachable(addr netip.AddrPort) netip.AddrPort {
	switch ip := addr.Addr(); {
	case !ip.IsUnspecified():
		return addr
	case ip.Is4():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), addr.Port())
	default:
		return netip.AddrPortFrom(netip.IPv6Loopback(), addr.Port())
	}
}

// awaitAll returns when every probe is ready, or with what was not when ctx ends.
func awaitAll(ctx context.Context, timeout time.Duration, probes []probe) error {
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	errs := make([]error, len(probes))
	var wg sync.WaitGroup
	for i, p := range probes {
		wg.Go(func() {
			if err := p.await(ctx, client); err != nil {
				errs[i] = fmt.Errorf("%s is not ready after %s: %w", p.name, timeout, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// await tries at ever longer intervals; the error is that of the last try that
// was not cut short by the end of ctx.
func (p probe) await(ctx context.Context, client *http.Client) error {
	pause := 5 * time.Millisecond
	var last error
	for {
		err := p.try(ctx, client)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(pause):
			pause = min(2*pause, 200*time.Millisecond)
		}
	}
}

func (p probe) try(ctx context.Context, client *http.Client) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16)); err != nil {
		return err
	}
	if p.status != 0 && resp.StatusCode != p.status {
		return fmt.Errorf("GET %s answers %s", p.url, resp.Status)
	}
	return nil
}
