package cli

import (
	"context"
	"database/sql"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/worker"
)

// servers are the stores that are servers, as these tests need to know them.
var servers = []struct {
	name   string
	shared func(testing.TB) *testservers.Server
	pool   string // the parameter that limits the connections
	sql    bool   // it has databases, roles and a schema
}{
	{"postgres", testservers.Postgres, "pool_max_conns", true},
	{"mysql", testservers.MariaDB, "connections", true},
	{"redis", testservers.Redis, "pool", false},
}

// at changes an address: its parameters, name and value in turn, and with the names "user" and "path" those.
func at(t *testing.T, address string, changes ...string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	for i := 0; i < len(changes); i += 2 {
		switch name, value := changes[i], changes[i+1]; name {
		case "user":
			user, secret, _ := strings.Cut(value, ":")
			u.User = url.UserPassword(user, secret)
		case "path":
			u.Path = "/" + value
		default:
			q.Set(name, value)
		}
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// newServerStore returns the address of a new, empty store on the server, with its schema.
func newServerStore(t *testing.T, server *testservers.Server) string {
	t.Helper()
	address := at(t, server.Database(t), "migrate", "auto")
	if strings.HasPrefix(address, "redis:") {
		address = at(t, address, "namespace", strings.ToLower(bellhop.NewID().String()))
	}
	return address
}

// admin runs statements on a server, as its administrator.
func admin(t *testing.T, address string, statements ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var exec func(statement string) error
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if u.Scheme == "postgres" {
		conn, err := pgx.Connect(ctx, at(t, address))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		exec = func(statement string) error { _, err := conn.Exec(ctx, statement); return err }
	} else {
		config := mysql.NewConfig()
		config.Net, config.Addr, config.DBName, config.User = "tcp", u.Host, strings.Trim(u.Path, "/"), u.User.Username()
		config.Passwd, _ = u.User.Password()
		connector, err := mysql.NewConnector(config)
		if err != nil {
			t.Fatal(err)
		}
		db := sql.OpenDB(connector)
		defer db.Close()
		exec = func(statement string) error { _, err := db.ExecContext(ctx, statement); return err }
	}
	for _, statement := range statements {
		if err := exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

const secret = "hunter2"

// anyFailure stands for any exit code of a command that was understood and could not be carried out.
const anyFailure = -1

// complains runs a command that must fail with one line which has all the words, and no password.
func complains(t *testing.T, store string, code int, words []string, args ...string) {
	t.Helper()
	began := time.Now()
	got, stdout, stderr := run(t, store, "", args...)
	text := strings.TrimSuffix(stderr, "\n")
	switch {
	case got != code && (code != anyFailure || got == exitOK || got == exitUsage):
		t.Errorf("bellhop %v on %s ended with %d, want %d: %s%s", args, store, got, code, stdout, stderr)
	case text == "" || strings.Contains(text, "\n") || stdout != "":
		t.Errorf("bellhop %v on %s did not fail with one line: %q %q", args, store, stdout, stderr)
	case strings.Contains(text, secret):
		t.Errorf("bellhop %v tells the password: %s", args, text)
	case time.Since(began) > 30*time.Second: // a hang, on any machine
		t.Errorf("bellhop %v took %v to say: %s", args, time.Since(began), text)
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("bellhop %v says %q, want %q in it", args, text, word)
		}
	}
}

// commands are those that open the store in one way or another.
var commands = [][]string{{"jobs", "list"}, {"enqueue", "mail.welcome", "{}"}, {"queues", "list"}, {"work", "--queue", "mail=1"}}

// TestServerRefusals opens stores that cannot be opened, with every command.
func TestServerRefusals(t *testing.T) {
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			server := s.shared(t)
			database := server.Database(t)
			cases := map[string]struct {
				address string
				words   []string
			}{
				"nobody there": {strings.Replace(at(t, database, "user", "anna:"+secret), hostOf(t, database), "127.0.0.1:1", 1), []string{"127.0.0.1:1"}},
			}
			if s.sql {
				cases["wrong password"] = struct {
					address string
					words   []string
				}{at(t, database, "user", "bellhop:"+secret), []string{"password"}}
				cases["no database"] = struct {
					address string
					words   []string
				}{at(t, database, "path", "nowhere"), []string{"no such database", "create it"}}
				cases["no schema"] = struct {
					address string
					words   []string
				}{database, []string{"bellhop migrate up"}}
			}
			for name, c := range cases {
				t.Run(name, func(t *testing.T) {
					for _, args := range commands {
						complains(t, c.address, exitUnavailable, c.words, args...)
					}
					// As a process, drivers might have their say besides.
					cmd := exec.Command(os.Args[0], "jobs", "list")
					cmd.Env = append(os.Environ(), asBellhop+"=1", "BELLHOP_STORE="+c.address)
					if out, err := cmd.CombinedOutput(); err == nil || strings.Count(string(out), "\n") != 1 {
						t.Errorf("as a process it says %q, %v", out, err)
					}
				})
			}
		})
	}
}

func hostOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// roles makes two roles for the database at the address, one that may change the schema and one that may only work with it, and
// returns their addresses, and a function that grants the latter what it needs in the tables that are there then.
func roles(t *testing.T, make func() (address string)) (migrate, work string, grant func()) {
	t.Helper()
	suffix := strings.ToLower(bellhop.NewID().String()[24:])
	owner, worker := "owner_"+suffix, "worker_"+suffix
	var address string
	t.Cleanup(func() { // after the database is gone
		if strings.HasPrefix(address, "postgres:") {
			admin(t, at(t, address, "path", "postgres"), "DROP ROLE "+owner, "DROP ROLE "+worker)
		} else {
			admin(t, at(t, address, "path", "mysql"), "DROP USER "+owner, "DROP USER "+worker)
		}
	})
	address = make()
	if strings.HasPrefix(address, "postgres:") {
		admin(t, address, "CREATE ROLE "+owner+" LOGIN PASSWORD '"+secret+"'", "CREATE ROLE "+worker+" LOGIN PASSWORD '"+secret+"'",
			`CREATE SCHEMA "Job Store" AUTHORIZATION `+owner, `GRANT USAGE ON SCHEMA "Job Store" TO `+worker)
		address := at(t, address, "schema", "Job Store")
		migrate, work = at(t, address, "user", owner+":"+secret), at(t, address, "user", worker+":"+secret)
		return migrate, work, func() {
			admin(t, strings.Replace(migrate, "schema=", "application_name=", 1),
				`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "Job Store" TO `+worker,
				`GRANT USAGE ON ALL SEQUENCES IN SCHEMA "Job Store" TO `+worker)
		}
	}
	name := nameOf(t, address)
	admin(t, address, "CREATE USER "+owner+" IDENTIFIED BY '"+secret+"'", "CREATE USER "+worker+" IDENTIFIED BY '"+secret+"'",
		"GRANT ALL ON "+name+".* TO "+owner, "GRANT SELECT, INSERT, UPDATE, DELETE ON "+name+".* TO "+worker)
	return at(t, address, "user", owner+":"+secret), at(t, address, "user", worker+":"+secret), func() {}
}

// TestRoles has one role make the schema, and another, which may not change it, do everything else.
func TestRoles(t *testing.T) {
	for _, s := range servers {
		if !s.sql {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			server := s.shared(t)
			migrate, work, grant := roles(t, func() string { return server.Database(t) })
			complains(t, work, anyFailure, nil, "migrate", "up")
			complains(t, at(t, work, "migrate", "auto"), anyFailure, nil, "jobs", "list")
			must(t, migrate, "", "migrate", "up")
			if s.name == "postgres" { // a schema whose tables are closed
				complains(t, work, anyFailure, []string{"docs/postgres.md"}, "jobs", "list")
			}
			grant()
			must(t, work, "", "migrate", "status")
			must(t, work, "", "migrate", "up") // there is nothing to do
			everything(t, work)
			complains(t, work, anyFailure, nil, "migrate", "down", "--to", "0", "--yes")
			must(t, work, "", "jobs", "list")
		})
	}
}

