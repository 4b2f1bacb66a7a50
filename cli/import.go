package cli

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"millrace/cli/remote"
	"millrace/cli/transfer"
	"millrace/cli/wsk"
)

func newImport(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Copy what another platform holds",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newImportOpenwhisk(e), newImportAPISIX(e))
	return cmd
}

// importFlags say from where to where.
type importFlags struct {
	from, to          remote.Config
	overwrite, dryRun bool
}

func newImportOpenwhisk(e *env) *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "openwhisk --apihost HOST --auth KEY",
		Short: "Copy a namespace from a running OpenWhisk",
		Long: `Copy a namespace from a running OpenWhisk, or another Millrace: its packages and
bindings, actions with their code, sequences, triggers with their alarms, rules
and APIs. Activation records are not copied.

The destination is the namespace that wsk is set to (wsk property set), unless
--to-apihost and --to-auth name another. What exists there is kept, unless
--overwrite is given; so the command can be run again. Each entity has a line in
the report, and what is not there as it was says why. The exit code is 1 if
something is missing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return e.importOpenwhisk(cmd, &f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.from.APIHost, "apihost", "", "the source's API `HOST`")
	flags.StringVarP(&f.from.Key, "auth", "u", "", "the `KEY` (uuid:secret) of the source's namespace")
	flags.BoolVarP(&f.from.Insecure, "insecure", "i", false, "bypass the check of the source's certificate")
	flags.StringVar(&f.to.APIHost, "to-apihost", "", "the destination's API `HOST`")
	flags.StringVar(&f.to.Key, "to-auth", "", "the `KEY` of the destination's namespace")
	flags.BoolVar(&f.to.Insecure, "to-insecure", false, "bypass the check of the destination's certificate")
	flags.BoolVar(&f.overwrite, "overwrite", false, "replace what exists at the destination")
	flags.BoolVar(&f.dryRun, "dry-run", false, "read everything and write nothing")
	return cmd
}

var errMissing = errors.New("not everything is at the destination: see the lines above")

func (e *env) importOpenwhisk(cmd *cobra.Command, f *importFlags) error {
	host, key, err := wsk.Target(e.lookup, f.to.APIHost, f.to.Key)
	if err != nil {
		return err
	}
	f.to.APIHost, f.to.Key = host, key
	f.from.UserAgent, f.to.UserAgent = "millrace/"+version(), "millrace/"+version()
	from, err := remote.New(f.from)
	if err != nil {
		return fmt.Errorf("source (--apihost, --auth): %w", err)
	}
	defer from.Close()
	to, err := remote.New(f.to)
	if err != nil {
		return fmt.Errorf("destination (--to-apihost, --to-auth, or wsk property set): %w", err)
	}
	defer to.Close()
	return e.reported(f.dryRun, func(report func(transfer.Line)) error {
		return transfer.Run(cmd.Context(), transfer.Options{From: from, To: to, Overwrite: f.overwrite, DryRun: f.dryRun, Report: report})
	})
}

// reported prints the lines of a copy and their number; something that is missing
// at the destination is an error.
func (e *env) reported(dryRun bool, run func(report func(transfer.Line)) error) error {
	missing, counts := false, map[transfer.Outcome]int{}
	table := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	err := run(func(l transfer.Line) {
		missing = missing || l.Outcome == transfer.Failed || l.Outcome == transfer.Skipped
		counts[l.Outcome]++
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", l.Outcome, l.Kind, l.Name, l.Note)
	})
	if flushed := table.Flush(); err == nil {
		err = flushed
	}
	summary := importSummary(counts)
	if dryRun {
		summary = "a dry run, nothing is written: " + summary
	}
	fmt.Fprintln(e.out, summary)
	if err == nil && missing {
		err = errMissing
	}
	return err
}

// importSummary is the last line of the report, such as "3 created, 1 kept".
func importSummary(counts map[transfer.Outcome]int) string {
	var parts []string
	for o := transfer.Created; o <= transfer.Untouched; o++ {
		if n := counts[o]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, o))
		}
	}
	if len(parts) == 0 {
		return "there is nothing"
	}
	return strings.Join(parts, ", ")
}
