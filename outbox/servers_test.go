package outbox_test

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/faultproxy"
	"github.com/gobellhop/bellhop/internal/outboxdb"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/outbox"
	"github.com/gobellhop/bellhop/store/memory"

	_ "github.com/gobellhop/bellhop/store/all" // the stores of these tests
)

// route is a way from a user's database to a store on another server.
type route struct {
	name        string
	from, store func(t *testing.T) string
}

var routes = []route{
	{"postgres to redis", newPostgres, newRedis},
	{"mariadb to postgres", newMariaDB, func(t *testing.T) string { return testservers.With(newPostgres(t), "migrate", "auto") }},
	{"postgres to mariadb", newPostgres, func(t *testing.T) string { return testservers.With(newMariaDB(t), "migrate", "auto") }},
}

func newPostgres(t *testing.T) string { return testservers.Postgres(t).Database(t) }
func newMariaDB(t *testing.T) string  { return testservers.MariaDB(t).Database(t) }
func newRedis(t *testing.T) string {
	return testservers.With(testservers.Redis(t).Address, "namespace", strings.ToLower(rand.Text()))
}

// through opens the other end of a rig: a store at an address, and a pool of its own for the relays.
func through(r *rig, from, store string) *rig {
	other := *r
	var err error
	other.client, err = bellhop.Open(r.ctx, store, bellhop.Logger(slog.New(slog.NewTextHandler(r.log, nil))))
	r.must(err)
	r.t.Cleanup(func() { _ = other.client.Close() })
	other.store = other.client.Store()
	db, _, err := outboxdb.Open(from)
	r.must(err)
	r.t.Cleanup(func() { _ = db.Close() })
	other.db = db
	other.box, err = outbox.New(other.client, r.dialect)
	r.must(err)
	return &other
}

// verdict sees that the store has taken each of n jobs, and that no relay has handed over one that was there.
func (r *rig) verdict(n int, relays ...*outbox.Relay) {
	r.t.Helper()
	r.moved()
	if found := r.count(); found != n {
		r.t.Errorf("%d jobs in the store, want %d", found, n)
	}
	for i, relay := range relays {
		s := relay.Stats()
		r.t.Logf("relay %d: %+v", i, s)
		if s.Existing > 0 || s.SetAside > 0 {
			r.t.Errorf("relay %d: %+v", i, s)
		}
	}
}

// Over a network on both sides that cuts, swallows, holds back and refuses, each job arrives once.
func TestBadNetwork(t *testing.T) {
	for _, way := range routes {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			from, store := way.from(t), way.store(t)
			user := newRig(t, from, memory.New())
			left, right := faultproxy.New(t, from), faultproxy.New(t, store)
			r := through(user, left.Through(from), right.Through(store))
			one, _ := r.relay(func(c *outbox.Config) { c.Batch, c.Name = 20, "one" })
			two, _ := r.relay(func(c *outbox.Config) { c.Batch, c.Name = 20, "two" })

			blowing := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() { weather(blowing, left, right) })
			lasts := 4 * time.Second
			if testing.Short() {
				lasts = time.Second
			}
			n := 0
			for end := time.Now().Add(lasts); time.Now().Before(end); {
				user.enqueue(greet.New("x"), greet.New("y"), greet.New("z"))
				n += 3
				time.Sleep(2 * time.Millisecond) // a pace that the relays can follow
			}
			close(blowing)
			wg.Wait()
			r.db = user.db // to look, the straight way
			r.verdict(n, one, two)
		})
	}
}

