package wsk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Keys of the properties file.
const (
	propHost      = "APIHOST"
	propAuth      = "AUTH"
	propNamespace = "NAMESPACE"
	propVersion   = "APIVERSION"
	propCert      = "CERT"
	propKey       = "KEY"
	propAPIToken  = "APIGW_ACCESS_TOKEN"
)

// properties are the lines KEY=value of ~/.wskprops, unknown keys and comments
// among them kept.
type properties struct {
	path  string
	lines []string
}

func (a *app) propertiesPath() (string, error) {
	if path, ok := a.Lookup("WSK_CONFIG_FILE"); ok && path != "" {
		return path, nil
	}
	home, ok := a.Lookup("HOME")
	if !ok || home == "" {
		return "", &Error{Msg: "Unable to locate the properties file: neither WSK_CONFIG_FILE nor HOME is set", Code: exitGeneral}
	}
	return filepath.Join(home, ".wskprops"), nil
}

// readProperties reads the file; one that does not exist is empty.
func (a *app) readProperties() (*properties, error) {
	path, err := a.propertiesPath()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, because(err, "Unable to read the properties file '%s'", path)
	}
	p := &properties{path: path}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" {
			p.lines = append(p.lines, line)
		}
	}
	return p, nil
}

func (p *properties) find(name string) (index int, value string) {
	for i, line := range p.lines {
		key, value, ok := strings.Cut(line, "=")
		if ok && strings.TrimSpace(key) == name {
			return i, strings.TrimSpace(value)
		}
	}
	return -1, ""
}

func (p *properties) value(name string) string {
	_, value := p.find(name)
	return value
}

func (p *properties) set(name, value string) {
	line := name + "=" + value
	if i, _ := p.find(name); i >= 0 {
		p.lines[i] = line
		return
	}
	p.lines = append(p.lines, line)
}

func (p *properties) unset(name string) {
	if i, _ := p.find(name); i >= 0 {
		p.lines = append(p.lines[:i], p.lines[i+1:]...)
	}
}

// save writes the file in place of the old one, readable by its owner only.
func (p *properties) save() error {
	var text strings.Builder
	for _, line := range p.lines {
		fmt.Fprintln(&text, line)
	}
	temp, err := os.CreateTemp(filepath.Dir(p.path), ".wskprops-*")
	if err != nil {
		return because(err, "Unable to write the properties file '%s'", p.path)
	}
	_, err = temp.WriteString(text.String())
	if e := temp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(temp.Name(), p.path)
	}
	if err != nil {
		os.Remove(temp.Name())
		return because(err, "Unable to write the properties file '%s'", p.path)
	}
	return nil
}

// settings are the properties in force: flags, else environment, else file.
type settings struct {
	host, auth, namespace, version, cert, key string
	// apiToken is what wsk api sends beside the key.
	apiToken string
}

// Target answers the API host and the key that a command beside wsk means: those
// given, else those that wsk is set to; empty if there are none.
func Target(lookup func(name string) (string, bool), apihost, auth string) (host, key string, err error) {
	a := &app{Env: Env{Lookup: lookup}, flags: globalFlags{apihost: apihost, auth: auth}}
	s, err := a.settings()
	return s.host, s.auth, err
}

func (a *app) settings() (settings, error) {
	p, err := a.readProperties()
	if err != nil {
		return settings{}, err
	}
	first := func(flag, variable, property, preset string) string {
		if flag != "" {
			return flag
		}
		if v, ok := a.Lookup(variable); ok && v != "" {
			return v
		}
		if v := p.value(property); v != "" {
			return v
		}
		return preset
	}
	return settings{
		host:      first(a.flags.apihost, "WHISK_APIHOST", propHost, ""),
		auth:      first(a.flags.auth, "WHISK_AUTH", propAuth, ""),
		namespace: first("", "WHISK_NAMESPACE", propNamespace, "_"),
		version:   first(a.flags.apiversion, "WHISK_APIVERSION", propVersion, "v1"),
		cert:      first(a.flags.cert, "WHISK_CERT", propCert, ""),
		key:       first(a.flags.key, "WHISK_KEY", propKey, ""),
		apiToken:  first("", "APIGW_ACCESS_TOKEN", propAPIToken, "DUMMY TOKEN"),
	}, nil
}
