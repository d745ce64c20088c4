package testservers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gobellhop/bellhop/internal/freeport"
)

// within is how long a server may take to start or to stop.
const within = 60 * time.Second

// Instance is a server of our own that may be killed, frozen and started again, for programs; tests use [Server].
// Its methods may be called from one goroutine at a time.
type Instance struct {
	// Address is that of the administrator, as a store's Open takes it.
	Address string

	engine *engine
	conf   []string // lines added to its configuration
	binary string
	folder *folder
	port   *freeport.Port
	proc   *process // nil when it does not run
}

// Launch starts a server: NamePostgres, NameMariaDB or NameRedis. Each conf is a line of its configuration file, like "fsync=off" or
// "maxmemory 8mb", and overrides ours. End it with [Instance.Close].
func Launch(name string, conf ...string) (*Instance, error) {
	e := engines[name]
	if e == nil {
		return nil, fmt.Errorf("testservers: there is no server %q, want %s, %s or %s", name, NamePostgres, NameMariaDB, NameRedis)
	}
	binary, err := e.find()
	if err != nil {
		return nil, err
	}
	s := &Instance{engine: e, conf: conf, binary: binary}
	if s.folder, err = newFolder(e.store, e.user); err != nil {
		return nil, err
	}
	if s.port, err = freeport.Reserve(); err == nil {
		s.Address = e.address(s)
		if err = e.prepare(s); err == nil {
			err = s.Start()
		}
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Start starts the server again after Stop or Kill, on the same port and data, and returns when it answers.
func (s *Instance) Start() error {
	if s.proc != nil {
		return fmt.Errorf("testservers: %s runs already", s.engine.title)
	}
	cmd := exec.Command(s.binary, s.engine.args(s)...)
	var err error
	if s.proc, err = startProcess(cmd, s.folder); err != nil {
		return fmt.Errorf("testservers: start %s: %w", s.engine.title, err)
	}
	for deadline := time.Now().Add(within); ; {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // for one answer of a server that has begun, on a busy machine
		err := s.engine.ping(ctx, s.Address)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-s.proc.ended:
			err = fmt.Errorf("testservers: %s ended as it started: %w; its log ends with: %s", s.engine.title, s.proc.err, lastLine(s.Log()))
		case <-time.After(10 * time.Millisecond): // polled: not all servers tell when they are ready
			if time.Now().Before(deadline) {
				continue
			}
			err = fmt.Errorf("testservers: %s does not answer within %v: %w", s.engine.title, within, err)
		}
		return errors.Join(err, s.Kill())
	}
}

// Stop has the server shut down in order, as an administrator would.
func (s *Instance) Stop() error {
	if s.proc == nil {
		return nil
	}
	if err := s.Thaw(); err != nil {
		return err
	}
	if err := s.proc.cmd.Process.Signal(s.engine.stop); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("testservers: stop %s: %w", s.engine.title, err)
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-s.proc.ended:
		return s.Kill() // for what is left of its children
	case <-timer.C:
		return errors.Join(fmt.Errorf("testservers: %s did not stop within %v", s.engine.title, within), s.Kill())
	}
}

// Kill ends the server without a word, and all its processes with it, as when the machine lost power but kept its disk's cache.
func (s *Instance) Kill() error {
	if s.proc == nil {
		return nil
	}
	err := s.proc.kill()
	s.proc = nil
	return err
}

// Freeze stops all of the server's processes where they are: connections stay open, and nobody answers.
func (s *Instance) Freeze() error {
	if s.proc == nil {
		return fmt.Errorf("testservers: %s does not run, there is nothing to freeze", s.engine.title)
	}
	return s.proc.freeze()
}

// Thaw lets the server go on after Freeze; nothing happens if it is not frozen.
func (s *Instance) Thaw() error {
	if s.proc == nil {
		return nil
	}
	return s.proc.thaw()
}

// Log returns what the server has written into its log.
func (s *Instance) Log() string {
	text, err := os.ReadFile(s.folder.log())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Close kills the server and removes its folder.
func (s *Instance) Close() error {
	err := errors.Join(s.Kill(), s.folder.remove())
	if s.port != nil {
		err = errors.Join(err, s.port.Release())
	}
	return err
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// write makes a file in the server's folder.
func (s *Instance) write(name, text string) error {
	path := filepath.Join(s.folder.path, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	return s.folder.give(path)
}

// run runs a program as the server's user, and returns what it said if it fails.
func (s *Instance) run(program string, args ...string) error {
	cmd := exec.Command(program, args...)
	s.folder.own(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("testservers: %s: %w: %s", filepath.Base(program), err, strings.Join(strings.Fields(string(out)), " "))
	}
	return nil
}