// weather breaks the network in all ways until it is told to stop, and leaves it whole.
func weather(stop <-chan struct{}, proxies ...*faultproxy.Proxy) {
	pause := func(most time.Duration, until <-chan struct{}) {
		select {
		case <-time.After(time.Duration(mathrand.Int64N(int64(most)))):
		case <-until:
		}
	}
	for {
		select {
		case <-stop:
			return
		default:
		}
		p := proxies[mathrand.IntN(len(proxies))]
		switch mathrand.IntN(5) {
		case 0:
			pause(100*time.Millisecond, p.SwallowReplies())
		case 1:
			pause(100*time.Millisecond, p.CutAfter(faultproxy.ToServer, mathrand.IntN(3000)))
		case 2:
			pause(100*time.Millisecond, p.CutAfter(faultproxy.ToClient, mathrand.IntN(1000)))
		case 3:
			p.BlackHole()
			pause(100*time.Millisecond, nil)
		case 4:
			p.Refuse()
			pause(100*time.Millisecond, nil)
		}
		p.Cut()
		p.Restore()
		pause(100*time.Millisecond, nil)
	}
}

// Both servers are killed and started again under load, more than once.
func TestBothRestart(t *testing.T) {
	t.Parallel()
	database := testservers.StartPostgres(t)
	store := testservers.StartRedis(t, "appendonly yes", "appendfsync always")
	from := database.Database(t)
	user := newRig(t, from, memory.New())
	r := through(user, from, store.Address)
	one, _ := r.relay(func(c *outbox.Config) { c.Name = "one" })
	two, _ := r.relay(func(c *outbox.Config) { c.Name = "two" })
	n := 0
	produce := func() {
		for range 50 {
			user.enqueue(greet.New("x"))
			n++
		}
	}
	produce()
	rounds := 3
	if testing.Short() {
		rounds = 2
	}
	for i := range rounds {
		store.Kill()
		produce() // goes on without the store
		store.Start()
		produce()
		if i == 1 {
			store.Freeze()
			produce()
			store.Thaw()
		}
		database.Kill()
		database.Start()
		user.answers()
		produce()
	}
	r.db = user.db // to look, by a pool that the relays do not share
	r.verdict(n, one, two)
}

// Who enqueues needs the right to insert, and who relays those that the guide lists; no more.
func TestRights(t *testing.T) {
	for name, c := range map[string]struct {
		server func(testing.TB) *testservers.Server
		grants []string // %[1]s enqueues, %[2]s relays
		drop   string
	}{
		"postgres": {
			testservers.Postgres,
			[]string{
				"create role %[1]s login password 'pw'", "create role %[2]s login password 'pw'",
				"grant insert on bellhop_outbox to %[1]s", "grant select, insert, update, delete on bellhop_outbox to %[2]s",
			},
			"drop owned by %[1]s; drop role %[1]s",
		},
		"mariadb": {
			testservers.MariaDB,
			[]string{
				"create user %[1]s identified by 'pw'", "create user %[2]s identified by 'pw'",
				"grant insert on bellhop_outbox to %[1]s", "grant select, insert, update, delete on bellhop_outbox to %[2]s",
			},
			"drop user %[1]s",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := c.server(t).Database(t)
			admin := newRig(t, address, memory.New())
			app, relay := "a_"+strings.ToLower(rand.Text())[:12], "r_"+strings.ToLower(rand.Text())[:12]
			for _, grant := range c.grants {
				_, err := admin.db.ExecContext(t.Context(), strings.ReplaceAll(strings.ReplaceAll(grant, "%[1]s", app), "%[2]s", relay))
				admin.must(err)
			}
			defer func() {
				for _, user := range []string{app, relay} {
					_, err := admin.db.ExecContext(t.Context(), fmt.Sprintf(c.drop, user))
					admin.must(err)
				}
			}()
			as := func(user string) *rig {
				u, err := url.Parse(address)
				admin.must(err)
				u.User = url.UserPassword(user, "pw")
				other := *admin
				other.db, _, err = outboxdb.Open(u.String())
				admin.must(err)
				return &other
			}
			producer, mover := as(app), as(relay)
			defer producer.db.Close()
			defer mover.db.Close()
			drafts := make([]bellhop.Draft, 100)
			for i := range drafts {
				drafts[i] = greet.New(fmt.Sprint(i))
			}
			producer.enqueue(drafts...)
			producer.enqueue(greet.New("taken", bellhop.WithID(bellhop.IDFromKey("test", "taken"))))
			producer.enqueue(greet.New("other", bellhop.WithID(bellhop.IDFromKey("test", "taken"))))
			r, stop := mover.relay(func(c *outbox.Config) { c.Keep = time.Hour })
			admin.moved()
			stop()
			if s := r.Stats(); s.Moved != 101 || s.SetAside != 1 || s.Err != nil {
				t.Errorf("%+v", s)
			}
			_, stop = mover.relay(func(c *outbox.Config) { c.Keep = time.Millisecond })
			admin.eventually("what was kept is pruned", func() bool { return admin.status().Kept == 0 })
			stop()
			if _, err := producer.box.Status(t.Context(), producer.db); err == nil {
				t.Error("who may only insert can read")
			}
		})
	}
}

