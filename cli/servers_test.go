package cli

import (
	"context"
	"database/sql"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
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
	exec := func(statement string) error { return nil }
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

// complains runs a command that must fail with one line which has all the words, and no password.
func complains(t *testing.T, store string, code int, words []string, args ...string) {
	t.Helper()
	began := time.Now()
	got, stdout, stderr := run(t, store, "", args...)
	text := strings.TrimSuffix(stderr, "\n")
	switch {
	case got != code:
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
