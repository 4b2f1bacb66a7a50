package server

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"millrace/config"
)

func TestReloadPlugins(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config.yaml")
	var log strings.Builder
	s := &Server{log: slog.New(slog.NewTextHandler(&log, nil)), opt: Options{ConfigFile: path}, plugins: newPluginList(&config.Default().Gateway)}
	all := s.plugins.set.Names()
	steps := []struct {
		text string
		want []string
	}{
		{"plugins: [limit-count, mocking]", []string{"mocking", "limit-count"}},
		{"plugins: [nobody-knows, limit-count, mocking]", []string{"mocking", "limit-count"}},
		{"plugins: [", []string{"mocking", "limit-count"}},
		{"plugins: []", nil},
		{"log: {level: info}", all},
	}
	for _, step := range steps {
		if err := os.WriteFile(path, []byte(step.text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := s.reloadPlugins()
		if got := s.plugins.set.Names(); !slices.Equal(got, step.want) {
			t.Errorf("%s: %v, %v", step.text, got, err)
		}
		if said := strings.Contains(log.String(), "not available: nobody-knows"); said != strings.Contains(step.text, "nobody-knows") {
			t.Errorf("%s: logged %q", step.text, log.String())
		}
		log.Reset()
	}
}
