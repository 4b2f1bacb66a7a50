package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"millrace/cli/wsk"
	"millrace/config"
	"millrace/whisk/operator"
)

// Exit codes of commands of the operator API beside those made from an HTTP
// status, which are wsk's: the status less 256, as a byte.
const (
	exitUsage   = 2
	exitNetwork = 3
)

// operatorFlags say where the operator API is and where its key is kept.
type operatorFlags struct {
	address, keyFile, config, data string
}

func (f *operatorFlags) add(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVar(&f.address, "operator", "", "the `URL` of the operator API (default: $MILLRACE_OPERATOR, else what the configuration says, else http://127.0.0.1:3235)")
	flags.StringVar(&f.keyFile, "operator-key-file", "", "the `FILE` with its key (default: $MILLRACE_OPERATOR_KEY, else what the configuration says, else operator.key in the data folder)")
	flags.StringVarP(&f.config, "config", "c", "", "the `FILE` that serve was started with")
	flags.StringVar(&f.data, "data", "", "the data `FOLDER` that serve was started with")
}

// operatorClient sends requests to one operator API.
type operatorClient struct {
	http    *http.Client
	address string
	key     string
}

// operator makes a client by the flags, the environment and the configuration.
func (e *env) operator(f *operatorFlags) (*operatorClient, error) {
	cfg, err := config.Load(f.config, e.lookup)
	if err != nil {
		return nil, err
	}
	c := &operatorClient{http: &http.Client{Timeout: time.Minute}, address: f.address}
	if c.address == "" {
		c.address, _ = e.lookup("MILLRACE_OPERATOR")
	}
	if c.address == "" {
		c.address = "http://" + reachable(cfg.Operator.Listen.Addr).String()
	}
	c.address = strings.TrimRight(c.address, "/")
	c.key, err = e.operatorKey(f, cfg, c.address)
	return c, err
}

// operatorKey finds the key. That of the data folder is for this machine only.
func (e *env) operatorKey(f *operatorFlags, cfg *config.Config, address string) (string, error) {
	if f.keyFile != "" {
		return operator.ReadKey(f.keyFile)
	}
	if key, ok := e.lookup("MILLRACE_OPERATOR_KEY"); ok && key != "" {
		return key, nil
	}
	switch {
	case cfg.Operator.Key != "":
		return cfg.Operator.Key, nil
	case cfg.Operator.KeyFile != "":
		return operator.ReadKey(cfg.Operator.KeyFile)
	}
	const remedy = "give the file that holds it with --operator-key-file, or the key in MILLRACE_OPERATOR_KEY"
	if !onThisMachine(address) {
		return "", fmt.Errorf("the key for the operator API at %s is not known: %s", address, remedy)
	}
	dir := f.data
	if dir == "" {
		dir = cfg.Data
	}
	if dir == "" {
		var err error
		if dir, err = stateFolder(e.lookup); err != nil {
			return "", err
		}
	}
	path := filepath.Join(dir, "operator.key")
	key, err := operator.ReadKey(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%s does not exist: name the data folder that serve was started with by --data, or %s", path, remedy)
	}
	return key, err
}

func onThisMachine(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	if u.Hostname() == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err == nil && ip.Unmap().IsLoopback()
}

// do sends a request to a path below /v1. The answer must be a success and is
// decoded into out, unless that is nil.
func (c *operatorClient) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.address+"/v1"+path, body)
	if err != nil {
		return &wsk.Error{Msg: fmt.Sprintf("the address of the operator API is not valid: %s", err), Code: exitUsage}
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return &wsk.Error{Msg: fmt.Sprintf("the operator API does not answer: %s; is the server running, and with the role operator?", err), Code: exitNetwork}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return &wsk.Error{Msg: "reading the answer of the operator API: " + err.Error(), Code: exitNetwork}
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return refused(resp, text)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("reading the answer of the operator API: %w", err)
	}
	return nil
}

// refused is the failure that an answer tells.
func refused(resp *http.Response, body []byte) error {
	var answer struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Error == "" {
		answer.Error = "the operator API answers " + resp.Status
	}
	return &wsk.Error{Msg: answer.Error, Code: (resp.StatusCode - 256) & 0xff}
}

// namespacePath is the path of a namespace and what is below it.
func namespacePath(name string, below ...string) string {
	path := "/namespaces/" + url.PathEscape(name)
	for _, b := range below {
		path += "/" + url.PathEscape(b)
	}
	return path
}
