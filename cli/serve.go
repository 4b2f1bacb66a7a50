package cli

import (
	"errors"

	"github.com/spf13/cobra"
)

func newServe(*env) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Start the gateway, the functions platform and the console",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("this build has no server")
		},
	}
}
