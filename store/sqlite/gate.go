package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/gobellhop/bellhop"
)

// folderOf returns the folder of the lock files of a database: beside the file
// itself, so that all who come to it meet there, by whatever link they came.
func folderOf(path string) string { return realFile(path) + "-bellhop" }

// logOf returns the write-ahead log of a database, which is beside the file itself as well.
func logOf(path string) string { return realFile(path) + "-wal" }

// realFile returns the file that a path leads to by links.
func realFile(path string) string {
	for range maxLinks {
		to, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	if folder, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(folder, filepath.Base(path))
	}
	return path
}

// maxLinks is how many links one after the other are followed; SQLite and systems follow no more.
const maxLinks = 40

// gate lets one writer through at a time: one of this process, in the order in
// which they came, and one of all processes.
//
// Between processes there are two lock files. A writer first takes the
// turnstile, then waits for the writing lock with the turnstile in hand, and
// gives the turnstile back once it is through. So a process that has just
// written cannot take the writing lock again before one that waits for it.
type gate struct {
	turn      chan struct{} // holds one element while the gate is free
	turnstile *os.File      // nil within one process
	writing   *os.File

	mu      sync.Mutex
	pending chan error // a wait for the locks that is under way
	wanted  bool       // somebody waits for pending
	closed  bool
}

// newInnerGate returns a gate for this process alone.
func newInnerGate() *gate {
	g := &gate{turn: make(chan struct{}, 1)}
	g.turn <- struct{}{}
	return g
}

// newGate returns a gate for all processes, and makes the folder of the lock files.
func newGate(folder string) (*gate, error) {
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return nil, fmt.Errorf("the folder for lock files cannot be made: make %s writable for this user: %w", filepath.Dir(folder), err)
	}
	g := newInnerGate()
	for name, file := range map[string]**os.File{"turnstile.lock": &g.turnstile, "writing.lock": &g.writing} {
		f, err := os.OpenFile(filepath.Join(folder, name), os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			g.close()
			return nil, fmt.Errorf("a lock file cannot be opened: make %s and what is in it writable for this user: %w", folder, err)
		}
		*file = f
	}
	return g, nil
}

// Enter waits until it is the caller's turn, or ctx ends.
func (g *gate) Enter(ctx context.Context) error {
	select {
	case <-g.turn:
	default:
		select {
		case <-g.turn:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if g.turnstile == nil {
		return nil
	}
	if err := g.lockFiles(ctx); err != nil {
		g.turn <- struct{}{}
		return err
	}
	return nil
}

// Leave lets the next one through.
func (g *gate) Leave() {
	if g.writing != nil {
		unlock(g.writing)
	}
	g.turn <- struct{}{}
}

// tryEnter enters if the gate is free.
func (g *gate) tryEnter() bool {
	select {
	case <-g.turn:
	default:
		return false
	}
	if g.turnstile == nil {
		return true
	}
	g.mu.Lock()
	busy := g.pending != nil
	g.mu.Unlock()
	if !busy {
		if ok, _ := tryLock(g.writing); ok {
			return true
		}
	}
	g.turn <- struct{}{}
	return false
}

// lockFiles takes the writing lock. The caller has the turn, so there is one
// call at a time. A wait that the caller gives up goes on in the background,
// for the next call or to be given back.
func (g *gate) lockFiles(ctx context.Context) error {
	g.mu.Lock()
	pending := g.pending
	if pending == nil {
		through, inHand, err := g.tryFiles()
		if through || err != nil {
			g.mu.Unlock()
			return err
		}
		pending = make(chan error, 1)
		g.pending = pending
		go g.waitFiles(pending, inHand)
	}
	g.wanted = true
	g.mu.Unlock()
	select {
	case err := <-pending:
		return err
	case <-ctx.Done():
	}
	ended := fmt.Errorf("another process holds %s: if that goes on, look for one that is stopped: %w", g.writing.Name(), ctx.Err())
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wanted = false
	select {
	case err := <-pending: // it came just now
		if err == nil {
			unlock(g.writing)
		}
	default:
	}
	return ended
}

// tryFiles takes the writing lock if that needs no waiting. If it needs some,
// inHand tells whether the turnstile has been taken.
func (g *gate) tryFiles() (through, inHand bool, err error) {
	if inHand, err = tryLock(g.turnstile); err != nil || !inHand {
		return false, false, g.broken(err)
	}
	if through, err = tryLock(g.writing); through || err != nil {
		unlock(g.turnstile)
		return through, false, g.broken(err)
	}
	return false, true, nil
}

func (g *gate) waitFiles(pending chan<- error, inHand bool) {
	var err error
	if !inHand {
		err = lock(g.turnstile)
	}
	if err == nil {
		err = lock(g.writing)
		unlock(g.turnstile)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pending = nil
	if g.wanted {
		g.wanted = false
		pending <- g.broken(err)
		return
	}
	if err == nil {
		unlock(g.writing)
	}
	if g.closed {
		g.closeFiles()
	}
}

func (g *gate) broken(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: the lock files in %s cannot be used: they want a local file system: %w", bellhop.ErrUnavailable, filepath.Dir(g.writing.Name()), err)
}

// close frees the lock files. They stay on disk, because others may be waiting
// for them. A wait that was given up and still goes on closes them at its end.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	if g.pending == nil {
		g.closeFiles()
	}
}

func (g *gate) closeFiles() {
	for _, f := range []*os.File{g.turnstile, g.writing} {
		if f != nil {
			_ = f.Close()
		}
	}
}
