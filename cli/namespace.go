package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// namespaces is the command namespace: what its parts share.
type namespaces struct {
	*env
	flags operatorFlags
	json  bool
}

// namespace is one as the operator API shows it.
type namespace struct {
	Name     string          `json:"name"`
	Subject  string          `json:"subject"`
	Created  int64           `json:"created"`
	Blocked  bool            `json:"blocked"`
	Deleting bool            `json:"deleting"`
	Fixed    bool            `json:"fixed"`
	Keys     []namespaceKey  `json:"keys"`
	Limits   json.RawMessage `json:"limits"`
}

type namespaceKey struct {
	UUID    string `json:"uuid"`
	Created int64  `json:"created"`
	Expires int64  `json:"expires"`
	Fixed   bool   `json:"fixed"`
	Current bool   `json:"current"`
}

func newNamespace(e *env) *cobra.Command {
	n := &namespaces{env: e}
	cmd := &cobra.Command{
		Use:   "namespace",
		Short: "Make, change and delete namespaces, their keys and limits",
		Long: `Make, change and delete namespaces, their keys and limits, over the operator API
of a running server. On its own machine the server is found by itself.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	n.flags.add(cmd)
	cmd.PersistentFlags().BoolVar(&n.json, "json", false, "print the API's answer as it is")
	cmd.AddCommand(n.create(), n.list(), n.get(), n.delete(), n.block("block", true), n.block("unblock", false), n.limits(), n.key())
	return cmd
}

// send sends a request. It answers true if the answer has been printed as it is,
// or else has decoded it into out.
func (n *namespaces) send(cmd *cobra.Command, method, path string, in, out any) (printed bool, err error) {
	c, err := n.operator(&n.flags)
	if err != nil {
		return false, err
	}
	if !n.json || out == nil {
		return false, c.do(cmd.Context(), method, path, in, out)
	}
	var raw json.RawMessage
	if err := c.do(cmd.Context(), method, path, in, &raw); err != nil {
		return false, err
	}
	_, err = fmt.Fprintln(n.out, strings.TrimSpace(string(raw)))
	return true, err
}

// newKey is an answer that holds a key, which cannot be asked for again.
type newKey struct {
	Key     string `json:"key"`
	APIHost string `json:"apihost"`
}

func (k *newKey) print(n *namespaces) {
	fmt.Fprintf(n.out, "key: %s\nIt is not shown again. To use it:\n  wsk property set", k.Key)
	if k.APIHost != "" {
		fmt.Fprintf(n.out, " --apihost %s", k.APIHost)
	}
	fmt.Fprintf(n.out, " --auth %s\n", k.Key)
}

func (n *namespaces) create() *cobra.Command {
	var in struct {
		Subject string                     `json:"subject,omitempty"`
		Key     string                     `json:"key,omitempty"`
		Limits  map[string]json.RawMessage `json:"limits,omitempty"`
	}
	var limits limitFlags
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a namespace and print its key",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if in.Limits, err = limits.given(cmd); err != nil {
				return err
			}
			var out newKey
			printed, err := n.send(cmd, http.MethodPut, namespacePath(args[0]), in, &out)
			if err != nil || printed {
				return err
			}
			fmt.Fprintf(n.out, "ok: created namespace %s\n", args[0])
			out.print(n)
			return nil
		},
	}
	cmd.Flags().StringVar(&in.Key, "key", "", "its `KEY`, uuid:secret with a secret of 64 characters (default: a random one)")
	cmd.Flags().StringVar(&in.Subject, "subject", "", "the `SUBJECT` that its records name (default: NAME)")
	limits.add(cmd)
	return cmd
}

func (n *namespaces) list() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the namespaces",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all := []json.RawMessage{}
			c, err := n.operator(&n.flags)
			if err != nil {
				return err
			}
			for after := ""; ; {
				var page struct {
					Namespaces []json.RawMessage `json:"namespaces"`
					Next       string            `json:"next"`
				}
				path := "/namespaces?limit=1000&after=" + url.QueryEscape(after)
				if err := c.do(cmd.Context(), http.MethodGet, path, nil, &page); err != nil {
					return err
				}
				all = append(all, page.Namespaces...)
				if after = page.Next; after == "" {
					return n.printList(all)
				}
			}
		},
	}
}

func (n *namespaces) printList(all []json.RawMessage) error {
	if n.json {
		return json.NewEncoder(n.out).Encode(map[string][]json.RawMessage{"namespaces": all})
	}
	table := tabwriter.NewWriter(n.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAMESPACE\tSUBJECT\tKEYS\tSTATE\tCREATED")
	for _, raw := range all {
		var ns namespace
		if err := json.Unmarshal(raw, &ns); err != nil {
			return fmt.Errorf("reading the answer of the operator API: %w", err)
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\n", ns.Name, ns.Subject, len(ns.Keys), ns.state(), moment(ns.Created))
	}
	return table.Flush()
}

// state is what is special about a namespace, in words.
func (ns *namespace) state() string {
	var words []string
	for _, w := range []struct {
		is   bool
		word string
	}{{ns.Fixed, "fixed"}, {ns.Blocked, "blocked"}, {ns.Deleting, "deleting"}} {
		if w.is {
			words = append(words, w.word)
		}
	}
	if words == nil {
		return "-"
	}
	return strings.Join(words, ",")
}

// moment shows a time in ms since 1970, or - for none.
func moment(ms int64) string {
	if ms == 0 {
		return "-"
	}
	return time.UnixMilli(ms).Local().Format("2006-01-02 15:04:05")
}

func (n *namespaces) get() *cobra.Command {
	return &cobra.Command{
		Use:   "get NAME",
		Short: "Show a namespace, its keys and its own limits",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var ns namespace
			printed, err := n.send(cmd, http.MethodGet, namespacePath(args[0]), nil, &ns)
			if err != nil || printed {
				return err
			}
			fmt.Fprintf(n.out, "namespace %s\nsubject   %s\nstate     %s\ncreated   %s\nlimits    %s\n",
				ns.Name, ns.Subject, ns.state(), moment(ns.Created), ns.Limits)
			return n.printKeys(ns.Keys)
		},
	}
}

func (n *namespaces) delete() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a namespace; its keys are refused at once",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := namespacePath(args[0]) + "?force=" + strconv.FormatBool(force)
			if _, err := n.send(cmd, http.MethodDelete, path, nil, nil); err != nil {
				return err
			}
			fmt.Fprintf(n.out, "ok: deleted namespace %s\n", args[0])
			return nil
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "delete everything in it too")
	return cmd
}

func (n *namespaces) block(word string, blocked bool) *cobra.Command {
	short := "Refuse the keys of a namespace and run nothing of it"
	if !blocked {
		short = "Let a blocked namespace work again"
	}
	return &cobra.Command{
		Use:   word + " NAME",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var ns namespace
			printed, err := n.send(cmd, http.MethodPost, namespacePath(args[0], word), nil, &ns)
			if err != nil || printed {
				return err
			}
			fmt.Fprintf(n.out, "ok: %sed namespace %s\n", word, args[0])
			return nil
		},
	}
}
