package partition_test

import (
	"path/filepath"
	"testing"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
	"github.com/gobellhop/bellhop/store/partition"
	"github.com/gobellhop/bellhop/store/sqlite"
)

// Those parts are examined that can be, and what they find has their names.
func TestExamine(t *testing.T) {
	file, err := sqlite.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "jobs.db"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := partition.New(partition.Config{By: partition.ByQueue, Parts: []partition.Part{{Name: "mem", Store: memory.New()}, {Name: "file", Store: file}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	e, ok := bellhop.As[bellhop.Examiner](s)
	if !ok {
		t.Fatal("it is no Examiner")
	}
	found, err := e.Examine(t.Context())
	if err != nil || len(found) != 1 || found[0].Subject != "file: integrity" || found[0].Level != "ok" {
		t.Errorf("it finds %+v, %v", found, err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	found, err = e.Examine(t.Context())
	if err != nil || len(found) != 1 || found[0].Subject != "file: examination" || found[0].Level != "problem" {
		t.Errorf("of a closed part it finds %+v, %v", found, err)
	}
}
