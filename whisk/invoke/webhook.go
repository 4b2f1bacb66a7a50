package invoke

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"millrace/activation"
	"millrace/whisk"
)

// How webhooks are called: so often, after a pause that grows from the first to
// the last of these, each time for so long. What more than deliveryBounds wait
// for is dropped.
const (
	maxDeliveries = 8
	firstPause    = time.Second
	lastPause     = time.Hour
	deliveryTime  = 15 * time.Second
)

var deliveryBounds = bounds{
	queued: 100_000, queuedBytes: 1 << 30, queuedOfOne: 10_000, queuedBytesOfOne: 1 << 30,
	heldCalls: 32, heldBytes: 1 << 30, heldCallsOfOne: 8, heldBytesOfOne: 1 << 30,
}

// delivery is a webhook that is to be told of the end of a call, as the log keeps
// it in the place of the call.
type delivery struct {
	URL string `json:"url"`
	// Tries have failed, and the next may not begin before Due (ms since 1970).
	Tries int   `json:"tries,omitempty"`
	Due   int64 `json:"due,omitempty"`
}

// webhooks sends requests to where clients want them.
type webhooks struct {
	client *http.Client
	pauses policy // between the tries of one delivery
}

// errRefused: an address that no webhook may be at.
var errRefused = errors.New("no webhook may be at this address")

// newWebhooks makes the client; refuse names addresses besides those that are
// always refused. The check is made on the address that is dialled, so a name
// cannot mean another one by then. Redirects are not followed, and no proxy of
// the platform's environment is used.
func newWebhooks(refuse func(netip.AddrPort) bool) *webhooks {
	dialer := &net.Dialer{Timeout: 5 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
		if neverCalled(to.Addr()) || refuse != nil && refuse(to) {
			return errRefused
		}
		return nil
	}}
	return &webhooks{pauses: policy{backoff: firstPause, maxBackoff: lastPause}, client: &http.Client{
		Timeout: deliveryTime,
		Transport: &http.Transport{
			DialContext: dialer.DialContext, MaxIdleConns: 64, MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second,
			TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: deliveryTime, MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// The metadata services of clouds that are not at a link-local address.
var metadata = []netip.Addr{netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("168.63.129.16")}

// neverCalled tells of addresses that are nobody's webhook: those of machines'
// metadata, and those that are not one machine's.
func neverCalled(a netip.Addr) bool {
	for _, m := range metadata {
		if a == m {
			return true
		}
	}
	return a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

func (w *webhooks) close() { w.client.CloseIdleConnections() }

// enqueueDelivery writes the end of a call with a delivery in the call's place.
func (v *Invoker) enqueueDelivery(change activation.Change, rec *whisk.Activation, url string) error {
	it := item{id: rec.ID, namespace: rec.Namespace}
	if err := v.deliveries.enter(rec.Namespace, load{calls: 1}); err != nil {
		v.cfg.Log.Warn("a webhook is not called: too many wait", "activation", rec.ID, "namespace", rec.Namespace)
		return v.cfg.Activations.Apply(context.Background(), change)
	}
	err := v.writeDelivery(&change, it, &delivery{URL: url})
	if err != nil {
		v.deliveries.leave(rec.Namespace, load{calls: 1})
		return err
	}
	v.deliveries.parkUntil(it, time.Time{})
	return nil
}

// writeDelivery makes a change in which a delivery takes the place of a call.
func (v *Invoker) writeDelivery(change *activation.Change, it item, d *delivery) error {
	call, err := encodeHead(&acceptedCall{Delivery: d}, nil)
	if err != nil {
		return err
	}
	change.Forget = nil
	change.Accept = []activation.Accepted{{ID: it.id, Namespace: it.namespace, Call: call}}
	return v.cfg.Activations.Apply(context.Background(), *change)
}

// deliver calls a webhook in a goroutine of its own.
func (v *Invoker) deliver(it item) {
	v.live.add()
	go func() {
		defer v.live.done()
		d, err := v.tryDelivery(it)
		switch {
		case v.base.Err() != nil: // the log has it for the next start
			v.deliveries.done(it)
		case err == nil:
			v.delivered(it)
		case d == nil || d.Tries+1 >= maxDeliveries || errors.Is(err, errRefused):
			v.cfg.Log.Warn("a webhook is given up", "activation", it.id, "namespace", it.namespace, "error", err)
			v.delivered(it)
		default:
			v.deliverLater(it, d)
		}
	}()
}

// tryDelivery answers the delivery that failed; nil: it cannot be tried again.
func (v *Invoker) tryDelivery(it item) (*delivery, error) {
	a, err := v.cfg.Activations.Call(v.base, it.id)
	if err != nil {
		return nil, err
	}
	h, _, err := decodeHead(a.Call)
	if err != nil || h.Delivery == nil {
		return nil, errDamaged
	}
	rec, err := v.cfg.Activations.Get(v.base, it.namespace, it.id)
	if err != nil {
		return nil, err
	}
	if rec.Start < v.madeAt(it.namespace) {
		return nil, errors.New("the namespace was deleted")
	}
	secret, err := v.webhookSecret(it.namespace)
	if err != nil {
		return nil, err
	}
	return h.Delivery, v.webhooks.send(v.base, h.Delivery.URL, rec, secret)
}

// delivered forgets a delivery.
func (v *Invoker) delivered(it item) {
	if err := v.cfg.Activations.Apply(context.Background(), activation.Change{Forget: []string{it.id}}); err != nil {
		v.cfg.Log.Error("forgetting a webhook", "activation", it.id, "error", err)
	}
	v.deliveries.leave(it.namespace, load{calls: 1})
	v.deliveries.done(it)
}

func (v *Invoker) deliverLater(it item, d *delivery) {
	d.Tries++
	due := time.Now().Add(v.webhooks.pauses.pause(2*d.Tries - 1)) // four times as long each time
	d.Due = due.UnixMilli()
	if err := v.writeDelivery(&activation.Change{}, it, d); err != nil {
		v.cfg.Log.Error("queueing a webhook again", "activation", it.id, "error", err)
	}
	v.deliveries.postpone(it, due)
}

// webhookSecret is what the webhooks of a namespace are signed with: derived from
// the secret of its key, so that its owner knows it too.
func (v *Invoker) webhookSecret(namespace string) ([]byte, error) {
	if v.cfg.Owner != nil {
		if owner := v.cfg.Owner(namespace); owner != nil {
			return WebhookSecret(owner.Secret)
		}
	}
	return nil, errors.New("the namespace has no key to sign with")
}

// WebhookSecret derives the key of X-Millrace-Signature from the secret half of a
// namespace's key: HKDF with SHA-256, no salt, 32 bytes.
func WebhookSecret(secret string) ([]byte, error) {
	return hkdf.Key(sha256.New, []byte(secret), nil, "millrace webhook v1", sha256.Size)
}

// send posts a record. The error is of the network, or says the status.
func (w *webhooks) send(ctx context.Context, url string, rec *whisk.Activation, secret []byte) error {
	body := rec.AppendJSON(nil, rec.Logs)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "millrace-webhook")
	req.Header.Set("X-Millrace-Activation-Id", rec.ID)
	req.Header.Set("X-Millrace-Signature", signature(secret, time.Now(), body))
	resp, err := w.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be used again
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("it answered %d", resp.StatusCode)
	}
	return nil
}

// signature is t=<seconds since 1970>,v1=<hex of HMAC-SHA256 over t.body>.
func signature(secret []byte, now time.Time, body []byte) string {
	t := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
