//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gobellhop/bellhop"
)

// child is a worker process.
type child struct {
	cmd    *exec.Cmd
	pid    int
	leash  io.Closer // its standard input: it ends when this closes
	ended  chan struct{}
	err    error // how it ended; read after ended
	frozen atomic.Bool
	heard  bool // it has beaten twice
}

// blow is a kill, or a freeze, of one process.
type blow struct {
	pid    int
	frozen bool
	at     time.Time
	until  time.Time     // when it was dead, or went on after a freeze
	held   int           // claims that it held
	back   time.Duration // until the last of them was taken back
}

// children starts processes and ends them.
type children struct {
	role    role
	folder  string
	mu      sync.Mutex
	alive   []*child
	started int
}

// start begins a worker process: this program again.
func (c *children) start() (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	log, err := os.OpenFile(filepath.Join(c.folder, "workers.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVariable+"="+c.role.String())
	cmd.Stdout, cmd.Stderr = log, log
	leash, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a worker process: %w", err)
	}
	k := &child{cmd: cmd, pid: cmd.Process.Pid, leash: leash, ended: make(chan struct{})}
	go func() {
		k.err = cmd.Wait()
		close(k.ended)
	}()
	c.alive = append(c.alive, k)
	c.started++
	return k, nil
}

// kill ends a process without a word, and waits until it is gone.
func (c *children) kill(k *child) {
	_ = k.cmd.Process.Kill() // it may have ended already
	<-k.ended
	c.forget(k)
}

func (c *children) forget(k *child) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, other := range c.alive {
		if other == k {
			c.alive = append(c.alive[:i:i], c.alive[i+1:]...)
			return
		}
	}
}

// list returns the processes that are to be alive.
func (c *children) list() []*child {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*child(nil), c.alive...)
}

// crashed returns an error if a process ended that nobody has killed.
func (c *children) crashed() error {
	for _, k := range c.list() {
		select {
		case <-k.ended:
			return fmt.Errorf("worker process %d ended by itself: %v", k.pid, k.err)
		default:
		}
	}
	return nil
}

// drain asks all processes to end once they have begun, and returns an error
// if one does not do so well.
func (c *children) drain(ctx context.Context, store bellhop.Store, within time.Duration) error {
	var errs []error
	list := c.list()
	for _, k := range list {
		if err := k.begun(ctx, store, within); err != nil {
			return err
		}
	}
	for _, k := range list {
		if err := k.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			errs = append(errs, fmt.Errorf("worker process %d: %w", k.pid, err))
		}
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	for _, k := range list {
		select {
		case <-k.ended:
			if k.err != nil {
				errs = append(errs, fmt.Errorf("worker process %d drained with %w", k.pid, k.err))
			}
			c.forget(k)
		case <-timer.C:
			return fmt.Errorf("worker process %d did not drain within %v", k.pid, within)
		}
	}
	return errors.Join(errs...)
}

// begun waits until the store knows the process.
func (k *child) begun(ctx context.Context, store bellhop.Store, within time.Duration) error {
	for deadline := time.Now().Add(within); ; {
		id, err := incarnation(ctx, store, k.pid)
		if err == nil && !id.IsZero() {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("worker process %d did not begin within %v: %v", k.pid, within, err)
		}
		time.Sleep(20 * time.Millisecond) // polled: the store tells nobody of a new process
	}
}

// works waits until the process has been heard of twice: then it has had the answer to its first beat, without which it would not begin.
func (k *child) works(ctx context.Context, store bellhop.Store, within time.Duration) error {
	var first time.Time
	for deadline := time.Now().Add(within); !k.heard && !k.frozen.Load(); {
		list, err := store.Processes(ctx)
		for _, p := range list {
			switch {
			case p.PID != k.pid:
			case first.IsZero():
				first = p.BeatAt
			case p.BeatAt.After(first):
				k.heard = true
			}
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("worker process %d does not work within %v: %v", k.pid, within, err)
		}
		time.Sleep(20 * time.Millisecond) // polled: the store tells nobody of a beat
	}
	return nil
}

// killAll leaves nothing behind.
func (c *children) killAll() {
	for _, k := range c.list() {
		_ = k.cmd.Process.Signal(syscall.SIGCONT)
		c.kill(k)
		_ = k.leash.Close()
	}
}

// incarnation returns under which id the store knows a process; zero if it does not.
func incarnation(ctx context.Context, store bellhop.Store, pid int) (bellhop.ID, error) {
	list, err := store.Processes(ctx)
	if err != nil {
		return bellhop.ID{}, err
	}
	for _, p := range list {
		if p.PID == pid {
			return p.ID, nil
		}
	}
	return bellhop.ID{}, nil
}
