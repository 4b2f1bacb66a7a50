package process

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// systemDirs are seen in every sandbox, read only: programs and libraries.
var systemDirs = [...]string{"/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32"}

// etcDirs and etcFiles are all that is seen of /etc: what resolvers, TLS and the
// loader of libraries read.
var (
	etcDirs  = [...]string{"/etc/ssl/certs", "/etc/alternatives", "/etc/pki/ca-trust"}
	etcFiles = [...]string{"hosts", "host.conf", "resolv.conf", "nsswitch.conf", "gai.conf", "services", "protocols",
		"localtime", "ld.so.cache", "ssl/openssl.cnf"}
)

// devices are bound one by one.
func devices() []string {
	return []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}
}

// mountRoot builds a root file system in memory: system folders, the launcher and
// the code are seen read only, /tmp is private.
func mountRoot(b *blueprint) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", b.Base, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755,size=4m,nr_inodes=1k"); err != nil {
		return fmt.Errorf("mounting a root: %w", err)
	}
	if err := fillRoot(b); err != nil {
		return err
	}
	readOnly := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
	if err := unix.MountSetattr(-1, b.Base, unix.AT_RECURSIVE, &readOnly); err != nil {
		return fmt.Errorf("making the root read only: %w", err)
	}
	for _, d := range devices() {
		if err := bind(d, b.Base+d); err != nil {
			return err
		}
	}
	options := fmt.Sprintf("mode=0700,size=%dm,nr_inodes=64k,uid=%d,gid=%d", b.TmpMB, b.ID, b.ID)
	if err := unix.Mount("tmpfs", b.Base+"/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mounting /tmp: %w", err)
	}
	return unix.Sethostname([]byte("action"))
}

// fillRoot makes what is in the root before it is made read only.
func fillRoot(b *blueprint) error {
	for _, d := range []string{"/tmp", "/proc", "/dev", "/etc/ssl", launcherRoot} {
		if err := os.MkdirAll(b.Base+d, 0o755); err != nil {
			return err
		}
	}
	if err := bindSystem(b); err != nil {
		return err
	}
	if err := writeEtc(b); err != nil {
		return err
	}
	for _, d := range devices() {
		if err := os.WriteFile(b.Base+d, nil, 0o644); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "shm": "/tmp",
	} {
		if err := os.Symlink(target, filepath.Join(b.Base, "dev", name)); err != nil {
			return err
		}
	}
	if b.Launcher == "" {
		return nil
	}
	text, err := launchers.ReadFile(b.Launcher)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.Base, launcherRoot, b.Launcher), text, 0o644)
}

// bindSystem binds the folders of the host that are seen. Links among the
// system's, such as /bin to /usr/bin, stay links.
func bindSystem(b *blueprint) error {
	for _, d := range append(systemDirs[:], etcDirs[:]...) {
		info, err := os.Lstat(d)
		switch {
		case os.IsNotExist(err):
			continue
		case err != nil:
			return err
		case info.Mode()&os.ModeSymlink != 0:
			target, err := os.Readlink(d)
			if err == nil {
				err = os.Symlink(target, b.Base+d)
			}
			if err != nil {
				return err
			}
			continue
		}
		if err := bindDir(d, b.Base+d); err != nil {
			return err
		}
	}
	for _, d := range b.Roots {
		if err := bindDir(d, b.Base+d); err != nil {
			return err
		}
	}
	if b.Modules != "" {
		if err := bindDir(b.Modules, b.Base+modulesRoot); err != nil {
			return err
		}
	}
	return bindDir(b.Code, b.Base+codeRoot)
}

// writeEtc copies files, since many of them are links or are replaced on the host
// while we run.
func writeEtc(b *blueprint) error {
	users := fmt.Sprintf("action:x:%d:%d:action:/tmp:/bin/sh\n", b.ID, b.ID)
	group := fmt.Sprintf("action:x:%d:\n", b.ID)
	if err := os.WriteFile(b.Base+"/etc/passwd", []byte(users), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(b.Base+"/etc/group", []byte(group), 0o644); err != nil {
		return err
	}
	for _, name := range etcFiles {
		data, err := os.ReadFile("/etc/" + name)
		if err != nil {
			continue // not on this host
		}
		if err := os.WriteFile(b.Base+"/etc/"+name, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func bindDir(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	return bind(from, to)
}

// bind is recursive: without what is mounted below, a user namespace may not bind.
func bind(from, to string) error {
	if err := unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("binding %s: %w", from, err)
	}
	return nil
}

// mountProc shows the processes of the own pid namespace. It must come while the
// host's /proc is still there, or the kernel refuses.
func mountProc(b *blueprint) error {
	return unix.Mount("proc", b.Base+"/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
}

// enterRoot makes the new root the root and lets go of the old one.
func enterRoot(b *blueprint) error {
	if err := unix.Chdir(b.Base); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("changing the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leaving the old root: %w", err)
	}
	return unix.Chdir("/")
}
