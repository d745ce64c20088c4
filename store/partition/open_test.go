package partition_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
	"github.com/gobellhop/bellhop/store/partition"
	_ "github.com/gobellhop/bellhop/store/sqlite"
)

// Where a word leads is part of the stored format: it says in which part jobs are.
func TestRoutesStay(t *testing.T) {
	names := []string{"a", "b", "c"}
	s := newMemory(t, partition.ByQueue, map[string]string{"pinned": "b"}, names...)
	got := map[string]string{}
	for _, queue := range []string{"default", "mail", "reports", "webhooks", "images", "pinned", ""} {
		got[queue] = names[s.Route(&bellhop.Job{Queue: queue})]
	}
	want := map[string]string{"default": "c", "images": "c", "mail": "b", "reports": "a", "webhooks": "c", "pinned": "b", "": "b"}
	for queue, part := range want {
		if got[queue] != part {
			t.Errorf("queue %q leads to part %s; want %s", queue, got[queue], part)
		}
	}
	// The order of the parts does not matter, and a part more takes words over from
	// each of the others and moves no other.
	turned := newMemory(t, partition.ByQueue, map[string]string{"pinned": "b"}, "c", "a", "b")
	more := newMemory(t, partition.ByQueue, nil, append(names, "d")...)
	moved := map[string]int{}
	const n = 4000
	for i := range n {
		j := &bellhop.Job{Queue: "queue-" + bellhop.IDFromKey("", string(rune(i))).String()}
		part := names[s.Route(j)]
		if other := turned.Parts()[turned.Route(j)]; other != part {
			t.Fatalf("queue %s leads to %s, and in another order of the parts to %s", j.Queue, part, other)
		}
		switch now := more.Parts()[more.Route(j)]; now {
		case part:
		case "d":
			moved[part]++
		default:
			t.Fatalf("queue %s moved from %s to %s when d was added", j.Queue, part, now)
		}
	}
	for _, part := range names {
		if moved[part] < n/24 || moved[part] > n/8 { // a twelfth each
			t.Errorf("of %d queues %d moved away from %s", n, moved[part], part)
		}
	}
}

func TestRouteByKey(t *testing.T) {
	s := newMemory(t, partition.ByKey, nil, "a", "b", "c")
	id, other := bellhop.NewID(), bellhop.NewID()
	with := func(id bellhop.ID, queue, key string) int {
		return s.Route(&bellhop.Job{ID: id, Queue: queue, UniqueKey: key})
	}
	if with(id, "one", "key") != with(other, "two", "key") {
		t.Errorf("two jobs with one key lie in two parts")
	}
	if with(id, "one", "") != s.Home("any", "{"+id.String()+"}rest") || with(id, "one", "key") != s.Home("any", "x{key}") {
		t.Errorf("the tag in a record's key does not lead to the job's part")
	}
	if s.Home("space", "a") != s.Home("space", "b{") || s.Home("space", "a") != s.Home("space", "{}b") {
		t.Errorf("a key without a tag leads elsewhere than its space")
	}
}

func TestNewRefuses(t *testing.T) {
	part := func(name string) partition.Part { return partition.Part{Name: name, Store: memory.New()} }
	for want, c := range map[string]partition.Config{
		`by ""`:                   {Parts: []partition.Part{part("a")}},
		"0 parts":                 {By: partition.ByKey},
		"two parts have the name": {By: partition.ByKey, Parts: []partition.Part{part("a"), part("a")}},
		"part a has no store":     {By: partition.ByKey, Parts: []partition.Part{{Name: "a"}}},
		"must begin with":         {By: partition.ByKey, Parts: []partition.Part{part("-a")}},
		`pinned to the part "x"`:  {By: partition.ByKey, Parts: []partition.Part{part("a")}, Pins: map[string]string{"mail": "x"}},
	} {
		if s, err := partition.New(c); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("New(%+v) returned %v, %v; want an error with %q", c, s, err, want)
		}
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PARTITION_TEST_DIR", dir)
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "parts.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return "partition:" + path
	}
	good := file(`{"by": "queue", "parts": [
		{"name": "a", "address": "sqlite:${PARTITION_TEST_DIR}/a.db"}, {"name": "b", "address": "memory:"}
	], "pins": {"mail": "b", "*": "a"}}`)
	s, err := bellhop.OpenStore(t.Context(), good)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := bellhop.As[bellhop.Migrator](s); !ok {
		t.Errorf("a part has a schema and the store has not")
	}
	if c := s.Capabilities(); c.Name != "partition of sqlite, memory" || c.Shared || c.Writers != 1 {
		t.Errorf("capabilities are %+v", c)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "a.db")); err != nil {
		t.Error(err)
	}
	if s, err = bellhop.OpenStore(t.Context(), file(`{"by": "key", "parts": [{"name": "a", "address": "memory:"}]}`)+"?migrate=only"); err != nil {
		t.Fatal(err)
	}
	if _, ok := bellhop.As[bellhop.Migrator](s); ok {
		t.Errorf("no part has a schema and the store has one")
	}
	_ = s.Close()
	const one = `{"by": "queue", "parts": [{"name": "a", "address": "%s"}]}`
	for want, address := range map[string]string{
		"no such file":             "partition:" + filepath.Join(dir, "none.json"),
		"want the file":            "partition:",
		"no parameter but migrate": good + "?by=key",
		"unknown field":            file(`{"by": "queue", "part": []}`),
		"follows the closing":      file(`{"by": "queue", "parts": []} {}`),
		"0 parts":                  file(`{"by": "queue"}`),
		"PARTITION_TEST_NONE":      file(strings.ReplaceAll(one, "%s", "postgres://u:${PARTITION_TEST_NONE}@h/db")),
		"cannot be made of parts":  file(strings.ReplaceAll(one, "%s", good)),
		`part "a"`:                 file(strings.ReplaceAll(one, "%s", "redis://u:secret@127.0.0.1:1/0")),
	} {
		s, err := bellhop.OpenStore(t.Context(), address)
		if err == nil || !strings.Contains(err.Error(), want) || strings.ContainsAny(err.Error(), "\n") || strings.Contains(err.Error(), "secret") {
			t.Errorf("opening %s returned %v, %v; want an error of one line with %q", address, s, err, want)
		}
	}
}
