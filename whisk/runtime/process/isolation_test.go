package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace/whisk/runtime"
)

// need skips a test where the machine has not the layer that it is about.
func need(t *testing.T, l *Launcher, layer ...string) {
	t.Helper()
	for _, y := range l.Layers() {
		if slices.Contains(layer, y.Name) && !y.Active {
			t.Skipf("no %s: %s", y.Name, y.Reason)
		}
	}
}

// needKind skips a test where there is no interpreter for a kind.
func needKind(t testing.TB, l *Launcher, kind string) {
	t.Helper()
	if l.byKind[kind] == nil {
		t.Skipf("no interpreter for %s is installed", kind)
	}
}

// attempt runs an action once and answers what it says.
func attempt(t *testing.T, l *Launcher, kind, code, args string, with ...func(*runtime.Init)) map[string]any {
	t.Helper()
	needKind(t, l, kind)
	reply, err := call(action(t, l, kind, code, with...), args)
	if err != nil || !reply.OK {
		t.Fatalf("%v, %+v %s", err, reply, reply.Body)
	}
	var said map[string]any
	if err := json.Unmarshal(reply.Body, &said); err != nil {
		t.Fatal(err)
	}
	return said
}

// tries is a Node action that carries out each of its functions and says how: the
// code of the error, or the value.
func tries(functions string) string {
	return `const fs = require('fs'), os = require('os'), cp = require('child_process');
	async function main(a) {
		const said = {}, all = {` + functions + `};
		for (const name in all) { try { said[name] = await all[name]() } catch (e) { said[name] = e.code || String(e) } }
		return said
	}`
}

// expect compares what an action said; a text beginning with ! is what it must not be.
func expect(t *testing.T, said map[string]any, want map[string]string) {
	t.Helper()
	for name, value := range want {
		got := fmt.Sprint(said[name])
		if not, negated := strings.CutPrefix(value, "!"); negated && got == not || !negated && got != value {
			t.Errorf("%s: %s, want %s", name, got, value)
		}
	}
}

