package system

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"millrace/blob"
	"millrace/whisk"
	"millrace/whisk/runtime/builtin"
)

// Catalog is what the installer needs of the entities. Put methods write in place
// of the revision that the entity holds, 0 for a new one, and answer a
// *whisk.Error 409 if somebody else was faster or the name is taken by another
// kind of entity.
type Catalog interface {
	Package(namespace, name string) (*whisk.Package, bool)
	Action(namespace, pkg, name string) (*whisk.Action, bool)
	PutPackage(ctx context.Context, p *whisk.Package) (*whisk.Package, error)
	PutAction(ctx context.Context, a *whisk.Action, code []byte) (*whisk.Action, error)
}

// Installer puts packages into a catalog. All fields must be set.
type Installer struct {
	Log      *slog.Logger
	Catalog  Catalog
	Manifest *whisk.Manifest
	Limits   *whisk.SystemLimits
}

// Install makes the catalog hold packages as given: what is absent or differs is
// written, anything else of the namespace is left alone. Actions in Node.js are
// passed over where no Node.js is, and so is what has the name of an entity of
// another kind.
func (i *Installer) Install(ctx context.Context, packages []Package) error {
	for _, p := range packages {
		if err := i.install(ctx, &p); conflict(err) {
			i.Log.Warn("a package is not installed: delete what has its name and start again", "package", Namespace+"/"+p.Name, "error", err)
		} else if err != nil {
			return fmt.Errorf("installing package %s/%s: %w", Namespace, p.Name, err)
		}
	}
	return nil
}

func conflict(err error) bool {
	var e *whisk.Error
	return errors.As(err, &e) && e.Status == http.StatusConflict
}

func (i *Installer) install(ctx context.Context, p *Package) error {
	if err := i.putPackage(ctx, p); err != nil {
		return err
	}
	node, noNode := i.Manifest.Resolve("nodejs:default")
	passed := 0
	for _, a := range p.Actions {
		kind := builtin.Kind
		if a.Source != "" {
			if noNode != nil {
				passed++
				continue
			}
			kind = node.Kind
		}
		if err := i.putAction(ctx, p.Name, &a, kind); err != nil {
			return fmt.Errorf("action %s: %w", a.Name, err)
		}
	}
	if passed > 0 {
		i.Log.Info("actions that need Node.js are not installed", "package", Namespace+"/"+p.Name, "actions", passed)
	}
	return nil
}

func (i *Installer) putPackage(ctx context.Context, p *Package) error {
	want := &whisk.Package{
		Namespace: Namespace, Name: p.Name, Version: whisk.FirstVersion.String(), Publish: !p.Private,
		Parameters: p.Parameters, Annotations: p.Annotations,
	}
	if old, ok := i.Catalog.Package(Namespace, p.Name); ok {
		want.Version, want.Updated, want.Revision = old.Version, old.Updated, old.Revision
		if same(want, old) {
			return nil
		}
		want.Version = whisk.NextVersion(old.Version)
	}
	want.Updated = time.Now().UnixMilli()
	_, err := i.Catalog.PutPackage(ctx, want)
	return err
}

func (i *Installer) putAction(ctx context.Context, pkg string, a *Action, kind string) error {
	code := []byte(a.Source + a.Function)
	want := &whisk.Action{
		Namespace: Namespace, Package: pkg, Name: a.Name, Version: whisk.FirstVersion.String(),
		Exec:       whisk.Exec{Kind: kind, Digest: string(blob.Of(code)), Size: len(code)},
		Parameters: a.Parameters, Limits: i.limits(kind),
		Annotations: annotations(a.Annotations, kind),
	}
	if old, ok := i.Catalog.Action(Namespace, pkg, a.Name); ok {
		want.Version, want.Updated, want.Revision = old.Version, old.Updated, old.Revision
		if same(want, old) {
			return nil
		}
		want.Version = whisk.NextVersion(old.Version)
	}
	want.Updated = time.Now().UnixMilli()
	_, err := i.Catalog.PutAction(ctx, want, code)
	return err
}

// same compares entities by what is stored of them.
func same(want, old any) bool {
	w, err := json.Marshal(want)
	if err != nil {
		return false
	}
	o, err := json.Marshal(old)
	return err == nil && bytes.Equal(w, o)
}

// concurrency is how many calls one instance of a builtin action takes at once,
// if the platform allows that many.
const concurrency = 64

// limits are the defaults. Those of builtin actions are what is in fact used,
// and stay within what the configuration allows, since calls are held to it.
func (i *Installer) limits(kind string) whisk.Limits {
	l := i.Limits.Defaults()
	if kind == builtin.Kind {
		l.MemoryMB, l.LogsMB = builtin.MemoryMB, i.Limits.LogsMB.Min
		l.Concurrency = min(concurrency, i.Limits.Concurrency.Max)
	}
	return l
}

// annotations adds what the platform itself sets. No action gets a key.
func annotations(given whisk.KeyValues, kind string) whisk.KeyValues {
	if given.Find(whisk.AnnotationProvideAPIKey) == nil {
		given = given.With(whisk.AnnotationProvideAPIKey, []byte("false"))
	}
	return given.With(whisk.AnnotationExec, whisk.AppendString(nil, kind))
}
