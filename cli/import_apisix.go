package cli

import (
	"errors"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"millrace/cli/transfer"
	"millrace/config"
	"millrace/internal/fieldcrypt"
	"millrace/store"
	"millrace/store/etcd"
	"millrace/store/file"
)

// apisixFlags say where an APISIX keeps its resources, and where they go.
type apisixFlags struct {
	config, file, prefix, admin, adminKey string
	etcd                                  []string
	overwrite, dryRun                     bool
}

func newImportAPISIX(e *env) *cobra.Command {
	var f apisixFlags
	cmd := &cobra.Command{
		Use:   "apisix (--etcd URL | --file apisix.yaml | --config config.yaml)",
		Short: "Copy the routes of an APISIX, with all they need",
		Long: `Copy routes, services, upstreams, consumers and all other resources of an APISIX,
from its etcd or its apisix.yaml, to the Admin API of a running Millrace.

--config is APISIX's own config.yaml: it says where its etcd is, how to reach it,
and the keyring that decrypts secret fields (without it APISIX's default keyring
is tried). What exists at the destination is kept, unless --overwrite is given; so
the command can be run again. What the destination has just as the source has it is
unchanged, and left alone. The exit code is 1 if something is missing.

To go on using the etcd itself, name it in deployment.etcd.host instead.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return e.importAPISIX(cmd, &f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "", "APISIX's config.yaml `FILE`")
	flags.StringSliceVar(&f.etcd, "etcd", nil, "`URL` of APISIX's etcd, can be repeated")
	flags.StringVar(&f.prefix, "prefix", "", "what its keys begin with (default /apisix)")
	flags.StringVar(&f.file, "file", "", "APISIX's apisix.yaml or apisix.json `FILE`")
	flags.StringVar(&f.admin, "admin", "http://127.0.0.1:9180", "`URL` of the destination's Admin API")
	flags.StringVar(&f.adminKey, "admin-key", "", "the `KEY` of the Admin API (default: $MILLRACE_ADMIN_KEY, else the well-known one)")
	flags.BoolVar(&f.overwrite, "overwrite", false, "replace what exists at the destination")
	flags.BoolVar(&f.dryRun, "dry-run", false, "write nothing, and say what a run would do: what is created, replaced, unchanged, in conflict or refused")
	return cmd
}

func (e *env) importAPISIX(cmd *cobra.Command, f *apisixFlags) error {
	cfg, err := config.Load(f.config, e.lookup)
	if err != nil {
		return err
	}
	source, err := e.apisixSource(cmd, f, &cfg.Gateway.Source, cfg.Gateway.TLS.TrustedCertificate)
	if err != nil {
		return err
	}
	defer source.Close()
	o := transfer.Resources{From: source, Admin: f.admin, AdminKey: e.adminKey(f), Overwrite: f.overwrite, DryRun: f.dryRun}
	if o.Keyring, err = fieldcrypt.New(cfg.Gateway.DataEncryption.Keyring); err != nil {
		return err
	}
	if f.file != "" || !cfg.Gateway.DataEncryption.Enabled {
		o.Keyring = o.Keyring.OnlyKeys()
	}
	return e.reported(f.dryRun, func(report func(transfer.Line)) error {
		o.Report = report
		return transfer.CopyResources(cmd.Context(), o)
	})
}

// apisixSource opens what the flags or APISIX's configuration name; trusted is a
// file of authorities for its etcd.
func (e *env) apisixSource(cmd *cobra.Command, f *apisixFlags, s *config.Source, trusted string) (store.Store, error) {
	if f.file == "" && len(f.etcd) == 0 {
		f.file, f.etcd = s.File, s.Etcd.Hosts
	}
	switch {
	case f.file != "":
		return file.Open(cmd.Context(), file.Config{Log: slog.New(slog.NewTextHandler(e.err, nil)), Path: f.file, Lookup: e.lookup})
	case len(f.etcd) == 0:
		return nil, errors.New("where the resources are is not known: give --etcd, --file, or --config with APISIX's config.yaml")
	}
	prefix := s.Etcd.Prefix
	if f.prefix != "" {
		prefix = f.prefix
	}
	security, err := etcd.TLS(etcd.Security{
		Hosts: f.etcd, Cert: s.Etcd.TLS.Cert, Key: s.Etcd.TLS.Key, ServerName: s.Etcd.TLS.SNI, Verify: s.Etcd.TLS.Verify,
		Authorities: trusted,
	})
	if err != nil {
		return nil, err
	}
	return etcd.Open(cmd.Context(), etcd.Config{
		Endpoints: f.etcd, User: s.Etcd.User, Password: s.Etcd.Password, TLS: security,
		From: "/apisix", To: strings.TrimRight(prefix, "/"), Timeout: s.Etcd.Timeout, Attempts: 1,
	})
}

func (e *env) adminKey(f *apisixFlags) string {
	if f.adminKey != "" {
		return f.adminKey
	}
	if key, ok := e.lookup("MILLRACE_ADMIN_KEY"); ok {
		return key
	}
	return config.Default().Admin.Keys[0].Key
}
