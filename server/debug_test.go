package server

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestDebugFile(t *testing.T) {
	t.Parallel()
	on := false
	f := &debugFile{path: filepath.Join(t.TempDir(), "debug.yaml"), log: slog.New(slog.DiscardHandler), set: func(v bool) { on = v }}
	steps := []struct {
		name, text string
		on         bool
	}{
		{"not there", "", false},
		{"switched on", "basic:\n  enable: true\n#END\n", true},
		{"without its end", "basic:\n  enable: false\n", true},
		{"with its end", "basic:\n  enable: false\n#END", false},
		{"with hooks", "basic: {enable: true}\nhttp_filter: {enable: true}\nhook_conf: {enable: true, name: hook_phase}\n#END\n\n", true},
		{"no YAML", "basic: [\n#END\n", true},
		{"gone", "", false},
	}
	modified := time.Now()
	for _, step := range steps {
		os.Remove(f.path)
		if step.text != "" {
			if err := os.WriteFile(f.path, []byte(step.text), 0o600); err != nil {
				t.Fatal(err)
			}
			modified = modified.Add(time.Second)
			if err := os.Chtimes(f.path, modified, modified); err != nil {
				t.Fatal(err)
			}
		}
		if f.look(); on != step.on {
			t.Errorf("%s: %v", step.name, on)
		}
	}
}
