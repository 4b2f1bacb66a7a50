package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"millrace/cli/wsk"
)

// limit is one that a namespace can have of its own.
type limit struct {
	name, flag, help string
	parse            func(text string) (any, bool)
}

// allLimits are those of the operator API, in the order in which they are shown.
func allLimits() []limit {
	number := func(text string) (any, bool) {
		n, err := strconv.ParseUint(text, 10, 31)
		return n, err == nil
	}
	boolean := func(text string) (any, bool) {
		b, err := strconv.ParseBool(text)
		return b, err == nil
	}
	kinds := func(text string) (any, bool) { return strings.Split(text, ","), text != "" }
	return []limit{
		{"invocationsPerMinute", "invocations-per-minute", "calls a minute; 0 refuses all", number},
		{"concurrentInvocations", "concurrent-invocations", "calls in flight at once; 0 refuses all", number},
		{"firesPerMinute", "fires-per-minute", "trigger fires a minute; 0 refuses all", number},
		{"minActionMemory", "min-action-memory", "least memory of an action in MB", number},
		{"maxActionMemory", "max-action-memory", "most memory of an action in MB", number},
		{"minActionLogs", "min-action-logs", "least log size of an action in MB", number},
		{"maxActionLogs", "max-action-logs", "largest log size of an action in MB", number},
		{"minActionTimeout", "min-action-timeout", "shortest time limit of an action in ms", number},
		{"maxActionTimeout", "max-action-timeout", "longest time limit of an action in ms", number},
		{"minActionConcurrency", "min-action-concurrency", "least calls at once in one instance", number},
		{"maxActionConcurrency", "max-action-concurrency", "most calls at once in one instance", number},
		{"maxActionInstances", "max-action-instances", "most instances that an action may ask for", number},
		{"maxParameterSize", "max-parameter-size", "largest parameters of an entity in bytes", number},
		{"maxPayloadSize", "max-payload-size", "largest request body of a call in bytes", number},
		{"allowedKinds", "allowed-kinds", "kinds that actions may have, joined by commas", kinds},
		{"storeActivations", "store-activations", "true, or false to keep no record of calls", boolean},
	}
}

// limitFlags are one flag for each limit.
type limitFlags struct{ values map[string]*string }

func (f *limitFlags) add(cmd *cobra.Command) {
	f.values = map[string]*string{}
	for _, l := range allLimits() {
		f.values[l.flag] = cmd.Flags().String(l.flag, "", l.help)
	}
}

// given answers the limits that the command line names.
func (f *limitFlags) given(cmd *cobra.Command) (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	for _, l := range allLimits() {
		if !cmd.Flags().Changed(l.flag) {
			continue
		}
		value, ok := l.parse(*f.values[l.flag])
		if !ok {
			return nil, &wsk.Error{Msg: fmt.Sprintf("flag --%s: %q is not valid: %s", l.flag, *f.values[l.flag], l.help), Code: exitUsage}
		}
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		out[l.name] = text
	}
	return out, nil
}

// limits is the command namespace limits.
func (n *namespaces) limits() *cobra.Command {
	var f limitFlags
	var unset []string
	var unsetAll bool
	cmd := &cobra.Command{
		Use:   "limits NAME",
		Short: "Show the limits of a namespace, or change them with flags",
		Long: `Show the limits of a namespace, or change them with flags. A change is in force
at once. What a namespace has not of its own it has from the configuration.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			change, err := f.given(cmd)
			if err == nil {
				err = addUnset(change, unset)
			}
			if err != nil {
				return err
			}
			method, in := http.MethodGet, any(nil)
			switch {
			case unsetAll:
				method, in = http.MethodPut, change
			case len(change) > 0:
				method, in = http.MethodPatch, change
			}
			var out limitsAnswer
			printed, err := n.send(cmd, method, namespacePath(args[0], "limits"), in, &out)
			if err != nil || printed {
				return err
			}
			return n.printLimits(&out)
		},
	}
	f.add(cmd)
	cmd.Flags().StringSliceVar(&unset, "unset", nil, "`LIMITS` to take from the configuration again, joined by commas, such as max-action-memory")
	cmd.Flags().BoolVar(&unsetAll, "unset-all", false, "take every limit from the configuration again that is not given here")
	return cmd
}

// addUnset adds the limits that are to be unset, named as flags or as in the API.
func addUnset(change map[string]json.RawMessage, unset []string) error {
	for _, word := range unset {
		found := false
		for _, l := range allLimits() {
			if word != l.flag && word != l.name {
				continue
			}
			if _, twice := change[l.name]; twice {
				return &wsk.Error{Msg: fmt.Sprintf("%s is both given and unset", l.flag), Code: exitUsage}
			}
			change[l.name], found = json.RawMessage("null"), true
		}
		if !found {
			return &wsk.Error{Msg: fmt.Sprintf("flag --unset: there is no limit %q", word), Code: exitUsage}
		}
	}
	return nil
}

type limitsAnswer struct {
	Limits  map[string]json.RawMessage `json:"limits"`
	InForce map[string]json.RawMessage `json:"inForce"`
}

func (n *namespaces) printLimits(a *limitsAnswer) error {
	table := tabwriter.NewWriter(n.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "LIMIT\tIN FORCE\tFROM")
	for _, l := range allLimits() {
		from := "configuration"
		if _, own := a.Limits[l.name]; own {
			from = "namespace"
		}
		value := string(a.InForce[l.name])
		if value == "null" {
			value = "all"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", l.flag, value, from)
	}
	return table.Flush()
}
