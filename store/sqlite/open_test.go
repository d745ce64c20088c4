package sqlite_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/sqlite"
)

// Each thing that is wrong is told in one line: what, where, what to do.
func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	garbage := write("garbage.db", strings.Repeat("this is no database ", 1000))
	plain := write("plain", "")
	must(t, os.Mkdir(filepath.Join(dir, "folder"), 0o700))
	inMyWay := filepath.Join(dir, "taken.db")
	must(t, os.WriteFile(inMyWay+"-bellhop", nil, 0o600))
	for name, c := range map[string]struct {
		address string
		want    []string
	}{
		"other scheme":       {"postgres:x", []string{`"sqlite:jobs.db"`}},
		"no name":            {"sqlite:", []string{"no file name", `"sqlite:jobs.db"`}},
		"host":               {"sqlite://jobs.db", []string{`"jobs.db" stands where a host would`, `"sqlite:jobs.db"`, `"sqlite:///jobs.db"`}},
		"memory":             {"sqlite::memory:", []string{`use "memory:"`}},
		"broken escape":      {"sqlite:%zz", []string{"broken escape"}},
		"unknown parameter":  {"sqlite:" + dir + "/x.db?sync=full", []string{`"sync" is unknown`, "cache_mib, migrate, readers and synchronous"}},
		"wrong value":        {"sqlite:" + dir + "/x.db?synchronous=off", []string{"synchronous=off", "full, normal, extra"}},
		"wrong number":       {"sqlite:" + dir + "/x.db?readers=0", []string{"readers=0", "from 1 to 1000"}},
		"no folder":          {"sqlite:" + dir + "/none/x.db", []string{dir + "/none does not exist", "create it"}},
		"file as folder":     {"sqlite:" + plain + "/x.db", []string{plain, "is not a folder"}},
		"folder":             {"sqlite:" + dir + "/folder", []string{dir + "/folder is a folder", "name a file"}},
		"slash":              {"sqlite:" + dir + "/", []string{"no file name"}},
		"device":             {"sqlite:/dev/null", []string{"/dev/null is not a regular file"}},
		"no database":        {"sqlite:" + garbage, []string{garbage, "is not an SQLite database", "correct the path"}},
		"no store and off":   {"sqlite:" + dir + "/y.db?migrate=off", []string{dir + "/y.db does not exist", "bellhop migrate up"}},
		"lock folder a file": {"sqlite:" + inMyWay, []string{"folder for lock files", dir}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := sqlite.Open(t.Context(), c.address)
			if err == nil {
				_ = s.Close()
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q is more than one line", err)
			}
		})
	}
}

// Addresses and their ways to name a file.
func TestOpenAddresses(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for address, file := range map[string]string{
		"sqlite:jobs.db":                                 "jobs.db",
		"sqlite://" + dir + "/abs.db":                    "abs.db",
		"sqlite:with%20space%3f%23.db":                   "with space?#.db",
		"sqlite:n.db?synchronous=normal":                 "n.db",
		"sqlite:r.db?readers=1&cache_mib=1":              "r.db",
		"sqlite:m.db?migrate=only":                       "m.db",
		"sqlite:e.db?synchronous=EXTRA":                  "e.db",
		"sqlite:percent%25.db?migrate=auto":              "percent%.db",
		"sqlite:." + string(os.PathSeparator) + "dot.db": "dot.db",
	} {
		store, err := bellhop.OpenStore(t.Context(), address)
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			t.Errorf("%s: %v", address, err)
		}
		if strings.Contains(address, "normal") != strings.Contains(store.Capabilities().Durability, "synchronous=normal") {
			t.Errorf("%s: durability is %q", address, store.Capabilities().Durability)
		}
		must(t, store.Close())
	}
}

// An unwritable folder cannot be tried as root.
func TestOpenUnwritableFolder(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write everywhere")
	}
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o500))
	_, err := sqlite.Open(t.Context(), "sqlite:"+filepath.Join(dir, "jobs.db"))
	if err == nil || !strings.Contains(err.Error(), "writable") {
		t.Fatal(err)
	}
}

// raw opens a database file beside the store.
func raw(t testing.TB, path, parameters string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?"+parameters)
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// A newer schema is refused, touched by nobody, and both versions are named.
func TestNewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	s := openAt(t, path)
	_, newest, err := s.Schema(t.Context())
	must(t, err)
	must(t, s.Close())
	_, err = raw(t, path, "").ExecContext(t.Context(), `insert into bellhop_schema values (77, 'later', 'x', 0)`)
	must(t, err)
	for _, mode := range []string{"auto", "off"} {
		_, err = sqlite.Open(t.Context(), "sqlite:"+path+"?migrate="+mode)
		if !errors.Is(err, bellhop.ErrSchemaNewer) || !strings.Contains(err.Error(), "77") || !strings.Contains(err.Error(), string(rune('0'+newest))) {
			t.Errorf("migrate=%s: %v", mode, err)
		}
	}
}

// An older schema is refused if it must not be migrated.
func TestOlderSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	must(t, openAt(t, path, sqlite.WithMigrate("only")).Close())
	_, err := raw(t, path, "").ExecContext(t.Context(), `create table other (x)`)
	must(t, err)
	_, err = sqlite.Open(t.Context(), "sqlite:"+path, sqlite.WithMigrate("off"))
	if !errors.Is(err, bellhop.ErrSchemaOlder) || !strings.Contains(err.Error(), "bellhop migrate up") {
		t.Fatal(err)
	}
}

// A file that was taken away or replaced under an open store is told of: SQLite itself writes on, into what nobody will read.
func TestFileThatIsNotThereAnyMore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	s := openAt(t, path)
	ping := func(want string) {
		t.Helper()
		_, err := s.Ping(t.Context())
		if (err == nil) != (want == "") || err != nil && (!errors.Is(err, bellhop.ErrUnavailable) || !strings.Contains(err.Error(), want)) {
			t.Errorf("ping: %v, want %q", err, want)
		}
	}
	ping("")
	if err := os.Rename(path, path+".away"); err != nil {
		t.Skipf("this system moves no open file: %v", err)
	}
	ping("was removed or replaced")
	backup, err := os.ReadFile(path + ".away")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, backup, 0o600); err != nil {
		t.Fatal(err)
	}
	ping("was removed or replaced")
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	ping("")
}
