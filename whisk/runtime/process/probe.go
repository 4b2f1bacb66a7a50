package process

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"time"
)

// probeResult is what is known of one program. Running each of them costs more
// than all else at start, so results are kept in a file, for as long as the
// program's file is the same.
type probeResult struct {
	Program  string    `json:"program"` // as it was found
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	Family   string    `json:"family"`
	Version  string    `json:"version"` // empty: none of ours
	Path     string    `json:"path"`
	Roots    []string  `json:"roots"`
}

// probes are results by program.
type probes map[string]*probeResult

// readProbes answers what an earlier start has learnt: nothing if there is no
// such file or it cannot be read.
func readProbes(file string) probes {
	known := probes{}
	data, err := os.ReadFile(file)
	if err != nil {
		return known
	}
	var list []*probeResult
	if json.Unmarshal(data, &list) != nil {
		return known
	}
	for _, r := range list {
		known[r.Program] = r
	}
	return known
}

// writeProbes keeps the results for the next start, if they have changed. Failing
// to do so costs that start some time and is no error.
func writeProbes(file string, before probes, now []*probeResult) {
	after := probes{}
	for _, r := range now {
		after[r.Program] = r
	}
	if file == "" || reflect.DeepEqual(before, after) {
		return
	}
	data, err := json.Marshal(now)
	if err != nil {
		return
	}
	if temp := file + ".new"; os.WriteFile(temp, data, 0o600) == nil {
		_ = os.Rename(temp, file)
	}
}

// look answers what a program is, from memory if it has not changed.
func (known probes) look(program string) *probeResult {
	r := &probeResult{Program: program}
	info, err := os.Stat(program)
	if err != nil {
		return r
	}
	r.Size, r.Modified = info.Size(), info.ModTime().UTC()
	if k := known[program]; k != nil && k.Size == r.Size && k.Modified.Equal(r.Modified) {
		return k
	}
	r.probe()
	return r
}

// Each program prints its version, its real path and the folders it needs.
const (
	probeNode   = `console.log([process.versions.node, process.execPath, require('path').dirname(process.execPath)].join('\n'))`
	probePython = `import os, sys
print("\n".join(["%d.%d.%d" % sys.version_info[:3], os.path.realpath(sys.executable), sys.base_prefix, sys.prefix]))`
)

// probe runs a program to learn what it is. Python before 3.6 is not supported.
func (r *probeResult) probe() {
	family, args := "python", []string{"-I", "-S", "-c", probePython}
	if strings.HasPrefix(filepath.Base(r.Program), "node") {
		family, args = "nodejs", []string{"-e", probeNode}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.Program, args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8"}
	out, err := cmd.Output()
	fields := strings.Split(string(bytes.TrimSpace(out)), "\n")
	if err != nil || len(fields) < 3 || family == "python" && versionNumber(fields[0]) < 3006 {
		return
	}
	r.Family, r.Version, r.Path, r.Roots = family, fields[0], fields[1], outsideSystem(fields[2:])
}

func (r *probeResult) interpreter() interpreter {
	return interpreter{family: r.Family, path: r.Path, version: r.Version, number: versionNumber(r.Version), roots: r.Roots}
}
