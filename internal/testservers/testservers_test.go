package testservers

import (
	"context"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

var starts = map[string]func(testing.TB, ...string) *Server{
	NamePostgres: StartPostgres, NameMariaDB: StartMariaDB, NameRedis: StartRedis,
}

// A server is killed, frozen, stopped and started again, and answers after each.
func TestOwn(t *testing.T) {
	for name, start := range starts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			answers := func() bool {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				return s.kind.ping(ctx, s.Address) == nil
			}
			for _, down := range []func(){s.Kill, s.Stop} {
				down()
				if answers() {
					t.Error("it answers though it is down")
				}
				s.Start()
			}
			s.Freeze()
			if answers() {
				t.Error("it answers though it is frozen")
			}
			s.Thaw()
			if !answers() {
				t.Error("it does not answer though it goes on")
			}
			s.Freeze()
			s.Kill()
			s.Start()
		})
	}
}

func TestDatabase(t *testing.T) {
	for _, s := range []*Server{Postgres(t), MariaDB(t)} {
		t.Run(s.kind.store, func(t *testing.T) {
			a, b := s.Database(t), s.Database(t)
			if a == b {
				t.Fatal("same")
			}
			if err := s.kind.ping(t.Context(), a); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCluster(t *testing.T) {
	c := RedisCluster(t)
	for _, node := range c.Nodes {
		if answer, err := redisDo(t.Context(), node, "CLUSTER INFO"); err != nil || answer[0] != '$' {
			t.Errorf("%s: %q, %v", node, answer, err)
		}
	}
	if len(c.Nodes) != masters {
		t.Errorf("%d nodes in %s", len(c.Nodes), c.Address)
	}
}
