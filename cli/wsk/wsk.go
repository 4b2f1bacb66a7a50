// Package wsk is the command line client of a functions platform that speaks
// OpenWhisk's REST API: the words, output and exit codes of Apache OpenWhisk's
// wsk, sharing its ~/.wskprops. One file a noun; a new noun is a new file and a
// line in New.
package wsk

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Env is what the commands see of the process.
type Env struct {
	In       io.Reader
	Out, Err io.Writer
	// Lookup answers a variable of the environment.
	Lookup func(name string) (string, bool)
	// Color: Out is a terminal.
	Color bool
	// BashPreamble is what a completion script for bash begins with.
	BashPreamble string
	// Version and Platform (such as linux amd64) go into the User-Agent.
	Version, Platform string
}

// app is the state that the commands of one run share.
type app struct {
	Env
	flags globalFlags
}

// globalFlags are those that every command takes.
type globalFlags struct {
	apihost, auth, apiversion, cert, key, userAgent string
	insecure, verbose, debug                        bool
}

// New answers the command wsk. Arguments must have passed JoinPairs.
func New(env Env) *cobra.Command {
	a := &app{Env: env}
	cmd := &cobra.Command{
		Use:   "wsk",
		Short: "Manage functions with the words of OpenWhisk's wsk",
		Args:  noCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	// As cobra's own errors, but with the hint at --help.
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return &Error{Msg: err.Error(), Code: exitGeneral, Usage: true}
	})
	f := cmd.PersistentFlags()
	f.StringVar(&a.flags.apihost, "apihost", "", "whisk API HOST")
	f.StringVar(&a.flags.apiversion, "apiversion", "", "whisk API VERSION")
	f.StringVarP(&a.flags.auth, "auth", "u", "", "authorization KEY")
	f.StringVar(&a.flags.cert, "cert", "", "client cert")
	f.StringVar(&a.flags.key, "key", "", "client key")
	f.StringVar(&a.flags.userAgent, "user-agent", "", "user agent that requests name")
	f.BoolVarP(&a.flags.insecure, "insecure", "i", false, "bypass certificate checking")
	f.BoolVarP(&a.flags.verbose, "verbose", "v", false, "verbose output")
	f.BoolVarP(&a.flags.debug, "debug", "d", false, "debug level output")
	cmd.AddCommand(a.actionCommand(), a.activationCommand(), a.packageCommand(), a.triggerCommand(), a.ruleCommand(),
		a.apiCommand(), a.sdkCommand(), a.deadLetterCommand(), a.namespaceCommand(), a.listCommand(), a.projectCommand(), a.propertyCommand())
	return cmd
}

// group is a command that only holds others.
func group(name, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: name, Short: short, Args: noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(commands...)
	return cmd
}

// noCommand refuses words where a command was expected.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return &Error{Msg: fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath()), Code: exitGeneral, Usage: true}
}

// between checks how many arguments a command got, in wsk's words.
func between(least, most int, required string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usageError("Invalid argument(s). %s", required)
		case len(args) > most:
			return usageError("Invalid argument(s): %s. %s", joined(args[most:]), required)
		}
		return nil
	}
}
