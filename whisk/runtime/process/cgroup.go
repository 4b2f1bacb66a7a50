package process

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cgroups makes a control group for every instance, below the one that the
// platform itself is in: v1 or v2, whichever holds the controller. The groups of a
// launcher are in a folder named after its process, so that what a killed one left behind
// can be told from what is in use.
type cgroups struct {
	memory string // folder of the groups with the memory controller, or empty
	pids   string
	v2     bool // memory and pids are the same unified hierarchy
}

const cgroupPrefix = "millrace-"

// openCgroups finds and prepares the controllers, and notes in missing why one
// cannot be used; nil if none can.
func openCgroups(missing map[string]string) *cgroups {
	mounts, err := cgroupMounts("/proc/self/cgroup", "/proc/self/mountinfo")
	if err != nil {
		missing[layerMemory], missing[layerPIDs] = err.Error(), err.Error()
		return nil
	}
	g, name := &cgroups{}, groupPrefix(os.Getpid())+rand.Text()[:8]
	for _, c := range []struct {
		name, layer string
		dir         *string
	}{{"memory", layerMemory, &g.memory}, {"pids", layerPIDs, &g.pids}} {
		dir, v2, err := prepareController(mounts, c.name, name)
		if err != nil {
			missing[c.layer] = err.Error()
			continue
		}
		*c.dir, g.v2 = dir, g.v2 || v2
	}
	if g.memory == "" && g.pids == "" {
		return nil
	}
	return g
}

// cgroupMounts answers, by controller, the folder of the group that this process
// is in; the unified hierarchy has the name "".
func cgroupMounts(membership, mountinfo string) (map[string]string, error) {
	paths, err := readLines(membership)
	if err != nil {
		return nil, err
	}
	own := map[string]string{} // controller list to path
	for _, line := range paths {
		if f := strings.SplitN(line, ":", 3); len(f) == 3 {
			for _, controller := range strings.Split(f[1], ",") {
				own[controller] = f[2]
			}
		}
	}
	lines, err := readLines(mountinfo)
	if err != nil {
		return nil, err
	}
	dirs := map[string]string{}
	for _, line := range lines {
		left, right, ok := strings.Cut(line, " - ")
		fields, kind := strings.Fields(left), strings.Fields(right)
		if !ok || len(fields) < 5 || len(kind) < 3 {
			continue
		}
		switch kind[0] {
		case "cgroup2":
			dirs[""] = underMount(fields[4], fields[3], own[""])
		case "cgroup":
			for _, controller := range strings.Split(kind[2], ",") {
				if path, in := own[controller]; in {
					dirs[controller] = underMount(fields[4], fields[3], path)
				}
			}
		}
	}
	return dirs, nil
}

// underMount answers the folder of a group in a mount that shows the hierarchy
// from root on.
func underMount(mount, root, path string) string {
	if rest, ok := strings.CutPrefix(path, root); ok {
		path = rest
	}
	return filepath.Join(mount, path)
}

// prepareController makes the folder of a name for our groups in the hierarchy that has
// the controller.
func prepareController(mounts map[string]string, controller, name string) (dir string, v2 bool, err error) {
	own, ok := mounts[controller]
	if !ok {
		if own, ok = mounts[""]; !ok {
			return "", false, errors.New("no cgroup hierarchy is mounted")
		}
		if err := delegate(own, controller); err != nil {
			return "", false, err
		}
		v2 = true
	}
	removeStale(own)
	dir = filepath.Join(own, name)
	if err := os.Mkdir(dir, 0o755); err != nil && !os.IsExist(err) {
		return "", false, err
	}
	if v2 {
		err = writeFile(dir, "cgroup.subtree_control", "+"+controller)
	}
	return dir, v2, err
}

// delegate lets the groups below own use a controller of the unified hierarchy. A
// group with such groups below it may hold no process itself, so we move into one
// of them.
func delegate(own, controller string) error {
	available, err := os.ReadFile(filepath.Join(own, "cgroup.controllers"))
	if err != nil {
		return err
	}
	if !strings.Contains(" "+strings.TrimSpace(string(available))+" ", " "+controller+" ") {
		return fmt.Errorf("the %s controller is not delegated to %s", controller, own)
	}
	if writeFile(own, "cgroup.subtree_control", "+"+controller) == nil {
		return nil
	}
	leaf := filepath.Join(own, "platform")
	if err := os.Mkdir(leaf, 0o755); err != nil && !os.IsExist(err) {
		return err
	}
	if err := writeFile(leaf, "cgroup.procs", strconv.Itoa(os.Getpid())); err != nil {
		return err
	}
	return writeFile(own, "cgroup.subtree_control", "+"+controller)
}

// groupPrefix begins the name of the folder for the groups of a launcher. It has the
// process id namespace in it, since whoever runs in another one cannot tell whether the
// process is still there.
func groupPrefix(pid int) string {
	var namespace syscall.Stat_t
	_ = syscall.Stat("/proc/self/ns/pid", &namespace) // 0 without a /proc: nobody else's
	return fmt.Sprintf("%s%d-%d-", cgroupPrefix, namespace.Ino, pid)
}