func TestFilesOfTheHost(t *testing.T) {
	t.Parallel()
	l := newLauncher(t, Config{})
	need(t, l, layerRoot)
	data := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(data, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	other := action(t, l, "nodejs:20", `require('fs').writeFileSync('/tmp/secret', 'x'); function main() {}`)
	defer other.Close()
	said := attempt(t, l, "nodejs:20", tries(`
		data: () => fs.readFileSync(a.data, 'utf8'),
		run: () => fs.readdirSync(a.run).join(),
		shadow: () => fs.readFileSync('/etc/shadow', 'utf8'),
		otherTmp: () => fs.readdirSync('/tmp').join(),
		otherCode: () => fs.readdirSync('/code').join(),
		root: () => fs.readdirSync('/').filter(n => !'bin code dev etc launcher lib lib32 lib64 proc root sbin tmp usr node_modules home opt'.split(' ').includes(n)).join(),
		writeRoot: () => fs.writeFileSync('/x', ''),
		writeEtc: () => fs.writeFileSync('/etc/passwd', ''),
		writeUsr: () => fs.writeFileSync('/usr/x', ''),
		writeCode: () => fs.writeFileSync('/code/x', ''),
		writeLauncher: () => fs.writeFileSync('/launcher/launcher.js', ''),
		writeDev: () => fs.writeFileSync('/dev/x', ''),
		writeProc: () => fs.writeFileSync('/proc/sys/kernel/hostname', 'x'),
		writeTmp: () => fs.writeFileSync('/tmp/x', 'x'),
		null: () => fs.writeFileSync('/dev/null', 'x'),
	`), fmt.Sprintf(`{"data":%q,"run":%q}`, data, l.dir.path))
	expect(t, said, map[string]string{
		"data": "ENOENT", "run": "ENOENT", "shadow": "ENOENT", "otherTmp": "", "otherCode": "EACCES", "root": "",
		"writeTmp": "<nil>", "null": "<nil>",
	})
	for name, got := range said {
		if strings.HasPrefix(name, "write") && name != "writeTmp" && got != "EROFS" && got != "EACCES" && got != "EPERM" {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestProcessesOfTheHost(t *testing.T) {
	t.Setenv("MILLRACE_SECRET", "of the platform")
	l := newLauncher(t, Config{})
	need(t, l, layerPID, layerProc)
	said := attempt(t, l, "nodejs:20", tries(`
		pids: () => fs.readdirSync('/proc').filter(n => /^[0-9]+$/.test(n)).join(),
		environ: () => fs.readFileSync('/proc/1/environ', 'utf8').includes('MILLRACE'),
		env: () => JSON.stringify(process.env).includes('MILLRACE'),
		kill: () => process.kill(a.pid, 'SIGKILL'),
		hostname: () => os.hostname(),
		files: () => fs.readdirSync('/proc/self/fd').map(n => { try { return fs.readlinkSync('/proc/self/fd/' + n) } catch (e) { return '' } })
			.filter(n => !/^(pipe:|anon_inode:|\/dev\/null|\/proc\/1\/fd)/.test(n)).join(),
		status: () => fs.readFileSync('/proc/self/status', 'utf8').split('\n').filter(n => /^(CapEff|CapPrm|CapBnd|CapAmb|NoNewPrivs|Seccomp):/.test(n)).join().replace(/\t/g, ''),
	`), fmt.Sprintf(`{"pid":%d}`, os.Getpid()))
	expect(t, said, map[string]string{
		"pids": "1", "environ": "false", "env": "false", "kill": "ESRCH", "hostname": "action", "files": "",
		"status": "CapPrm:0000000000000000,CapEff:0000000000000000,CapBnd:0000000000000000,CapAmb:0000000000000000,NoNewPrivs:1,Seccomp:2",
	})
}

// As the host sees it, an instance of a platform that is root is not root.
func TestOwnUserID(t *testing.T) {
	t.Parallel()
	l := newLauncher(t, Config{})
	if os.Geteuid() != 0 {
		t.Skip("only root can give user ids away")
	}
	need(t, l, layerOwnID)
	needKind(t, l, "nodejs:20")
	seen := map[string]bool{}
	for range 2 {
		i := launch(t, l, "nodejs:20").(*instance)
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", i.pid))
		if err != nil {
			t.Fatal(err)
		}
		_, uids, _ := strings.Cut(string(status), "Uid:\t")
		uid, _, _ := strings.Cut(uids, "\t")
		if uid == "0" || seen[uid] {
			t.Errorf("an instance runs as user %s", uid)
		}
		seen[uid] = true
	}
}

func TestSystemCalls(t *testing.T) {
	t.Parallel()
	l := newLauncher(t, Config{})
	need(t, l, layerSeccomp)
	said := attempt(t, l, "python:3.10", `
import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def c(name, *args):
    ctypes.set_errno(0)
    return errno.errorcode.get(ctypes.get_errno(), "done") if getattr(libc, name)(*args) == -1 else "done"
def family(n):
    try:
        socket.socket(n, socket.SOCK_STREAM).close()
        return "done"
    except OSError as e:
        return errno.errorcode[e.errno]
def main(a):
    return {
        "mount": c("mount", b"none", b"/tmp", b"tmpfs", 0, None), "umount": c("umount2", b"/tmp", 2),
        "chroot": c("chroot", b"/tmp"), "unshare": c("unshare", 0x10000000), "setns": c("setns", 0, 0),
        "clone": c("syscall", 56, 0x10000011, 0, 0, 0, 0), "clone3": c("syscall", 435, 0, 0),
        "ptrace": c("ptrace", 0, 0, 0, 0), "reboot": c("reboot", 0), "personality": c("personality", 0xffffffff),
        "bpf": c("syscall", 321, 0, 0, 0), "keyctl": c("syscall", 250, 0, 0, 0), "io_uring": c("syscall", 425, 1, 0),
        "userfaultfd": c("syscall", 323, 0), "setuid": c("setuid", 0) if os.getuid() else "EPERM",
        "sethostname": c("sethostname", b"x", 1), "x32": c("syscall", 0x40000000 + 39),
        "vsock": family(40), "alg": family(38), "unix": family(socket.AF_UNIX), "inet": family(socket.AF_INET),
        "fork": "done" if os.waitpid(os.fork() or os._exit(0), 0) else "",
    }
`, `{}`)
	for name, got := range said {
		want := "EPERM"
		switch name {
		case "clone3", "x32":
			want = "ENOSYS"
		case "vsock", "alg":
			want = "EAFNOSUPPORT"
		case "unix", "inet", "fork":
			want = "done"
		}
		if goruntime.GOARCH == "amd64" && got != want {
			t.Errorf("%s: %v, want %s", name, got, want)
		}
	}
}

// The numbers of 32-bit calls mean other calls; they must not get past the filter.
func TestForeignSystemCalls(t *testing.T) {
	t.Parallel()
	if goruntime.GOARCH != "amd64" {
		t.Skip("only amd64 has them")
	}
	l := newLauncher(t, Config{})
	need(t, l, layerSeccomp)
	needKind(t, l, "python:3.10")
	i := action(t, l, "python:3.10", `
import ctypes, mmap
def main(a):
    page = mmap.mmap(-1, 4096, prot=7)
    page.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # mov eax, 20; int 0x80; ret
    f = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    return {"pid": f()}
`)
	if reply, err := call(i, `{}`); !errors.Is(err, runtime.ErrExited) {
		t.Errorf("error is %v, want ErrExited: %s", err, reply.Body)
	}
}

func TestProcessLimit(t *testing.T) {
	t.Parallel()
	l := newLauncher(t, Config{MaxProcesses: 40})
	need(t, l, layerPIDs)
	said := attempt(t, l, "python:3.10", `
import os, time
def main(a):
    n = 0
    try:
        while n < 500:
            if os.fork() == 0:
                os.setsid()
                time.sleep(60)
            n += 1
    except OSError as e:
        return {"n": n, "e": e.errno}
    return {"n": n}
`, `{}`)
	if n, ok := said["n"].(float64); !ok || n > 40 || n < 10 {
		t.Errorf("an action started %v processes", said)
	}
	// The test's end closes the instance, which fails if one of them is left.
}

func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	l := newLauncher(t, Config{})
	need(t, l, layerMemory)
	small := func(in *runtime.Init) { in.MemoryMB = 128 }
	for kind, code := range map[string]string{
		"nodejs:20":   `function main() { const all = []; for (;;) all.push(Buffer.alloc(1 << 20, 1)) }`,
		"nodejs:18":   `function main() { const all = []; for (;;) all.push(new Array(1000).fill({})) }`,
		"python:3.10": "def main(a):\n    all = []\n    while True: all.append(bytearray(1 << 20))\n",
	} {
		t.Run(kind, func(t *testing.T) {
			needKind(t, l, kind)
			if reply, err := call(action(t, l, kind, code, small), `{}`); !errors.Is(err, runtime.ErrOutOfMemory) {
				t.Errorf("error is %v, want ErrOutOfMemory: %+v", err, reply)
			}
		})
	}
	t.Run("garbage", func(t *testing.T) {
		attempt(t, l, "nodejs:20", `function main() { let keep = []; for (let n = 0; n < 300; n++) {
			keep = new Array(1 << 16).fill(0).map(() => ({n})) } return {} }`, `{}`, small)
	})
}

// ActionLimitsTests opens 1009 files and expects EMFILE before the 1024th.
func TestFileLimit(t *testing.T) {
	t.Parallel()
	l := newLauncher(t, Config{})
	need(t, l, layerLimits)
	said := attempt(t, l, "nodejs:20", `
const fs = require('fs')
function main() {
	const open = []
	try {
		while (open.length < 2000) open.push(fs.openSync('/dev/zero', 'r'))
		return {n: open.length}
	} catch (e) {
		return {n: open.length, e: e.code}
	} finally {
		open.forEach(f => fs.closeSync(f))
	}
}
`, `{}`)
	if n, ok := said["n"].(float64); !ok || n < 1009 || n >= 1024 || said["e"] != "EMFILE" {
		t.Errorf("an action opened %v files", said)
	}
}

func TestTmpLimit(t *testing.T) {
	t.Parallel()
	l := newLauncher(t, Config{TmpMB: 8})
	need(t, l, layerRoot)
	said := attempt(t, l, "nodejs:20", tries(`
		fill: () => { for (let n = 0; n < 64; n++) fs.writeFileSync('/tmp/' + n, Buffer.alloc(1 << 20)) },
		shm: () => fs.writeFileSync('/dev/shm/x', Buffer.alloc(1 << 20)),
	`), `{}`)
	expect(t, said, map[string]string{"fill": "ENOSPC", "shm": "ENOSPC"})
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	abstract, err := net.Listen("unix", fmt.Sprintf("@millrace-test-%d", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	defer abstract.Close()
	code := `
import socket
def connect(family, to):
    s = socket.socket(family)
    try:
        s.connect(to)
        return "done"
    except OSError as e:
        return str(e.errno)
def main(a):
    return {"tcp": connect(socket.AF_INET, ("127.0.0.1", a["port"])), "abstract": connect(socket.AF_UNIX, "\0" + a["name"])}
`
	args := fmt.Sprintf(`{"port":%d,"name":%q}`, listener.Addr().(*net.TCPAddr).Port, abstract.Addr().String()[1:])
	t.Run("shared", func(t *testing.T) {
		l := newLauncher(t, Config{})
		need(t, l, layerLandlock)
		expect(t, attempt(t, l, "python:3.10", code, args), map[string]string{"tcp": "done", "abstract": "1"})
	})
	t.Run("none", func(t *testing.T) {
		l := newLauncher(t, Config{NoNetwork: true})
		need(t, l, layerNetwork)
		expect(t, attempt(t, l, "python:3.10", code, args), map[string]string{"tcp": "!done", "abstract": "!done"})
	})
}

func TestHostileWire(t *testing.T) {
	t.Parallel()
	l := newLauncher(t, Config{})
	needKind(t, l, "nodejs:20")
	for name, frame := range map[string]string{
		"noise":        `Buffer.from('no frame at all')`,
		"wrong type":   `Buffer.from([0, 0, 0, 0, 99, 2, 0, 0, 0])`,
		"wrong call":   `Buffer.from([0, 0, 0, 0, 4, 77, 0, 0, 0])`,
		"ready again":  `Buffer.from([0, 0, 0, 0, 1, 2, 0, 0, 0])`,
		"endless body": `Buffer.from([255, 255, 255, 255, 4, 2, 0, 0, 0, 1])`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, concurrency := range []int{1, 4} {
				i := action(t, l, "nodejs:20", `function main() { require('fs').writeSync(4, `+frame+`); process.exit() }`,
					func(in *runtime.Init) { in.Concurrency = concurrency })
				if reply, err := call(i, `{}`); !errors.Is(err, runtime.ErrExited) {
					t.Errorf("error is %v, want ErrExited: %+v", err, reply)
				}
			}
		})
	}
}

func TestRequire(t *testing.T) {
	t.Parallel()
	all := newLauncher(t, Config{})
	complete := all.layers.complete()
	l, err := New(Config{Isolation: IsolationRequire, Dir: t.TempDir()})
	if (err == nil) != (complete == nil) {
		t.Errorf("New answers %v, but the layers say %v", err, complete)
	}
	if err == nil {
		l.Close()
	}
	if _, err := New(Config{Isolation: "some"}); err == nil {
		t.Error("isolation \"some\" is accepted")
	}
}

func TestSwitchedOff(t *testing.T) {
	t.Parallel()
	l := newLauncher(t, Config{Isolation: IsolationOff})
	for _, y := range l.Layers() {
		if y.Active || y.Reason == "" {
			t.Errorf("%+v although isolation is off", y)
		}
	}
}

// poll waits until ok, at most some seconds.
func poll(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not in time", what)
		}
	}
}

// Where the machine refuses a mount namespace, Landlock alone still keeps files.
func TestWithoutOwnRoot(t *testing.T) {
	t.Parallel()
	l := newLauncher(t, Config{})
	need(t, l, layerLandlock)
	l.layers.flags &^= syscall.CLONE_NEWNS
	for _, layer := range []string{layerMount, layerRoot, layerProc, layerOwnID} {
		l.layers.on[layer] = false
	}
	data := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(data, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	other := launch(t, l, "nodejs:20").(*instance)
	if err := os.WriteFile(other.home+"/secret", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	said := attempt(t, l, "nodejs:20", tries(`
		data: () => fs.readFileSync(a.data, 'utf8'),
		other: () => fs.readFileSync(a.other + '/secret', 'utf8'),
		code: () => fs.readdirSync(a.code).join(),
		writeTmp: () => fs.writeFileSync(a.tmp, ''),
		writeHome: () => fs.writeFileSync(process.env.HOME + '/x', ''),
	`), fmt.Sprintf(`{"data":%q,"other":%q,"code":%q,"tmp":%q}`, data, other.home, l.codes.dir, "/tmp/"+filepath.Base(l.dir.path)))
	expect(t, said, map[string]string{"data": "EACCES", "other": "EACCES", "code": "EACCES", "writeTmp": "EACCES", "writeHome": "<nil>"})
}

// In the user namespace of a container root has some ids only, and then
// instances run as root in a user namespace of their own.
func TestIDsOfContainers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"         0          0 4294967295\n":            true,
		"0 1000 1\n":                                    false,
		"0 100000 65536\n":                              false,
		"0 1000 1\n1 100000 4294967000\n":               true,
		fmt.Sprintf("%d 5 %d\n", firstID, countIDs):     true,
		fmt.Sprintf("%d 5 %d\n", firstID, countIDs-1):   false,
		fmt.Sprintf("%d 5 %d\n", firstID+1, 2*countIDs): false,
		"": false, "a b c\n": false,
	} {
		if got := coversIDs(text); got != want {
			t.Errorf("coversIDs(%q): got %v, want %v", text, got, want)
		}
	}
	if reason := lacksIDs(filepath.Join(t.TempDir(), "none")); reason != "" {
		t.Errorf("a kernel without user namespaces: %s", reason)
	}
}
