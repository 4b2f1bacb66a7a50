package invoke

import (
	"os"
	"strconv"
	"strings"

	"millrace/whisk/runtime"
)

// machineMemoryMB is the memory of the machine, or of the control group that we
// are held to.
func machineMemoryMB() int {
	mb := 4096 // where nothing tells
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		if f := strings.Fields(string(text)); len(f) > 1 && f[0] == "MemTotal:" {
			if kb, err := strconv.Atoi(f[1]); err == nil {
				mb = kb >> 10
			}
		}
	}
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
			mb = min(mb, max(1, int(n>>20)))
		}
	}
	return mb
}

// shelvesOf makes an empty shelf for every kind that the launchers know; the
// first launcher that knows a kind runs it.
func shelvesOf(cfg *Config) map[string]*shelf {
	shelves := map[string]*shelf{}
	warm := cfg.WarmKinds
	for _, l := range cfg.Launchers {
		for _, k := range l.Kinds() {
			if shelves[k.Name] != nil {
				continue
			}
			shelves[k.Name] = &shelf{kind: k.Name, launcher: l, want: cellsOf(cfg, &k)}
			if warm == nil && k.Default {
				warm = []string{k.Name}
			}
		}
	}
	for _, name := range warm {
		if sh := shelves[name]; sh != nil {
			sh.always = true
		}
	}
	return shelves
}

func cellsOf(cfg *Config, k *runtime.Kind) int {
	if n, ok := cfg.StemCells[k.Name]; ok {
		return n
	}
	return k.StemCells
}
