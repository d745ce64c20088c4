package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// presence tells the living from the dead by lock files: each process holds the
// lock on a file that is named after its incarnation, as long as it lives.
type presence struct {
	folder string
	mu     sync.Mutex
	mine   map[bellhop.ID]bool
}

// heldLocks are the files that this process holds locked, with the number of
// stores that have entered under that name.
var (
	heldMu    sync.Mutex
	heldLocks = map[string]*heldLock{}
)

type heldLock struct {
	file   *os.File
	stores int
}

func newPresence(folder string) *presence {
	return &presence{folder: folder, mine: map[bellhop.ID]bool{}}
}

func (p *presence) path(id bellhop.ID) string {
	return filepath.Join(p.folder, "process-"+id.String()+".lock")
}

// Enter implements [sqlstore.Presence].
func (p *presence) Enter(id bellhop.ID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mine[id] {
		return nil
	}
	path := p.path(id)
	heldMu.Lock()
	defer heldMu.Unlock()
	h := heldLocks[path]
	if h == nil {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			return fmt.Errorf("the lock file of process %s cannot be made: make %s writable for this user: %w", id, p.folder, err)
		}
		ok, err := tryLock(f)
		if err == nil && !ok {
			err = errors.New("somebody else holds it: is the id used by another process?")
		}
		if err != nil {
			_ = f.Close()
			return fmt.Errorf("the lock file of process %s cannot be locked: %w", id, err)
		}
		h = &heldLock{file: f}
		heldLocks[path] = h
	}
	h.stores++
	p.mine[id] = true
	return nil
}

// Leave implements [sqlstore.Presence]. It also removes the file of a process
// that is gone.
func (p *presence) Leave(id bellhop.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mine[id] {
		delete(p.mine, id)
		p.release(id)
		return
	}
	heldMu.Lock()
	defer heldMu.Unlock()
	if heldLocks[p.path(id)] == nil {
		_ = os.Remove(p.path(id))
	}
}

func (p *presence) release(id bellhop.ID) {
	heldMu.Lock()
	defer heldMu.Unlock()
	path := p.path(id)
	h := heldLocks[path]
	if h == nil {
		return
	}
	if h.stores--; h.stores == 0 {
		delete(heldLocks, path)
		_ = os.Remove(path) // while it is locked, so that nobody takes it for a dead one's
		_ = h.file.Close()
	}
}

// Look implements [sqlstore.Presence]. Of the processes of this very program it
// is unsure: they may have been given up without an end.
func (p *presence) Look(id bellhop.ID) sqlstore.Life {
	path := p.path(id)
	heldMu.Lock()
	defer heldMu.Unlock()
	if heldLocks[path] != nil {
		return sqlstore.Unsure
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil { // somebody removed the file: the lease decides
		return sqlstore.Unsure
	}
	defer f.Close()
	switch free, err := tryLock(f); {
	case err != nil:
		return sqlstore.Unsure
	case free:
		return sqlstore.Gone
	}
	return sqlstore.Alive
}

// close frees the locks of the processes that have not left. Their files stay,
// so that the next sweep sees that they are gone.
func (p *presence) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	heldMu.Lock()
	defer heldMu.Unlock()
	for id := range p.mine {
		path := p.path(id)
		if h := heldLocks[path]; h != nil {
			if h.stores--; h.stores == 0 {
				delete(heldLocks, path)
				_ = h.file.Close()
			}
		}
	}
	p.mine = nil
}

// staleAfter is for how long a lock file that nobody holds may be needed yet.
const staleAfter = 24 * time.Hour

// clean removes lock files that no process holds and no sweep has removed: of
// processes that died before they were registered.
func (p *presence) clean() {
	files, err := filepath.Glob(filepath.Join(p.folder, "process-*.lock"))
	if err != nil {
		return // only of a malformed pattern
	}
	for _, path := range files {
		info, err := os.Stat(path)
		if err != nil || time.Since(info.ModTime()) < staleAfter {
			continue
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if free, err := tryLock(f); free && err == nil {
			_ = os.Remove(path)
		}
		_ = f.Close()
	}
}