// removeStale removes the groups of platform processes that are no more.
func removeStale(own string) {
	dirs, _ := filepath.Glob(filepath.Join(own, cgroupPrefix+"*-*-*"))
	for _, dir := range dirs {
		pid, err := strconv.Atoi(strings.Split(filepath.Base(dir), "-")[2])
		if err == nil && strings.HasPrefix(filepath.Base(dir), groupPrefix(pid)) && syscall.Kill(pid, 0) == syscall.ESRCH {
			removeEmpty(dir)
		}
	}
}

// removeEmpty removes a group with those below it: a platform may have run in one, with
// groups of its own. One that still has a process is another start's business.
func removeEmpty(dir string) {
	var groups []string
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			groups = append(groups, path)
		}
		return nil
	})
	for _, group := range slices.Backward(groups) {
		procs, err := os.ReadFile(filepath.Join(group, "cgroup.procs"))
		if err != nil || len(procs) > 0 || removeGroup(group) != nil {
			return
		}
	}
}

// close removes the folder of our groups, which must be empty.
func (g *cgroups) close() error {
	var errs []error
	for _, dir := range []string{g.memory, g.pids} {
		if dir != "" {
			errs = append(errs, removeGroup(dir))
		}
	}
	return errors.Join(errs...)
}

// cgroup is the group of one instance. In v1 it is two folders.
type cgroup struct {
	memory, pids string
	v2           bool
}

func (g *cgroups) create(serial uint32, maxProcesses int) (*cgroup, error) {
	c := &cgroup{v2: g.v2}
	name := strconv.Itoa(int(serial))
	for _, d := range []struct {
		in   string
		made *string
	}{{g.memory, &c.memory}, {g.pids, &c.pids}} {
		if d.in == "" {
			continue
		}
		dir := filepath.Join(d.in, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !os.IsExist(err) {
			return nil, errors.Join(err, c.remove())
		}
		*d.made = dir
	}
	if c.pids == "" {
		return c, nil
	}
	if err := writeFile(c.pids, "pids.max", strconv.Itoa(maxProcesses)); err != nil {
		return nil, errors.Join(err, c.remove())
	}
	return c, nil
}

// dirs are the different folders of the group.
func (c *cgroup) dirs() []string {
	var dirs []string
	for _, d := range []string{c.memory, c.pids} {
		if d != "" && (len(dirs) == 0 || dirs[0] != d) {
			dirs = append(dirs, d)
		}
	}
	return dirs
}

// enter puts a process into the group.
func (c *cgroup) enter(pid int) error {
	for _, dir := range c.dirs() {
		if err := writeFile(dir, "cgroup.procs", strconv.Itoa(pid)); err != nil {
			return err
		}
	}
	return nil
}

func (c *cgroup) limitsMemory() bool { return c.memory != "" }

// setMemory limits memory, and swap to nothing, where it is accounted.
func (c *cgroup) setMemory(bytes uint64) error {
	limit := strconv.FormatUint(bytes, 10)
	file, swap, swapLimit := "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", limit
	if c.v2 {
		file, swap, swapLimit = "memory.max", "memory.swap.max", "0"
	}
	if err := writeFile(c.memory, file, limit); err != nil {
		return err
	}
	if err := writeFile(c.memory, swap, swapLimit); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

// outOfMemory tells whether the kernel has killed a process of the group.
func (c *cgroup) outOfMemory() bool {
	if c.memory == "" {
		return false
	}
	file := "memory.oom_control"
	if c.v2 {
		file = "memory.events"
	}
	lines, err := readLines(filepath.Join(c.memory, file))
	if err != nil {
		return false
	}
	for _, line := range lines {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			return n != "0"
		}
	}
	return false
}

// kill kills what is in the group. It is for descendants that have left the
// process group where there is no pid namespace, so it need not be atomic.
func (c *cgroup) kill() {
	for _, dir := range c.dirs() {
		if c.v2 && writeFile(dir, "cgroup.kill", "1") == nil {
			return
		}
		pids, err := readLines(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			continue
		}
		for _, text := range pids {
			if pid, err := strconv.Atoi(text); err == nil && pid > 1 {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		return
	}
}

func (c *cgroup) remove() error {
	var errs []error
	for _, dir := range c.dirs() {
		errs = append(errs, removeGroup(dir))
	}
	return errors.Join(errs...)
}

// removeGroup removes the folder of a group; for a moment after its last process
// has died the kernel may call it busy.
func removeGroup(dir string) error {
	var err error
	for wait := time.Millisecond; wait < time.Second; wait *= 2 {
		if err = syscall.Rmdir(dir); err != syscall.EBUSY {
			break
		}
		time.Sleep(wait)
	}
	if err == nil || err == syscall.ENOENT {
		return nil
	}
	return fmt.Errorf("removing cgroup %s: %w", dir, err)
}

// writeFile writes a control file, which must exist.
func writeFile(dir, name, text string) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func readLines(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var lines []string
	for s := bufio.NewScanner(f); s.Scan(); {
		lines = append(lines, s.Text())
	}
	return lines, nil
}
