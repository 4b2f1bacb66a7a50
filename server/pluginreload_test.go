package server

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"millrace/config"
)

func TestReloadPlugins(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config.yaml")
	s := &Server{opt: Options{ConfigFile: path}, plugins: newPluginList(&config.Default().Gateway)}
	all := s.plugins.set.Names()
	steps := []struct {
		text string
		want []string
	}{
		{"plugins: [limit-count, mocking]", []string{"mocking", "limit-count"}},
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
	}
}
