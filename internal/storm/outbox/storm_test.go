//go:build unix

package main

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
)

// TestMain makes the test's binary a child process when the storm starts it as one.
func TestMain(m *testing.M) {
	if text := os.Getenv(partVariable); text != "" {
		os.Exit(partMain(text))
	}
	testservers.Main(m)
}

// testOut prints to the test's log.
type testOut struct{ t *testing.T }

func (o testOut) Write(p []byte) (int, error) {
	o.t.Logf("%s", strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

func TestStorm(t *testing.T) {
	for _, c := range []struct {
		name        string
		from, store func(t *testing.T) string
	}{
		{"sqlite to sqlite", ours, ours},
		{"postgres to redis", func(t *testing.T) string { return testservers.Postgres(t).Database(t) }, redis},
		{"mariadb to redis", func(t *testing.T) string { return testservers.MariaDB(t).Database(t) }, redis},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := settings{
				kills: 5, from: c.from(t), store: c.store(t), producer: 2, relays: 2, gap: 200 * time.Millisecond, freeze: 4,
				out: testOut{t}, folder: t.TempDir(),
			}
			if err := storm(t.Context(), s); err != nil {
				t.Error(err)
				log, _ := os.ReadFile(filepath.Join(s.folder, "children.log"))
				t.Logf("the processes said:\n%s", log)
			}
		})
	}
}

func ours(*testing.T) string { return "" } // a new file

func redis(t *testing.T) string {
	return testservers.Redis(t).Address + "?namespace=" + strings.ToLower(rand.Text())
}

// The judge finds what is wrong.
func TestCompare(t *testing.T) {
	a, b := bellhop.IDFromKey("test", "a"), bellhop.IDFromKey("test", "b")
	set := func(ids ...bellhop.ID) map[bellhop.ID]bool {
		m := map[bellhop.ID]bool{}
		for _, id := range ids {
			m[id] = true
		}
		return m
	}
	for _, c := range []struct {
		name  string
		there map[bellhop.ID]bool
		runs  map[bellhop.ID]int
		heard heard
		want  string // empty if nothing is wrong
	}{
		{"well", set(a), map[bellhop.ID]int{a: 1}, heard{tried: set(a, b), committed: set(a), rolledBack: set(b)}, ""},
		{"a killed commit that stands", set(a), map[bellhop.ID]int{a: 1}, heard{tried: set(a)}, ""},
		{"lost", set(a), nil, heard{}, "ran 0 times"},
		{"doubled", set(a), map[bellhop.ID]int{a: 2}, heard{}, "ran 2 times"},
		{"not committed", nil, map[bellhop.ID]int{b: 1}, heard{}, "was not committed"},
		{"a confirmed commit is gone", nil, nil, heard{committed: set(a)}, "it is not there"},
		{"rolled back and there", set(a), map[bellhop.ID]int{a: 1}, heard{rolledBack: set(a)}, "it is there"},
	} {
		got := strings.Join(compare(c.there, c.runs, &c.heard), "\n")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
