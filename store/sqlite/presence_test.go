package sqlite

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
)

// An id that somebody else runs under is refused in clear words.
func TestPresenceTaken(t *testing.T) {
	p, id := newPresence(t.TempDir()), bellhop.NewID()
	f, err := os.Create(p.path(id))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if ok, err := tryLock(f); !ok || err != nil {
		t.Fatal(ok, err)
	}
	err = p.Enter(id)
	if err == nil || !strings.Contains(err.Error(), "used by another process") || strings.Contains(err.Error(), "%!") {
		t.Fatal(err)
	}
}

// Who waits in vain for another process learns what is waited for.
func TestGateSaysWhatHoldsItUp(t *testing.T) {
	folder := t.TempDir()
	a, b := mustGate(t, folder), mustGate(t, folder)
	if err := a.Enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer a.Leave()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	err := b.Enter(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "another process holds "+folder) {
		t.Fatal(err)
	}
}
