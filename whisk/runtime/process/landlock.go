package process

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What Landlock can grant on files and folders, and on files alone.
const (
	lockRead  = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	lockFirst = unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1 // all that the first version knew
	lockFile  = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
)

// restrictPaths is a second lock on files behind the own root, and the only one
// where there is none. It also keeps signals and abstract sockets inside. It is
// put on this thread alone, which becomes the interpreter: to reach the others,
// libraries for it need a /proc that fits the pid namespace.
func restrictPaths(b *blueprint) error {
	attr, err := lockable()
	if err != nil {
		return err
	}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return errno
	}
	defer unix.Close(int(fd))
	read, write := readable(b)
	errs := []error{}
	for _, path := range read {
		errs = append(errs, grant(int(fd), path, lockRead))
	}
	for _, path := range write {
		errs = append(errs, grant(int(fd), path, attr.Handled_access_fs))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := setNoNewPrivs(b); err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// lockable answers all that the kernel's version of Landlock can forbid.
func lockable() (unix.LandlockRulesetAttr, error) {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return unix.LandlockRulesetAttr{}, fmt.Errorf("the kernel has none: %w", errno)
	}
	attr := unix.LandlockRulesetAttr{Handled_access_fs: lockFirst}
	if version >= 2 {
		attr.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if version >= 3 {
		attr.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if version >= 5 {
		attr.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if version >= 6 {
		attr.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
	}
	return attr, nil
}

// readable answers the paths that an instance may read and run, and those that it
// may do anything with.
func readable(b *blueprint) (read, write []string) {
	write = devices()
	if b.Root {
		return []string{"/"}, append(write, "/tmp")
	}
	read = append(systemDirs[:], "/etc", "/proc", "/dev", b.Code)
	read = append(read, b.Roots...)
	if b.Modules != "" {
		read = append(read, b.Modules)
	}
	if len(b.Args) > 0 { // the last one is the launcher
		read = append(read, b.Args[len(b.Args)-1])
	}
	if b.Home != "" {
		write = append(write, b.Home)
	}
	return read, write
}

// grant allows access below a path; one that does not exist needs no rule.
func grant(ruleset int, path string, access uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening %s: %w", path, err)
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		access &= lockFile
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: access, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("granting %s: %w", path, errno)
	}
	return nil
}
