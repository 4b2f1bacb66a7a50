// Package cli is the command line: one file a command. It alone reads flags and
// the environment; everything else is told by arguments.
package cli

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"millrace/cli/wsk"
)

// env is what the commands see of the process.
type env struct {
	in       io.Reader
	out, err io.Writer
	// lookup answers a variable of the environment.
	lookup func(name string) (string, bool)
	// terminal: out is one.
	terminal bool
}

// Main runs the command that the process was started with and answers its exit
// code. Under the name wsk (a symbolic link) the program is the command wsk.
func Main() int {
	e := &env{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, lookup: os.LookupEnv,
		terminal: term.IsTerminal(int(os.Stdout.Fd())),
	}
	return run(e, filepath.Base(os.Args[0]), os.Args[1:])
}

func run(e *env, program string, args []string) int {
	root := newRoot(e)
	if program == "wsk" {
		root = newWsk(e)
	}
	root.SilenceErrors, root.SilenceUsage = true, true
	addCompletion(root)
	root.SetIn(e.in)
	root.SetOut(e.out)
	root.SetErr(e.err)
	args, err := joinPairs(program, args)
	if err != nil {
		return e.report(root, err)
	}
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(context.Background())
	if err != nil {
		return e.report(cmd, err)
	}
	return 0
}

// joinPairs prepares the arguments of wsk and deploy, also where a shell asks how to
// complete them; half a pair is then nothing wrong.
func joinPairs(program string, args []string) ([]string, error) {
	words, completing := args, len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd)
	if completing {
		words = args[1:]
	}
	join := wsk.JoinPairs
	switch {
	case program == "wsk" || len(words) > 0 && words[0] == "wsk":
	case len(words) > 0 && words[0] == "deploy":
		join = wsk.JoinProjectPairs
	default:
		return args, nil
	}
	joined, err := join(args)
	if err != nil && completing {
		return args, nil
	}
	return joined, err
}

// newRoot is the program with all its commands. A new command is a file with
// its constructor and a line here.
func newRoot(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:   "millrace",
		Short: "An API gateway and a functions platform in one process",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	commands := []func(*env) *cobra.Command{newServe, newStart, newStop, newQuit, newRestart, newReload, newTest, newWaitready, newNamespace, newImport, newDeploy, newWsk, newVersion}
	for _, command := range commands {
		root.AddCommand(command(e))
	}
	return root
}

func newWsk(e *env) *cobra.Command {
	return wsk.New(wsk.Env{
		In: e.in, Out: e.out, Err: e.err, Lookup: e.lookup, Color: e.terminal,
		BashPreamble: bashWords, Version: version(), Platform: runtime.GOOS + " " + runtime.GOARCH,
	})
}

// report tells the user what went wrong, unless that has been done, and answers
// the exit code.
func (e *env) report(cmd *cobra.Command, err error) int {
	for cmd.Name() != "wsk" && cmd.HasParent() {
		cmd = cmd.Parent()
	}
	return wsk.Report(e.err, cmd.CommandPath(), err)
}
