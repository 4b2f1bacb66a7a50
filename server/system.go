package server

import (
	"context"
	"maps"

	"millrace/whisk"
	"millrace/whisk/catalog"
	"millrace/whisk/runtime/builtin"
	"millrace/whisk/system"
)

// builtins are the functions of the platform that actions of whisk.system run.
func (s *Server) builtins(sources *feeds, gate *apiGateway) map[string]builtin.Func {
	all := maps.Clone(sources.Functions())
	maps.Copy(all, gate.apis.Functions())
	return all
}

// installSystem makes whisk.system hold its packages.
func (s *Server) installSystem(ctx context.Context, entities *catalog.Catalog, m *whisk.Manifest, limits *whisk.SystemLimits) error {
	i := system.Installer{Log: s.log, Catalog: entities, Manifest: m, Limits: limits}
	return i.Install(ctx, system.Packages())
}