// everything does with the store what commands and workers do.
func everything(t *testing.T, store string) {
	t.Helper()
	var ids []string
	for range 4 {
		ids = append(ids, strings.Fields(must(t, store, "", "enqueue", "test.count", "{}", "--unique-key", bellhop.NewID().String(), "--tag", "t"))[0])
	}
	must(t, store, "", "enqueue", "test.count", "{}", "--in", "1h")
	must(t, store, "", "jobs", "list", "--state", "ready")
	must(t, store, "", "jobs", "cancel", ids[0])
	must(t, store, "", "jobs", "retry", ids[0])
	must(t, store, "", "jobs", "discard", ids[1])
	must(t, store, "", "jobs", "delete", ids[1], "--yes")
	must(t, store, "", "queues", "pause", "default")
	must(t, store, "", "queues", "resume", "default")
	if runs := drain(t, store, 3); len(runs) != 3 {
		t.Errorf("ran %v", runs)
	}
	if shown := must(t, store, "", "jobs", "show", ids[2]); !strings.Contains(shown, "succeeded") {
		t.Errorf("it is not done: %s", shown)
	}
	// All that is wrong is the warning that nobody is there to work, and that the tests' shared PostgreSQL waits for no disk.
	wantCode, want := exitOK, 0
	if strings.HasPrefix(store, "postgres:") {
		wantCode, want = exitFailed, 1
	}
	code, out, stderr := run(t, store, "", "doctor")
	problems := strings.Count(out, "problem  ")
	if code != wantCode || stderr != "" || problems != want || problems > 0 && !strings.Contains(out, "problem  durability") {
		t.Errorf("doctor ended with %d: %s%s", code, out, stderr)
	}
}

// drain works until so many jobs of the kind test.count have run, and returns how often each has.
func drain(t *testing.T, store string, jobs int) map[bellhop.ID]int {
	t.Helper()
	client, err := bellhop.Open(t.Context(), store, bellhop.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	return counting(t, client, jobs, worker.Config{Queues: worker.Queues{"default": 10}})
}

// counted is the kind of job that counts its runs.
var counted = bellhop.Define[struct{}]("test.count")

// counting works until so many jobs have run and ended, and returns how often each has run. When the first runs, it calls first.
func counting(t *testing.T, client *bellhop.Client, jobs int, config worker.Config, first ...func()) map[bellhop.ID]int {
	t.Helper()
	var mu sync.Mutex
	runs := map[bellhop.ID]int{}
	done := make(chan struct{})
	w := worker.New(client, config)
	w.Handle(counted.With(func(ctx context.Context, _ struct{}) error {
		mu.Lock()
		defer mu.Unlock()
		for _, f := range first {
			f()
		}
		first = nil
		runs[bellhop.FromContext(ctx).Job().ID]++
		if len(runs) == jobs {
			select {
			case <-done:
			default:
				close(done)
			}
		}
		return nil
	}))
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx); stop() }()
	select {
	case <-done:
	case <-ctx.Done():
		mu.Lock()
		t.Errorf("%d of %d jobs have run within %v", len(runs), jobs, patience)
		mu.Unlock()
	}
	stop()
	if err := <-ended; err != nil { // it drains: what ran is handed in
		t.Errorf("the worker ended with: %v", err)
	}
	return runs
}

// TestReadOnlyServer has a server take no writes for a while.
func TestReadOnlyServer(t *testing.T) {
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			server := s.shared(t)
			var store string
			var on, off func()
			switch s.name {
			case "postgres":
				store = newServerStore(t, server)
				set := func(value string) { // a session's own setting may be changed in each transaction
					admin(t, at(t, server.Address), "ALTER DATABASE "+nameOf(t, store)+" SET default_transaction_read_only = "+value)
				}
				on, off = func() { set("on") }, func() { set("off") }
			case "mysql":
				own := testservers.StartMariaDB(t, "innodb_flush_log_at_trx_commit=0")
				migrate, work, _ := roles(t, func() string { return own.Database(t) })
				must(t, migrate, "", "migrate", "up")
				store = work
				on, off = func() { admin(t, own.Address, "SET GLOBAL read_only = 1") }, func() { admin(t, own.Address, "SET GLOBAL read_only = 0") }
			case "redis":
				t.Skip("a replica is refused at the door: store/redis")
			}
			must(t, store, "", "enqueue", "test.count", "{}")
			on()
			complains(t, store, exitUnavailable, []string{"takes no writes", "primary"}, "enqueue", "test.count", "{}")
			must(t, store, "", "jobs", "list")
			off()
			if runs := drain(t, store, 1); len(runs) != 1 {
				t.Errorf("ran %v", runs)
			}
		})
	}
}

func nameOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Trim(u.Path, "/")
}
