package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Layer is one measure that keeps actions in.
type Layer struct {
	Name   string
	Active bool
	Reason string // why it is not active
}

// layers is what this machine allows.
type layers struct {
	list []Layer
	on   map[string]bool
	// flags are the namespaces that a process is started in.
	flags uintptr
	// ownIDs: we are root, and give each instance a user id of its own.
	ownIDs bool
}

// firstID is the first user id of instances. From here to 0x7fffdfff systemd's
// table of ids has nobody.
const (
	firstID  = 0x70000000
	countIDs = 1 << 16
	insideID = 1000
)

var namespaces = [...]struct {
	layer string
	flag  uintptr
}{
	{layerUser, syscall.CLONE_NEWUSER},
	{layerPID, syscall.CLONE_NEWPID},
	{layerMount, syscall.CLONE_NEWNS},
	{layerIPC, syscall.CLONE_NEWIPC},
	{layerUTS, syscall.CLONE_NEWUTS},
	{layerCgroupNS, syscall.CLONE_NEWCGROUP},
	{layerNetwork, syscall.CLONE_NEWNET},
}

// seen answers how an instance sees a path that is inside in an own root.
func (y *layers) seen(host, inside string) string {
	if y.on[layerRoot] {
		return inside
	}
	return host
}

// blueprint is what all instances have in common.
func (y *layers) blueprint(l *Launcher, serial uint32) blueprint {
	b := blueprint{
		Base: l.dir.root, Root: y.on[layerRoot], Code: l.codes.dir, Modules: l.cfg.NodeModules, TmpMB: l.cfg.TmpMB,
	}
	for _, s := range steps {
		if y.on[s.layer] {
			b.Steps = append(b.Steps, s.layer)
		}
	}
	if !y.on[layerPIDs] {
		b.MaxProcesses = l.cfg.MaxProcesses
	}
	if y.on[layerOwnID] {
		b.HostID = firstID + int(serial%countIDs)
		b.ID = b.HostID
		if y.on[layerUser] {
			b.ID = insideID
		}
	}
	return b
}

// attributes are how a process is started. In a user namespace it builds its
// sandbox as that namespace's root, whom root maps to itself, so that folders that
// only root can reach can be bound.
func (y *layers) attributes(b blueprint) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Cloneflags: y.flags, Setsid: true, Pdeathsig: syscall.SIGKILL}
	if y.flags&syscall.CLONE_NEWUSER == 0 {
		return a
	}
	a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	if b.HostID != 0 {
		own := syscall.SysProcIDMap{ContainerID: insideID, HostID: b.HostID, Size: 1}
		a.UidMappings, a.GidMappings = append(a.UidMappings, own), append(a.GidMappings, own)
		a.GidMappingsEnableSetgroups = true
	}
	return a
}

// tryLayers finds out what the machine allows by starting a process with all of
// it, and sets l.layers and l.groups.
func (l *Launcher) tryLayers() error {
	l.layers.on = map[string]bool{}
	if l.cfg.Isolation == IsolationOff {
		l.layers.settle(l.cfg.NoNetwork, func(string) string { return "isolation is switched off" })
		return nil
	}
	missing := map[string]string{}
	l.groups = openCgroups(missing)
	if os.Geteuid() == 0 {
		missing[layerOwnID] = lacksIDs("/proc/self/uid_map", "/proc/self/gid_map")
		l.layers.ownIDs = missing[layerOwnID] == ""
	}
	if err := l.tryFlags(missing); err != nil {
		return err
	}
	l.layers.settle(l.cfg.NoNetwork, func(layer string) string { return missing[layer] })
	if l.cfg.Isolation == IsolationRequire {
		return l.layers.complete()
	}
	return nil
}

// lacksIDs answers why instances cannot have ids of their own: in the user
// namespace of a container root may have a few ids only, as the maps tell.
func lacksIDs(maps ...string) string {
	for _, name := range maps {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // without user namespaces there are no maps, and all ids
		}
		if !coversIDs(string(text)) {
			return "the user namespace that this process runs in has no ids from " + strconv.Itoa(firstID) + " on"
		}
	}
	return ""
}

