package wsk

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"millrace/cli/deploy"
	"millrace/whisk"
)

// ProjectFlags are those of commands that bring whole projects to a platform.
type ProjectFlags struct {
	options    deploy.Options
	parameters given
}

// Add gives a command the flags that say which project is meant.
func (f *ProjectFlags) Add(cmd *cobra.Command) {
	flags, o := cmd.Flags(), &f.options
	flags.StringVarP(&o.File, "manifest", "m", "", "the project `FILE`, if it is not in the project's folder or not called manifest.yaml")
	flags.StringVarP(&o.Folder, "project", "p", ".", "the project's `FOLDER`; no file outside of it is read")
	flags.StringVar(&o.Project, "projectname", "", "the project's `NAME`, in place of the one in its files")
}

// AddReading gives it the flags that say how the project is read. The letter d
// stands for --deployment unless the command has it for something else.
func (f *ProjectFlags) AddReading(cmd *cobra.Command, deploymentLetter string) {
	flags, o := cmd.Flags(), &f.options
	flags.StringVarP(&o.Deployment, "deployment", deploymentLetter, "", "the deployment `FILE` with values for one environment")
	flags.BoolVar(&o.Preview, "preview", false, "show what would be done and do nothing")
	flags.BoolVar(&o.Strict, "strict", false, "take runtimes as they are named, without falling back to those of the file's extension")
	f.parameters.noun = "parameter"
	flags.Var(pairFlag{&f.parameters}, "param", "values for inputs in KEY VALUE format")
	flags.VarP(fileFlag{&f.parameters}, "param-file", "P", "FILE containing values for inputs in JSON format")
}

// AddManaged gives it the flag that marks what belongs to a project.
func (f *ProjectFlags) AddManaged(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.options.Managed, "managed", false, "mark what belongs to the project, and remove what it lost")
}

// Options are what the flags say, for the platform that lookup or ~/.wskprops name.
func (f *ProjectFlags) Options(env Env) (deploy.Options, error) {
	parameters, err := f.parameters.keyValues()
	if err != nil {
		return deploy.Options{}, err
	}
	for _, kv := range parameters {
		f.options.Parameters = append(f.options.Parameters, whisk.KeyValue{Key: kv.Key, Value: []byte(kv.Value)})
	}
	f.options.Lookup, f.options.Out, f.options.UserAgent = env.Lookup, env.Out, "millrace/"+env.Version
	f.options.Settings = func() (string, string, error) { return Target(env.Lookup, "", "") }
	return f.options, nil
}

func (a *app) projectCommand() *cobra.Command {
	return group("project", "work with projects of wskdeploy",
		a.projectDeployCommand("deploy", "deploy a project", false),
		a.projectDeployCommand("sync", "deploy a managed project and remove what it lost", true),
		a.projectRun("undeploy", "take a project away", deploy.Undeploy, func(cmd *cobra.Command, f *ProjectFlags) { f.AddReading(cmd, "") }),
		a.projectExportCommand())
}

func (a *app) projectDeployCommand(verb, short string, managed bool) *cobra.Command {
	return a.projectRun(verb, short, deploy.Deploy, func(cmd *cobra.Command, f *ProjectFlags) {
		f.AddReading(cmd, "")
		f.options.Managed = managed
		if !managed {
			f.AddManaged(cmd)
		}
	})
}

// projectExportCommand writes the manifest of what is there.
func (a *app) projectExportCommand() *cobra.Command {
	return a.projectRun("export", "write the manifest and the code of a managed project, or of the namespace", deploy.Export, nil)
}

// projectRun is a command that does run with the flags of a project.
func (a *app) projectRun(verb, short string, run func(context.Context, deploy.Options) error, more func(*cobra.Command, *ProjectFlags)) *cobra.Command {
	f := new(ProjectFlags)
	cmd := &cobra.Command{
		Use: verb, Short: short, Args: between(0, 0, "No arguments are required."),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := f.Options(a.Env)
			if err != nil {
				return err
			}
			o.APIHost, o.Key, o.Insecure = a.flags.apihost, a.flags.auth, a.flags.insecure
			o.Verbose = a.flags.verbose || a.flags.debug
			return run(cmd.Context(), o)
		},
	}
	f.Add(cmd)
	if more != nil {
		more(cmd, f)
	}
	return cmd
}

// JoinProjectPairs makes one argument of the two that --param KEY VALUE takes, for
// commands of projects, where -p is the project.
func JoinProjectPairs(args []string) ([]string, error) { return joinPairs(args, projectPairs) }

func projectPairs(flag string) pairing {
	if flag == "--param" {
		return pair
	}
	return alone
}

// isProject tells whether the command line is one of `wsk project`: the noun is the
// first word that is no flag and no flag's value.
func isProject(args []string) bool {
	takesValue := map[string]bool{"--apihost": true, "--apiversion": true, "--auth": true, "-u": true, "--cert": true, "--key": true, "--user-agent": true}
	for i := 0; i < len(args); i++ {
		switch {
		case takesValue[args[i]]:
			i++
		case strings.HasPrefix(args[i], "-") || args[i] == "wsk" || strings.HasPrefix(args[i], cobra.ShellCompRequestCmd):
		default:
			return args[i] == "project"
		}
	}
	return false
}
