package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"millrace/config"
	"millrace/resource"
	"millrace/server"
	"millrace/store/file"
)

func newTest(e *env) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "test",
		Short: "Check a configuration without starting anything",
		Long: `Check config.yaml, and the file of routes beside it if it names one. Everything that
is wrong is said with its line, and so is what has no effect here. The exit code is
1 if serve would not start with it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return e.test(cmd, path) },
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "the config.yaml `FILE` (default: none, everything has its default)")
	return cmd
}

func (e *env) test(cmd *cobra.Command, path string) error {
	cfg, err := config.Load(path, e.lookup)
	if err != nil {
		return err
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintln(e.err, "warning: "+w)
	}
	if err := errors.Join(cfg.CheckExposure(), cfg.CheckPorts()); err != nil {
		return err
	}
	if missing := server.MissingPlugins(&cfg.Gateway); len(missing) > 0 {
		fmt.Fprintln(e.err, "warning: "+path+": plugins that are not available: "+strings.Join(missing, ", "))
	}
	if source := &cfg.Gateway.Source; source.Provider == "file" {
		routes, err := file.Open(cmd.Context(), file.Config{
			Log: slog.New(slog.NewTextHandler(e.err, nil)), Path: source.File, Lookup: e.lookup,
			Check: func(key string, value []byte) error { return resource.CheckStored(key, value, resource.World{}) },
		})
		if err != nil {
			return err
		}
		routes.Close()
	}
	fmt.Fprintln(e.out, "configuration test is successful")
	return nil
}
