package wsk

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"strings"

	"github.com/spf13/cobra"
)

// Names of what `sdk install` puts into the working directory.
const (
	bashScript     = "wsk_cli_bash_completion.sh"
	dockerArchive  = "blackbox.tar.gz"
	dockerSkeleton = "dockerSkeleton"
	iOSArchive     = "OpenWhiskIOSStarterApp.zip"
)

// largestSDK bounds what an archive may unpack to, in bytes.
const largestSDK = 1 << 30

func (a *app) sdkCommand() *cobra.Command {
	return group("sdk", "work with the sdk", a.sdkInstallCommand())
}

func (a *app) sdkInstallCommand() *cobra.Command {
	var stdout bool
	cmd := &cobra.Command{
		Use:   "install COMPONENT",
		Short: "install SDK artifacts",
		Long:  "install SDK artifacts, where valid COMPONENT values are docker, iOS, and bashauto",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("The SDK component argument is missing. One component (docker, ios, or bashauto) must be specified")
			}
			switch strings.ToLower(args[0]) {
			case "docker":
				return a.installDocker(cmd.Context())
			case "ios":
				return a.installIOS(cmd.Context())
			case "bashauto":
				return a.installBash(cmd, stdout)
			}
			return usageError("The SDK component argument '%s' is invalid. Valid components are docker, ios and bashauto", args[0])
		},
	}
	cmd.Flags().BoolVarP(&stdout, "stdout", "s", false, "prints bash command completion script to stdout")
	return cmd
}

func (a *app) installBash(cmd *cobra.Command, stdout bool) error {
	write := func(w io.Writer) error {
		if _, err := io.WriteString(w, a.BashPreamble); err != nil {
			return err
		}
		return cmd.Root().GenBashCompletionV2(w, true)
	}
	if stdout {
		return write(a.Out)
	}
	if err := create(bashScript, write); err != nil {
		return because(err, "Unable to generate '%s'", bashScript)
	}
	fmt.Fprintf(a.Out, "The bash auto-completion script (%s) is installed in the current directory.\n", bashScript)
	fmt.Fprintln(a.Out, "To enable command line completion of wsk commands, source the auto completion script into your bash environment")
	return nil
}

func (a *app) installIOS(ctx context.Context) error {
	err := a.download(ctx, "iOS", iOSArchive, func(body io.Reader) error {
		return create(iOSArchive, func(w io.Writer) error {
			_, err := io.Copy(w, body)
			return err
		})
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.Out, "Downloaded OpenWhisk iOS starter app. Unzip '%s' and open the project in Xcode.\n", iOSArchive)
	return nil
}

func (a *app) installDocker(ctx context.Context) error {
	if _, err := os.Lstat(dockerSkeleton); err == nil {
		return &Error{Msg: fmt.Sprintf("The directory %s already exists.  Delete it and retry.", dockerSkeleton), Code: exitGeneral}
	}
	err := a.download(ctx, "docker", dockerArchive, func(body io.Reader) error {
		if err := unpack(body); err != nil {
			return because(err, "Error during unpacking of SDK file %s", dockerArchive)
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(a.Out, "The docker skeleton is now installed at the current directory.")
	return nil
}

// download hands over the body of a file of the API host.
func (a *app) download(ctx context.Context, component, file string, use func(io.Reader) error) error {
	fail := func(err error) error { return because(err, "The %s SDK installation failed", component) }
	if _, err := os.Lstat(file); err == nil {
		return &Error{Msg: fmt.Sprintf("The file %s already exists.  Delete it and retry.", file), Code: exitGeneral}
	}
	c, err := a.client(false)
	if err != nil {
		return err
	}
	c.auth = "" // the file is for everybody
	resp, err := c.send(ctx, http.MethodGet, c.host+"/"+file, nil)
	if err != nil {
		return fail(because(err, "Unable to retrieve '%s' SDK", file))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20)) // the status says enough
		return fail(because(statusError(resp.StatusCode, text), "Unable to retrieve '%s' SDK", file))
	}
	if err := use(resp.Body); err != nil {
		return fail(err)
	}
	return nil
}

// create writes a new file, which is gone again if writing fails.
func create(name string, write func(io.Writer) error) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return &Error{Msg: fmt.Sprintf("The file %s already exists.  Delete it and retry.", name), Code: exitGeneral}
	}
	if err != nil {
		return err
	}
	err = errors.Join(write(file), file.Close())
	if err != nil {
		os.Remove(name)
	}
	return err
}

// unpack writes the files and folders of a compressed archive below the working
// directory; other kinds of entries, such as links, are left out.
func unpack(archive io.Reader) error {
	plain, err := gzip.NewReader(archive)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(".")
	if err != nil {
		return err
	}
	defer root.Close()
	entries := tar.NewReader(io.LimitReader(plain, largestSDK))
	for {
		entry, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch entry.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(entry.Name, 0o755)
		case tar.TypeReg:
			err = unpackFile(root, entry, entries)
		}
		if err != nil {
			return err
		}
	}
}

func unpackFile(root *os.Root, entry *tar.Header, content io.Reader) error {
	if err := root.MkdirAll(path.Dir(entry.Name), 0o755); err != nil {
		return err
	}
	mode := entry.FileInfo().Mode().Perm()&0o755 | 0o600
	file, err := root.OpenFile(entry.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}
