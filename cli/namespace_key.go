package cli

import (
	"fmt"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// key is the command namespace key.
func (n *namespaces) key() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Make, list, rotate and revoke the keys of a namespace",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(n.keyCreate(), n.keyList(), n.keyRevoke(), n.keyRotate())
	return cmd
}

func (n *namespaces) keyCreate() *cobra.Command {
	var key string
	var lifetime time.Duration
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Give a namespace one more key and print it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := map[string]string{}
			if key != "" {
				in["key"] = key
			}
			if lifetime != 0 {
				in["expiresIn"] = lifetime.String()
			}
			return n.makeKey(cmd, args[0], in, "keys")
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "the `KEY`, uuid:secret with a secret of 64 characters (default: a random one)")
	cmd.Flags().DurationVar(&lifetime, "expires-in", 0, "how long it is valid, such as 24h (default: until it is revoked)")
	return cmd
}

func (n *namespaces) keyRotate() *cobra.Command {
	var grace time.Duration
	cmd := &cobra.Command{
		Use:   "rotate NAME",
		Short: "Replace the keys of a namespace by a new one and print it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return n.makeKey(cmd, args[0], map[string]string{"grace": grace.String()}, "keys", "rotate")
		},
	}
	cmd.Flags().DurationVar(&grace, "grace", 0, "how long the old keys stay valid, such as 1h (default: not at all)")
	return cmd
}

// makeKey asks for a new key and prints it.
func (n *namespaces) makeKey(cmd *cobra.Command, name string, in map[string]string, below ...string) error {
	var out newKey
	printed, err := n.send(cmd, http.MethodPost, namespacePath(name, below...), in, &out)
	if err != nil || printed {
		return err
	}
	fmt.Fprintf(n.out, "ok: created a key of namespace %s\n", name)
	out.print(n)
	return nil
}

func (n *namespaces) keyList() *cobra.Command {
	return &cobra.Command{
		Use:   "list NAME",
		Short: "List the keys of a namespace by their UUIDs",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out struct {
				Keys []namespaceKey `json:"keys"`
			}
			printed, err := n.send(cmd, http.MethodGet, namespacePath(args[0], "keys"), nil, &out)
			if err != nil || printed {
				return err
			}
			return n.printKeys(out.Keys)
		},
	}
}

func (n *namespaces) printKeys(keys []namespaceKey) error {
	table := tabwriter.NewWriter(n.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEY\tCREATED\tEXPIRES\tNOTE")
	for _, k := range keys {
		note := "-"
		switch {
		case k.Fixed:
			note = "set by the configuration"
		case k.Current:
			note = "what its actions get"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", k.UUID, moment(k.Created), moment(k.Expires), note)
	}
	return table.Flush()
}

func (n *namespaces) keyRevoke() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke NAME UUID",
		Short: "End a key of a namespace at once",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := n.send(cmd, http.MethodDelete, namespacePath(args[0], "keys", args[1]), nil, nil); err != nil {
				return err
			}
			fmt.Fprintf(n.out, "ok: revoked key %s of namespace %s\n", args[1], args[0])
			return nil
		},
	}
}