// However the database and the connection are set up, jobs of every size come through byte for byte.
func TestSettings(t *testing.T) {
	t.Parallel()
	small := testservers.StartMariaDB(t, "max_allowed_packet=1M", "sql_mode=''", "character_set_server=utf8mb3")
	for name, address := range map[string]func(t *testing.T) string{
		"sqlite": func(t *testing.T) string { return databases[0].make(t) },
		"postgres, serializable": func(t *testing.T) string {
			return testservers.With(newPostgres(t), "default_transaction_isolation", "serializable")
		},
		"postgres, simple protocol": func(t *testing.T) string {
			return testservers.With(testservers.With(newPostgres(t), "default_query_exec_mode", "simple_protocol"), "timezone", "America/New_York")
		},
		"postgres, another session for each transaction": func(t *testing.T) string {
			address := newPostgres(t)
			return testservers.With(faultproxy.NewPooler(t, address).Through(address), "default_query_exec_mode", "exec")
		},
		"mariadb, serializable": func(t *testing.T) string {
			return testservers.With(testservers.With(newMariaDB(t), "tx_isolation", "'SERIALIZABLE'"), "time_zone", "'-09:30'")
		},
		"mariadb, interpolated, other quotes": func(t *testing.T) string {
			return testservers.With(testservers.With(newMariaDB(t), "interpolateParams", "true"), "sql_mode", "'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,TRADITIONAL'")
		},
		"mariadb, latin1": func(t *testing.T) string { return testservers.With(newMariaDB(t), "charset", "latin1") },
		"mariadb, small packets, not strict": func(t *testing.T) string {
			return small.Database(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, address(t), memory.New())
			client, err := bellhop.NewClient(r.store, bellhop.MaxArguments(bellhop.MaxArgs))
			r.must(err)
			r.box, err = outbox.New(client, r.dialect)
			r.must(err)
			sizes := []int{1, 100, 64<<10 - 3, 64 << 10, 900_000}
			var drafts []bellhop.Draft
			for i, size := range sizes {
				drafts = append(drafts, bellhop.RawJob("k", []byte(`"\u00e9`+strings.Repeat(`é'"`[:3], size/3)+`"`), bellhop.Meta("n", fmt.Sprint(i, " 漢💡'\\"))))
			}
			for range 30 { // more than goes with one statement
				drafts = append(drafts, bellhop.RawJob("k", []byte(`"`+strings.Repeat("x", 60_000)+`"`)))
			}
			receipts := r.enqueue(drafts...)
			r.relay()
			r.moved()
			for i, size := range sizes {
				s := r.get(receipts[i].ID)
				if want := `"\u00e9` + strings.Repeat(`é'"`[:3], size/3) + `"`; s == nil || string(s.Args) != want || s.Meta["n"] != fmt.Sprint(i, " 漢💡'\\") {
					t.Errorf("a job of %d bytes came through as %+v", size, s)
				}
			}
			if n := r.count(); n != len(drafts) {
				t.Errorf("%d jobs in the store, want %d", n, len(drafts))
			}
		})
	}
}
