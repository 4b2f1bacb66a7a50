package secret

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"millrace/resource"
)

func init() { register("gcp", openGCP) }

// gcp is Google's Secret Manager, asked as a service account. The first part of a
// path is the name of a secret, the rest the key in the JSON object that it holds;
// without a key the whole text is meant.
type gcp struct {
	resource.GCPSecret
	client *http.Client

	mu      sync.Mutex
	token   string // with its type in front
	expires time.Time
}

func openGCP(conf []byte, c *client) (manager, error) {
	g := &gcp{}
	if err := json.Unmarshal(conf, &g.GCPSecret); err != nil {
		return nil, errNotReadable
	}
	g.client = c.of(g.SSLVerify == nil || *g.SSLVerify)
	return g, nil
}

func (g *gcp) parts(path string) ([]part, error) {
	name, key, _ := strings.Cut(path, "/")
	if name == "" {
		return nil, errors.New("can't find main key, key: " + path)
	}
	return []part{{name, key}}, nil
}

// account answers the service account with what it leaves to defaults.
func (g *gcp) account() (*resource.GCPAuth, error) {
	var a resource.GCPAuth
	if g.AuthConfig != nil {
		a = *g.AuthConfig
	} else {
		text, err := os.ReadFile(g.AuthFile)
		if err != nil {
			return nil, fmt.Errorf("failed to read configuration, file: %s, err: %w", g.AuthFile, err)
		}
		if json.Unmarshal(text, &a) != nil || a.ClientEmail == "" || a.PrivateKey == "" || a.ProjectID == "" {
			return nil, fmt.Errorf("config parse failure, file: %s: want client_email, private_key and project_id", g.AuthFile)
		}
	}
	a.TokenURI = cmp.Or(a.TokenURI, "https://oauth2.googleapis.com/token")
	a.EntriesURI = cmp.Or(a.EntriesURI, "https://secretmanager.googleapis.com/v1")
	if len(a.Scope) == 0 {
		a.Scope = []string{"https://www.googleapis.com/auth/cloud-platform"}
	}
	return &a, nil
}

func (g *gcp) fetch(ctx context.Context, document string) (string, error) {
	a, err := g.account()
	if err != nil {
		return "", err
	}
	token, err := g.authorize(ctx, a)
	if err != nil {
		return "", fmt.Errorf("failed to get google oauth token: %w", err)
	}
	target := fmt.Sprintf("%s/projects/%s/secrets/%s/versions/latest:access", a.EntriesURI, url.PathEscape(a.ProjectID), url.PathEscape(document))
	r, err := newRequest(ctx, "GET", target, nil)
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", token)
	status, body, err := do(g.client, r)
	if err == nil && status != http.StatusOK {
		err = g.refused(status)
	}
	if err != nil {
		return "", fmt.Errorf("failed to retrieve data from gcp secret manager: %w", err)
	}
	var answer struct {
		Payload *struct {
			Data []byte `json:"data"`
		} `json:"payload"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Payload == nil {
		return "", errors.New("failed to parse response data of gcp secret manager: invalid payload")
	}
	return string(answer.Payload.Data), nil
}

// refused forgets a token that is not taken any more.
func (g *gcp) refused(status int) error {
	if status == http.StatusUnauthorized {
		g.mu.Lock()
		g.token = ""
		g.mu.Unlock()
	}
	return badStatus(status)
}

// authorize answers the value of the Authorization header. A token is used up to a
// minute before its end.
func (g *gcp) authorize(ctx context.Context, a *resource.GCPAuth) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.token != "" && time.Now().Before(g.expires.Add(-time.Minute)) {
		return g.token, nil
	}
	assertion, err := assertion(a, time.Now())
	if err != nil {
		return "", err
	}
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}}
	r, err := newRequest(ctx, "POST", a.TokenURI, []byte(form.Encode()))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, body, err := do(g.client, r)
	if err != nil {
		return "", err
	}
	if status != http.StatusOK {
		return "", fmt.Errorf("invalid status code %d", status)
	}
	var answer struct {
		Token   string  `json:"access_token"`
		Type    string  `json:"token_type"`
		Expires float64 `json:"expires_in"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Token == "" {
		return "", errors.New("the answer has no access_token")
	}
	g.token = cmp.Or(answer.Type, "Bearer") + " " + answer.Token
	g.expires = time.Now().Add(time.Duration(min(answer.Expires, 24*3600) * float64(time.Second)))
	return g.token, nil
}

// assertion is the JSON Web Token by which a service account asks for a token.
func assertion(a *resource.GCPAuth, now time.Time) (string, error) {
	key, err := jwt.ParseRSAPrivateKeyFromPEM([]byte(a.PrivateKey))
	if err != nil {
		return "", errors.New("private_key is no RSA key in PEM")
	}
	return jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss": a.ClientEmail, "aud": a.TokenURI, "scope": strings.Join(a.Scope, " "),
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}).SignedString(key)
}
