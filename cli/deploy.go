package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"millrace/cli/deploy"
	"millrace/cli/wsk"
)

// deployFlags are those of deploy beside the ones it shares with wsk project.
type deployFlags struct {
	project           wsk.ProjectFlags
	apihost, auth     string
	insecure, verbose bool
	remove            bool
	stage             string
	choices           map[string]string
}

func newDeploy(e *env) *cobra.Command {
	var f deployFlags
	cmd := &cobra.Command{
		Use:   "deploy",
		Short: "Deploy a project: manifest.yaml of wskdeploy, or serverless.yml",
		Long: `Deploy a project: manifest.yaml of wskdeploy, or serverless.yml of the Serverless
framework with its plugin for OpenWhisk.

The project file is found in the project's folder. It is checked whole, and every
problem is told with its line, before anything is written; then its entities are
written in the order in which they need one another, each with a line. What exists
is replaced, so the command can be run again.

The platform is the one of --apihost and --auth, else the one that the project's
files name, else the one that wsk is set to (wsk property set).`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return e.deploy(cmd, &f) },
	}
	flags := cmd.Flags()
	f.project.Add(cmd)
	f.project.AddReading(cmd, "d")
	f.project.AddManaged(cmd)
	flags.StringVar(&f.apihost, "apihost", "", "the platform's API `HOST`")
	flags.StringVarP(&f.auth, "auth", "u", "", "the `KEY` (uuid:secret) of the namespace")
	flags.BoolVarP(&f.insecure, "insecure", "i", false, "bypass the check of the platform's certificate")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "tell more")
	flags.BoolVar(&f.remove, "remove", false, "take the project away")
	flags.StringVarP(&f.stage, "stage", "s", "", "the `STAGE` that ${opt:stage} of a serverless.yml stands for")
	flags.StringToStringVar(&f.choices, "opt", nil, "`NAME=VALUE` that ${opt:NAME} of a serverless.yml stands for; may be repeated")
	return cmd
}

func (e *env) deploy(cmd *cobra.Command, f *deployFlags) error {
	o, err := f.project.Options(wsk.Env{Lookup: e.lookup, Out: e.out, Version: version()})
	if err != nil {
		return err
	}
	o.APIHost, o.Key, o.Insecure, o.Verbose, o.Choices = f.apihost, f.auth, f.insecure, f.verbose, f.choices
	if f.stage != "" {
		if o.Choices == nil {
			o.Choices = map[string]string{}
		}
		o.Choices["stage"] = f.stage
	}
	if !f.remove {
		return deploy.Deploy(cmd.Context(), o)
	}
	if o.Managed {
		return errors.New("--managed and --remove exclude one another")
	}
	return deploy.Undeploy(cmd.Context(), o)
}
