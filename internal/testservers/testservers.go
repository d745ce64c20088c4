package testservers

import (
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// Server is a server as one test sees it. A test may kill, freeze, stop and start only a server of its own, from [StartPostgres],
// [StartMariaDB] or [StartRedis]; these methods fail the test if they do not succeed.
type Server struct {
	// Address is that of the administrator, as a store's Open takes it.
	Address string

	tb   testing.TB
	kind *engine
	own  *Instance // nil if it is shared
}

// Cluster is a Redis Cluster of three masters without replicas, shared by the tests.
type Cluster struct {
	// Address names all nodes: redis+cluster://127.0.0.1:7001,127.0.0.1:7002,127.0.0.1:7003.
	Address string
	// Nodes are the addresses of the single nodes: redis://127.0.0.1:7001/0 and so on.
	Nodes []string
}

// Postgres returns the PostgreSQL server that the tests share. It skips the test if PostgreSQL was not selected.
func Postgres(tb testing.TB) *Server { return shared(tb, NamePostgres) }

// MariaDB returns the MariaDB server that the tests share. It skips the test if MySQL was not selected.
func MariaDB(tb testing.TB) *Server { return shared(tb, NameMariaDB) }

// Redis returns the Redis server that the tests share. It skips the test if Redis was not selected.
func Redis(tb testing.TB) *Server { return shared(tb, NameRedis) }

// RedisCluster returns the Redis Cluster that the tests share. It skips the test if Redis was not selected.
func RedisCluster(tb testing.TB) *Cluster {
	tb.Helper()
	need(tb, NameRedis)
	address, err := pool.address(NameRedisCluster)
	if err != nil {
		tb.Fatal(err)
	}
	c := &Cluster{Address: address}
	for host := range strings.SplitSeq(strings.TrimPrefix(address, "redis+cluster://"), ",") {
		c.Nodes = append(c.Nodes, "redis://"+host+"/0")
	}
	return c
}

// StartPostgres starts a PostgreSQL server for this test. Each conf is a line of postgresql.conf.
func StartPostgres(tb testing.TB, conf ...string) *Server { return start(tb, NamePostgres, conf) }

// StartMariaDB starts a MariaDB server for this test. Each conf is a line of the server's section of my.cnf.
func StartMariaDB(tb testing.TB, conf ...string) *Server { return start(tb, NameMariaDB, conf) }

// StartRedis starts a Redis server for this test. Each conf is a line of redis.conf; "requirepass" goes into the address too.
func StartRedis(tb testing.TB, conf ...string) *Server { return start(tb, NameRedis, conf) }

// StartRedisCluster starts a Redis Cluster for this test, and returns its nodes besides. They may be frozen; they cannot be started
// again. Each conf is a line of the redis.conf of all.
func StartRedisCluster(tb testing.TB, conf ...string) (*Cluster, []*Server) {
	tb.Helper()
	need(tb, NameRedis)
	own, err := launchCluster(conf...)
	if err != nil {
		tb.Fatal(err)
	}
	c := &Cluster{Address: clusterAddress(own)}
	var nodes []*Server
	for _, node := range own {
		tb.Cleanup(func() {
			if err := node.Close(); err != nil {
				tb.Error(err)
			}
		})
		c.Nodes = append(c.Nodes, node.Address)
		nodes = append(nodes, &Server{Address: node.Address, tb: tb, kind: node.engine, own: node})
	}
	return c, nodes
}

// need skips the test if its store was not selected.
func need(tb testing.TB, store string) {
	tb.Helper()
	if !Selected(store) {
		tb.Skipf("%s is not among the selected stores: %s=%s", store, StoresVariable, os.Getenv(StoresVariable))
	}
}

func shared(tb testing.TB, name string) *Server {
	tb.Helper()
	need(tb, name)
	address, err := pool.address(name)
	if err != nil {
		tb.Fatal(err)
	}
	return &Server{Address: address, tb: tb, kind: engines[name]}
}

func start(tb testing.TB, name string, conf []string) *Server {
	tb.Helper()
	need(tb, name)
	own, err := Launch(name, conf...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			lines := strings.Split(strings.TrimSpace(own.Log()), "\n")
			tb.Logf("the end of %s's log:\n%s", own.engine.title, strings.Join(lines[max(0, len(lines)-30):], "\n"))
		}
		if err := own.Close(); err != nil {
			tb.Error(err)
		}
	})
	return &Server{Address: own.Address, tb: tb, kind: own.engine, own: own}
}

// Database makes a new empty database for this test, drops it when the test ends, and returns its address, again the administrator's.
// Redis has no such thing: there it returns Address, and tests keep apart by namespace.
func (s *Server) Database(tb testing.TB) string {
	tb.Helper()
	address, drop, err := makeDatabase(s.kind, s.Address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(drop)
	return address
}

// act has the test's own server do something.
func (s *Server) act(what string, do func(*Instance) error) {
	s.tb.Helper()
	if s.own == nil {
		s.tb.Errorf("testservers: %s: this %s is shared with other tests; Start… makes one for a test alone", what, s.kind.title)
	} else if err := do(s.own); err != nil {
		s.tb.Error(err)
	}
}

// Kill ends the server and all its processes without a word.
func (s *Server) Kill() { s.tb.Helper(); s.act("kill", (*Instance).Kill) }

// Stop has the server shut down in order.
func (s *Server) Stop() { s.tb.Helper(); s.act("stop", (*Instance).Stop) }

// Start starts the server again, on the same port and data, and returns when it answers.
func (s *Server) Start() { s.tb.Helper(); s.act("start", (*Instance).Start) }

// Freeze stops all of the server's processes where they are: connections stay open, and nobody answers.
func (s *Server) Freeze() { s.tb.Helper(); s.act("freeze", (*Instance).Freeze) }

// Thaw lets the server go on after Freeze.
func (s *Server) Thaw() { s.tb.Helper(); s.act("thaw", (*Instance).Thaw) }

// Log returns what a server of the test's own has written into its log.
func (s *Server) Log() (text string) {
	s.tb.Helper()
	s.act("log", func(own *Instance) error { text = own.Log(); return nil })
	return text
}

// Main is for TestMain of a package whose tests use servers: it runs the tests, stops the servers that they have started, sees that no
// goroutine is left (but for those that the options let pass), and ends the process.
func Main(m *testing.M, options ...goleak.Option) {
	goleak.VerifyTestMain(stopping{m}, options...)
}

// stopping stops the servers after the tests and before the search for goroutines.
type stopping struct{ m *testing.M }

// Run runs the tests and returns the exit code.
func (s stopping) Run() int {
	code := s.m.Run()
	if err := pool.Close(); err != nil {
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
		return max(code, 1)
	}
	return code
}
