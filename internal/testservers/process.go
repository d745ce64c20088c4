package testservers

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// keeping is the keeper's program. Each line that it reads names the processes to kill when its input ends, which happens when
// the owner closes it or is gone, however that came about.
const keeping = `trap '' HUP INT TERM; while read -r line; do pids=$line; done; [ -z "$pids" ] || kill -9 $pids`

// process is a running server with its keeper.
type process struct {
	cmd    *exec.Cmd
	ended  chan struct{}
	err    error // how it ended; read after ended
	keeper *exec.Cmd
	leash  io.WriteCloser // the keeper's input
	frozen []int
}

// startProcess starts the server with its output in the folder's log, and a keeper beside it.
func startProcess(cmd *exec.Cmd, f *folder) (*process, error) {
	log, err := os.OpenFile(f.log(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &process{cmd: cmd, ended: make(chan struct{}), keeper: exec.Command("/bin/sh", "-c", keeping)}
	if p.leash, err = p.keeper.StdinPipe(); err != nil {
		return nil, err
	}
	detach(p.keeper)
	if err := p.keeper.Start(); err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = log, log
	f.own(cmd)
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, p.leash.Close(), p.keeper.Wait())
	}
	go func() {
		p.err = cmd.Wait()
		if p.err == nil {
			p.err = errors.New("without an error")
		}
		close(p.ended)
	}()
	return p, p.keep(cmd.Process.Pid)
}

// keep tells the keeper whom to kill.
func (p *process) keep(pids ...int) error {
	line := strings.Trim(fmt.Sprint(pids), "[]") + "\n"
	_, err := io.WriteString(p.leash, line)
	return err
}

// freeze stops the server and then its children, until there is none that still runs.
func (p *process) freeze() error {
	p.frozen = []int{p.cmd.Process.Pid}
	if err := pause(p.cmd.Process.Pid); err != nil {
		return err
	}
	// One that was just being born is seen the next time; a stopped parent makes no more.
	for again := true; again; {
		again = false
		for _, pid := range children(p.cmd.Process.Pid) {
			if slices.Contains(p.frozen, pid) {
				continue
			}
			again = true
			if err := pause(pid); err == nil { // else it ended meanwhile
				p.frozen = append(p.frozen, pid)
			}
		}
	}
	// A child that is stopped would not notice that the server is gone.
	return p.keep(p.frozen...)
}

// thaw lets those go on that freeze has stopped.
func (p *process) thaw() error {
	if p.frozen == nil {
		return nil
	}
	for _, pid := range slices.Backward(p.frozen) {
		resume(pid)
	}
	p.frozen = nil
	return p.keep(p.cmd.Process.Pid)
}

// kill ends the server, its children and the keeper, and returns when all are gone.
func (p *process) kill() error {
	pids := append(children(p.cmd.Process.Pid), p.frozen...)
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.ended
	for deadline := time.Now().Add(within); ; {
		pids = slices.DeleteFunc(pids, func(pid int) bool { return !strike(pid) })
		if len(pids) == 0 {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("testservers: processes %v do not end", pids)
		}
		time.Sleep(time.Millisecond) // polled: they are not our children and tell us nothing
	}
	return errors.Join(p.keep(), p.leash.Close(), p.keeper.Wait())
}

// children returns the processes whose parent is pid.
func children(pid int) (found []int) {
	list, err := os.ReadDir("/proc")
	if err != nil || len(list) == 0 {
		return childrenByPS(pid)
	}
	for _, entry := range list {
		child, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if state, parent := stat(child); parent == pid && state != "Z" {
			found = append(found, child)
		}
	}
	return found
}

// stat returns the state of a process and its parent; zero if there is none.
func stat(pid int) (state string, parent int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0
	}
	// "pid (name) state parent ..."; the name may have blanks and brackets.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 2 {
		return "", 0
	}
	parent, _ = strconv.Atoi(fields[1]) // a number by proc(5)
	return fields[0], parent
}

// childrenByPS is for systems without /proc.
func childrenByPS(pid int) (found []int) {
	out, err := exec.Command("ps", "-axo", "pid=,ppid=").Output()
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(out)) {
		var child, parent int
		if n, _ := fmt.Sscan(line, &child, &parent); n == 2 && parent == pid {
			found = append(found, child)
		}
	}
	return found
}
