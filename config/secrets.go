package config

import (
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Secrets is how references to secrets kept elsewhere are resolved.
type Secrets struct {
	// TTL is how long what a manager has answered holds, NegativeTTL how long a
	// failure does.
	TTL, NegativeTTL time.Duration
	// Count and NegativeCount bound how many of either are kept although nothing
	// refers to them any more.
	Count, NegativeCount int
	// Env are variables that the file adds to the environment, by their names.
	Env map[string]string
}

func defaultSecrets() Secrets {
	return Secrets{TTL: 300 * time.Second, NegativeTTL: 60 * time.Second, Count: 512, NegativeCount: 512}
}

func (s *Secrets) keys() object {
	return object{
		"ttl":       positive(&s.TTL),
		"count":     integer(&s.Count, 1),
		"neg_ttl":   positive(&s.NegativeTTL),
		"neg_count": integer(&s.NegativeCount, 1),
	}
}

// positive is a duration that is not 0.
func positive(to *time.Duration) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		before := len(d.problems)
		duration(to).decode(d, key, n)
		if *to == 0 && len(d.problems) == before {
			d.want(n, key, "a duration above 0")
		}
	})
}

// envs takes a list of NAME=value. A name alone is a variable that the whole
// process sees anyway.
func (s *Secrets) envs() field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		var entries []string
		list(&entries, secret).decode(d, key, n)
		for _, e := range entries {
			if name, value, ok := strings.Cut(e, "="); ok {
				if s.Env == nil {
					s.Env = map[string]string{}
				}
				s.Env[name] = value
			}
		}
	})
}
