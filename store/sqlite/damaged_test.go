package sqlite_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/rowtest"
)

// A row that cannot be read costs its own job and no other.
func TestDamagedRow(t *testing.T) {
	paths := map[bellhop.Store]string{}
	open := func(t *testing.T) bellhop.Store {
		path := filepath.Join(t.TempDir(), "jobs.db")
		s := openAt(t, path)
		paths[s] = path
		return s
	}
	exec := func(t *testing.T, s bellhop.Store, statement string, id bellhop.ID) {
		_, err := raw(t, paths[s], "").ExecContext(t.Context(), strings.Replace(statement, "ID", "?", 1), id[:])
		must(t, err)
	}
	rowtest.Damage(t, open, exec)
	rowtest.Failure(t, open(t), exec)
}

// A claim within an enqueue that meets such a row hands out the others.
func TestDamagedRowWithinAnEnqueue(t *testing.T) {
	j := newJoining(t)
	j.decline.Store(true)
	jobs, err := j.enqueue(1)
	must(t, err)
	bad := jobs[0].ID
	_, err = raw(t, j.path, "").ExecContext(t.Context(), "update bellhop_jobs set tags = '{' where id = ?", bad[:])
	must(t, err)
	j.decline.Store(false)
	jobs, err = j.enqueue(1)
	must(t, err)
	must(t, <-j.errs)
	if reply := <-j.ended; len(reply.Claims) != 1 || reply.Claims[0].Job.ID != jobs[0].ID {
		t.Errorf("%d claims, want that of the job that was enqueued", len(reply.Claims))
	}
	found, err := j.Get(t.Context(), []bellhop.ID{bad})
	must(t, err)
	if p := found[0].Place; p.State != bellhop.StateDead || !strings.Contains(p.Reason, "tags") {
		t.Errorf("the damaged job is %+v", p)
	}
}
