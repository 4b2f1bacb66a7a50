package activation_test

import (
	"testing"

	"millrace/activation"
	"millrace/whisk"
)

func TestFilterName(t *testing.T) {
	tests := []struct {
		name, path, binding, want string
	}{
		{"hello", `"guest/hello"`, ``, "hello"},
		{"hello", `"guest/pkg/hello"`, ``, "pkg/hello"},
		{"echo", `"whisk.system/utils/echo"`, `"guest/mine"`, "mine/echo"},
		{"trigger", ``, ``, "trigger"},
		{"odd", `17`, `null`, "odd"},
		{"odd", `"no slash"`, `"no slash"`, "odd"},
		{"hello", `"guest/p\u006bg/hello"`, ``, "pkg/hello"},
		{"hello", `"guest/pkg/hello`, ``, "pkg/hello"}, // broken, but harmless
		{"hello", `"`, `"\"`, "hello"},
	}
	for _, tt := range tests {
		rec := &whisk.Activation{Name: tt.name}
		if tt.path != "" {
			rec.Annotations = rec.Annotations.With("path", []byte(tt.path))
		}
		if tt.binding != "" {
			rec.Annotations = rec.Annotations.With("binding", []byte(tt.binding))
		}
		if got := activation.FilterName(rec); got != tt.want {
			t.Errorf("path %s, binding %s: %q, want %q", tt.path, tt.binding, got, tt.want)
		}
	}
}
