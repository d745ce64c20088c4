//go:build unix

package testservers

import (
	"errors"
	"os"
	"os/exec"
	osuser "os/user"
	"strconv"
	"syscall"
)

// user is as whom a server runs.
type user struct{ uid, gid uint32 }

// serverUser returns the user of that name, or nobody, if this process is root's; else nil.
func serverUser(name string) (*user, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := osuser.Lookup(name)
	if err != nil {
		if u, err = osuser.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &user{uid: uint32(uid), gid: uint32(gid)}, err
}

// give makes a file or folder the server's own.
func (f *folder) give(path string) error {
	if f.user == nil {
		return nil
	}
	return os.Chown(path, int(f.user.uid), int(f.user.gid))
}

// own has the command run in the folder, as the server's user.
func (f *folder) own(cmd *exec.Cmd) {
	cmd.Dir = f.path
	cmd.Env = append(os.Environ(), "TMPDIR="+f.path) // that of this process may be closed to the server's user
	detach(cmd)
	if f.user != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: f.user.uid, Gid: f.user.gid}
	}
}

// detach keeps the terminal's signals from a command: it is for us to end it.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// lock takes the file's lock, if nobody has it.
func lock(f *os.File) bool { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil }

func pause(pid int) error { return syscall.Kill(pid, syscall.SIGSTOP) }

func resume(pid int) { _ = syscall.Kill(pid, syscall.SIGCONT) } // it may be gone

// strike kills a process and reports whether it is still there.
func strike(pid int) bool {
	if state, _ := stat(pid); state == "Z" {
		return false // it only waits for its parent to take note
	}
	return !errors.Is(syscall.Kill(pid, syscall.SIGKILL), syscall.ESRCH)
}