// coversIDs tells whether a range of an id map (inside, outside, length in each
// line) has all ids of instances.
func coversIDs(text string) bool {
	for line := range strings.Lines(text) {
		var inside, outside, length int64
		if _, err := fmt.Sscan(line, &inside, &outside, &length); err == nil && inside <= firstID && firstID+countIDs <= inside+length {
			return true
		}
	}
	return false
}

// tryFlags tries sets of namespaces, the best first, until one can be started,
// and notes what is missing.
func (l *Launcher) tryFlags(missing map[string]string) error {
	var all uintptr
	for _, n := range namespaces {
		if n.layer != layerNetwork || l.cfg.NoNetwork {
			all |= n.flag
		}
	}
	sets := []uintptr{all, all &^ syscall.CLONE_NEWCGROUP, all &^ syscall.CLONE_NEWUSER, 0}
	if os.Geteuid() != 0 {
		sets = []uintptr{all, all &^ syscall.CLONE_NEWCGROUP, 0}
	}
	var why error
	for _, flags := range sets {
		l.layers.flags = flags
		failed, err := l.trial()
		if err != nil {
			why = errors.Join(why, err)
			continue
		}
		for layer, text := range failed {
			missing[layer] = text
		}
		for _, n := range namespaces {
			if flags&n.flag == 0 {
				missing[n.layer] = fmt.Sprint("refused: ", why)
			}
		}
		if missing[layerRoot] != "" {
			missing[layerOwnID] = "without an own root another user could not reach the launcher"
		}
		return nil
	}
	return fmt.Errorf("starting a process of any kind: %w", why)
}

// trial starts a process that sets up every layer and answers which it could not.
func (l *Launcher) trial() (map[string]string, error) {
	for _, s := range steps {
		l.layers.on[s.layer] = l.layers.ownIDs || s.layer != layerOwnID
	}
	l.layers.on[layerUser] = l.layers.flags&syscall.CLONE_NEWUSER != 0
	l.layers.on[layerPIDs] = true
	if l.layers.flags&syscall.CLONE_NEWNS == 0 { // it would change the host's mounts
		l.layers.on[layerRoot], l.layers.on[layerProc] = false, false
	}
	serial := l.serial.Add(1)
	b := l.layers.blueprint(l, serial)
	b.Trial = true
	b.Env = []string{"PATH=/usr/bin:/bin"}
	i, err := l.spawn(b, serial)
	if err != nil {
		return nil, err
	}
	defer i.Close()
	ctx, cancel := context.WithTimeout(context.Background(), launchTime)
	defer cancel()
	g := i.watch(ctx, time.Time{}, &i.timer)
	defer g.stop()
	a, err := i.firstAnswer()
	if err != nil {
		return nil, fmt.Errorf("the trial's process ended: %w", err)
	}
	if a.Type != frameReady {
		return nil, fmt.Errorf("the trial's process: %s", a.Body)
	}
	var failed map[string]string
	if err := json.Unmarshal(a.Body, &failed); err != nil {
		return nil, err
	}
	if l.layers.flags&syscall.CLONE_NEWNS == 0 {
		failed[layerRoot], failed[layerProc] = "there is no mount namespace", "there is no mount namespace"
	}
	return failed, nil
}

// settle fills the list; missing answers why a layer is not there, or "".
func (y *layers) settle(noNetwork bool, missing func(layer string) string) {
	add := func(name string) {
		for _, has := range y.list {
			if has.Name == name {
				return
			}
		}
		reason := missing(name)
		y.on[name] = reason == ""
		y.list = append(y.list, Layer{Name: name, Active: reason == "", Reason: reason})
	}
	for _, n := range namespaces {
		if n.layer != layerNetwork || noNetwork {
			add(n.layer)
		}
	}
	for _, s := range steps {
		if s.layer != layerOwnID || y.ownIDs || missing(s.layer) != "" {
			add(s.layer)
		}
	}
	add(layerMemory)
	add(layerPIDs)
	if !y.on[layerRoot] {
		y.on[layerProc] = false
	}
}

// complete answers an error that names the missing layers, if any are.
func (y *layers) complete() error {
	var missing []string
	for _, layer := range y.list {
		if !layer.Active {
			missing = append(missing, fmt.Sprintf("%s (%s)", layer.Name, layer.Reason))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("isolation is required, but this machine lacks: %s", strings.Join(missing, "; "))
}
