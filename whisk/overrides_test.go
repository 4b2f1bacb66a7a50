package whisk

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func patched(t *testing.T, texts ...string) *Overrides {
	t.Helper()
	o := new(Overrides)
	for _, text := range texts {
		var err error
		if o, err = o.Patched([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func TestOverridesGive(t *testing.T) {
	platform := DefaultSystemLimits()
	var id Identity
	patched(t, `{}`).Give(&id, &platform)
	if id.System != nil || id.Limits != platform.Namespace || id.SystemLimits(&platform) != &platform {
		t.Errorf("without overrides: %+v", id)
	}
	patched(t, `{"invocationsPerMinute":0,"maxActionMemory":200,"minActionTimeout":70000,"maxPayloadSize":10,"maxParameterSize":20,
		"allowedKinds":["nodejs:20"],"storeActivations":false,"maxActionInstances":7}`).Give(&id, &platform)
	want := platform
	want.Namespace.InvocationsPerMinute, want.Namespace.ActionInstances = 0, 7
	want.MemoryMB = Range{Min: 128, Default: 200, Max: 200}
	want.TimeoutMS = Range{Min: 70_000, Default: 70_000, Max: 300_000}
	want.Payload, want.Parameters = 10, 20
	if diff := cmp.Diff(&want, id.SystemLimits(&platform)); diff != "" {
		t.Error(diff)
	}
	if id.Limits != want.Namespace || !id.Unrecorded || id.Limits.MaxInstances() != 7 {
		t.Errorf("%+v", id)
	}
	if err := id.CheckKind("nodejs:20"); err != nil {
		t.Error(err)
	}
	var refused *Error
	if err := id.CheckKind("python:3"); !errors.As(err, &refused) || refused.Status != 403 ||
		refused.Msg != "The supplied authentication is not authorized to access actions of kind 'python:3'." {
		t.Errorf("%v", err)
	}
	if err := id.CheckKind("sequence"); err != nil {
		t.Errorf("a sequence runs nothing itself: %v", err)
	}
}

func TestOverridesPatched(t *testing.T) {
	first := patched(t, `{"firesPerMinute":5,"allowedKinds":["a","b"],"maxActionLogs":3}`)
	second, err := first.Patched([]byte(`{"firesPerMinute":null,"allowedKinds":["c"],"minActionLogs":1}`))
	if err != nil {
		t.Fatal(err)
	}
	if *first.FiresPerMinute != 5 || first.AllowedKinds[0] != "a" {
		t.Errorf("the patched value was changed: %+v", first)
	}
	if diff := cmp.Diff(patched(t, `{"allowedKinds":["c"],"maxActionLogs":3,"minActionLogs":1}`), second); diff != "" {
		t.Error(diff)
	}
	if o := patched(t, `{"allowedKinds":["c"]}`, `{"allowedKinds":null}`); !o.Empty() {
		t.Errorf("%+v", o)
	}
	for _, bad := range []string{``, `[]`, `1`, `{"nonsense":1}`, `{"firesPerMinute":"5"}`, `{"firesPerMinute":1.5}`, `{"allowedKinds":"a"}`, `{`, `{}x`} {
		if _, err := first.Patched([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", bad)
		}
	}
}

func TestOverridesCheck(t *testing.T) {
	platform := DefaultSystemLimits()
	for text, want := range map[string]string{
		`{"invocationsPerMinute":0,"maxActionMemory":4096}`: "",
		`{"invocationsPerMinute":-1}`:                       "invocationsPerMinute must be a whole number from 0 to 2147483647",
		`{"maxPayloadSize":0}`:                              "maxPayloadSize must be a whole number from 1",
		`{"concurrentInvocations":2147483648}`:              "concurrentInvocations must be a whole number",
		`{"minActionMemory":600}`:                           "minActionMemory 600 is above maxActionMemory 512",
		`{"minActionTimeout":9,"maxActionTimeout":8}`:       "minActionTimeout 9 is above maxActionTimeout 8",
		`{"allowedKinds":[""]}`:                             "allowedKinds must be names of kinds",
	} {
		err := patched(t, text).Check(&platform)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func FuzzOverrides(f *testing.F) {
	f.Add([]byte(`{"firesPerMinute":5,"allowedKinds":["a"],"storeActivations":false,"maxActionLogs":null}`))
	platform := DefaultSystemLimits()
	f.Fuzz(func(t *testing.T, text []byte) {
		o, err := new(Overrides).Patched(text)
		if err != nil || o.Check(&platform) != nil {
			return
		}
		if l := o.Over(&platform); l.MemoryMB.Default < l.MemoryMB.Min || l.MemoryMB.Default > l.MemoryMB.Max {
			t.Errorf("%s: %+v", text, l)
		}
	})
}
