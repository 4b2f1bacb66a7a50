package secret

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	"millrace/resource"
)

func init() { register("vault", openVault) }

// vault is a HashiCorp Vault, or what speaks its HTTP API: a key-value engine of
// version 1 below a prefix. The last part of a path is the key.
type vault struct {
	resource.VaultSecret
	client *client
}

func openVault(conf []byte, c *client) (manager, error) {
	v := &vault{client: c}
	if err := json.Unmarshal(conf, &v.VaultSecret); err != nil {
		return nil, errNotReadable
	}
	return v, nil
}

func (v *vault) parts(path string) ([]part, error) {
	i := strings.LastIndexByte(path, '/')
	switch {
	case i < 0:
		return nil, errors.New("error key format, key: " + path)
	case i == 0:
		return nil, errors.New("can't find main key, key: " + path)
	case i == len(path)-1:
		return nil, errors.New("can't find sub key, key: " + path)
	}
	return []part{{path[:i], path[i+1:]}}, nil
}

func (v *vault) fetch(ctx context.Context, document string) (string, error) {
	target := strings.TrimRight(v.URI, "/") + path.Join("/v1", v.Prefix, document)
	r, err := newRequest(ctx, "GET", target, nil)
	if err != nil {
		return "", err
	}
	r.Header.Set("X-Vault-Token", v.Token)
	if v.Namespace != "" {
		r.Header.Set("X-Vault-Namespace", v.Namespace)
	}
	status, body, err := do(v.client.of(true), r)
	if err != nil {
		return "", fmt.Errorf("failed to retrieve data from vault kv engine: %w", err)
	}
	if status != 200 {
		return "", fmt.Errorf("failed to retrieve data from vault kv engine: %w", badStatus(status))
	}
	var answer struct {
		Data json.RawMessage `json:"data"`
	}
	if json.Unmarshal(body, &answer) != nil || len(answer.Data) == 0 {
		return "", errors.New("failed to decode result of vault")
	}
	return string(answer.Data), nil
}
