package sealed

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func newSealer(t testing.TB) *Sealer {
	t.Helper()
	key, err := ParseKey(NewKey())
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealAndOpen(t *testing.T) {
	s := newSealer(t)
	for _, secret := range []string{"", "a secret", strings.Repeat("long", 1000), "\x00\xff"} {
		text := s.Seal("key/guest", secret)
		if secret != "" && strings.Contains(text, secret) {
			t.Errorf("the sealed text shows the secret %q", secret)
		}
		if got, err := s.Open("key/guest", text); err != nil || got != secret {
			t.Errorf("opened %q, %v; want %q", got, err, secret)
		}
		if s.Seal("key/guest", secret) == text {
			t.Error("sealing twice gives the same text")
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	s := newSealer(t)
	text := s.Seal("key/guest", "secret")
	changed := []byte(text)
	changed[len(changed)-3] ^= 1
	for name, c := range map[string]struct {
		sealer        *Sealer
		purpose, text string
	}{
		"another purpose": {s, "key/other", text},
		"another key":     {newSealer(t), "key/guest", text},
		"changed":         {s, "key/guest", string(changed)},
		"cut":             {s, "key/guest", text[:len(text)-4]},
		"too short":       {s, "key/guest", form + "AA"},
		"another form":    {s, "key/guest", "s2." + text[len(form):]},
		"not base64":      {s, "key/guest", form + "!"},
		"empty":           {s, "key/guest", ""},
	} {
		if got, err := c.sealer.Open(c.purpose, c.text); !errors.Is(err, ErrOpen) || got != "" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	for _, text := range []string{"", "abc", strings.Repeat("x", 64), NewKey()[:62], NewKey() + "00"} {
		if _, err := ParseKey(text); err == nil {
			t.Errorf("ParseKey(%q): no error", text)
		} else if text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("the error repeats the key: %v", err)
		}
	}
	if _, err := New(make([]byte, 16)); err == nil {
		t.Error("New took a key of 16 bytes")
	}
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	if _, _, err := KeyFile(path, false); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	keys := make([]string, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], _, err = KeyFile(path, true); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] || k == "" {
			t.Error("starters at the same moment have several keys")
		}
	}
	if key, created, err := KeyFile(path, true); key != keys[0] || created || err != nil {
		t.Errorf("the next start: created %v, %v", created, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("files left: %v", left)
	}
	if err := os.WriteFile(path, []byte("no key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := KeyFile(path, true); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a file without a key: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	s := newSealer(f)
	f.Add("s1.AAAA")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := s.Open("p", text); err == nil {
			t.Errorf("%q opened", text)
		}
	})
}
