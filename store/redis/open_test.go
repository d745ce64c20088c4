package redis_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/redis"
	"github.com/gobellhop/bellhop/store/storetest"
)

// refused opens a store and returns the one line that says why it cannot be.
func refused(t *testing.T, address string, opts ...redis.Option) error {
	t.Helper()
	s, err := redis.Open(t.Context(), address, opts...)
	if err == nil {
		_ = s.Close()
		t.Fatalf("%s was opened", bellhop.MaskAddress(address))
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("the error has several lines: %q", err)
	}
	return err
}

func says(t *testing.T, err error, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error says %q; want it to say %q", err, text)
		}
	}
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"redis:":                                 `want an address like "redis://localhost:6379/0`,
		"redis://":                               "there is no host",
		"redis://:6379":                          "there is no host",
		"redis://h:0":                            "the port of \"h:0\": want a whole number from 1 to 65535",
		"redis://h/first":                        "behind the slash",
		"redis://h/-1":                           "behind the slash",
		"redis://a,b":                            "there are several hosts",
		"redis://h?name=x":                       `the parameter "name" is unknown`,
		"redis://h?namespace=a%7Cb":              "namespace",
		"redis://h?namespace=%7Ba%7D":            "namespace",
		"redis://h?keep_finished=many":           "keep_finished=many: want a whole number",
		"redis://h?timeout=1":                    "timeout=1: want a duration",
		"redis://h?timeout=1ms":                  "timeout=1ms: want a duration",
		"redis://h?pool=0":                       "pool=0: want a whole number",
		"redis://h?eviction=maybe":               "eviction=maybe: want refuse, allow",
		"redis://h?migrate=now":                  "migrate=now: want auto, off, only",
		"redis://h?master=m":                     "belong to addresses that begin with redis+sentinel://",
		"redis+sentinel://h":                     "the name of the master is missing",
		"redis+cluster://h/3":                    "a cluster has no databases",
		"redis://u:%zz@h":                        "broken escape",
		"redis://h?tls=perhaps":                  "tls=perhaps: want on, off",
		"redis+sentinel://h?sentinel_password=x": "the name of the master is missing",
	} {
		says(t, refused(t, address), want)
	}
	s := testservers.Redis(t)
	says(t, refused(t, s.Address, redis.WithNamespace("a b")), "namespace")
	says(t, refused(t, s.Address, redis.WithKeepFinished(-1)), "WithKeepFinished(-1): want at least 0")
	says(t, refused(t, s.Address, redis.WithTimeout(time.Millisecond)), "WithTimeout(1ms): want a duration")
}

// All that an address can say is accepted.
func TestAddressInFull(t *testing.T) {
	server := testservers.StartRedis(t, "requirepass s3cr/t@:x")
	address := strings.Replace(server.Address, "/0", "/3", 1) +
		"?namespace=shop.eu&keep_finished=10&timeout=2s&pool=3&eviction=allow&tls=off&migrate=auto"
	s, err := redis.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	enqueue(t, s, testJobs(3)...)
	o, err := goredis.ParseURL(server.Address)
	if err != nil {
		t.Fatal(err)
	}
	o.DB = 3
	c := goredis.NewClient(o)
	defer c.Close()
	if n := c.HLen(t.Context(), "{bellhop:shop.eu}:places").Val(); n != 3 {
		t.Errorf("database 3 has %d jobs in the namespace; want 3", n)
	}
}

func TestOpenRefuses(t *testing.T) {
	ctx := t.Context()
	t.Run("wrong password", func(t *testing.T) {
		address := testservers.StartRedis(t, "requirepass secret").Address
		err := refused(t, strings.Replace(address, "secret", "s3cret", 1))
		says(t, err, "user or password is wrong")
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error shows the password: %v", err)
		}
		says(t, refused(t, strings.Replace(address, ":secret@", "", 1)), "it wants a password")
	})
	t.Run("no such database", func(t *testing.T) {
		says(t, refused(t, strings.Replace(testservers.Redis(t).Address, "/0", "/4711", 1)), "DB index is out of range")
	})
	t.Run("nobody there", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		_ = l.Close()
		err = refused(t, "redis://"+address)
		says(t, err, "refused")
		if !errors.Is(err, bellhop.ErrUnavailable) {
			t.Errorf("%v is not ErrUnavailable", err)
		}
	})
	t.Run("evicting", func(t *testing.T) {
		server := testservers.StartRedis(t, "maxmemory 100mb", "maxmemory-policy allkeys-lru")
		says(t, refused(t, server.Address), "maxmemory-policy is allkeys-lru", "noeviction", "eviction=allow")
		s, err := redis.Open(ctx, server.Address+"?eviction=allow")
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if d := s.Capabilities().Durability; !strings.Contains(d, "may evict jobs") {
			t.Errorf("Durability does not tell of the eviction: %q", d)
		}
	})
	t.Run("replica", func(t *testing.T) {
		server := testservers.StartRedis(t, "replicaof 127.0.0.1 1")
		err := refused(t, server.Address)
		says(t, err, "is a replica")
		if !errors.Is(err, bellhop.ErrUnavailable) {
			t.Errorf("%v is not ErrUnavailable", err)
		}
	})
	t.Run("layouts", func(t *testing.T) {
		s := newStore(t, testservers.Redis(t).Address)
		o := openingOf(s)
		c := client(t, o.address)
		key := "{bellhop:" + o.namespace + "}:layout"
		for version, want := range map[string]error{"3": bellhop.ErrSchemaNewer, "1": bellhop.ErrSchemaOlder} {
			c.Set(ctx, key, version, 0)
			if err := refused(t, o.address, redis.WithNamespace(o.namespace)); !errors.Is(err, want) {
				t.Errorf("layout %s: %v; want %v", version, err, want)
			}
			if _, err := s.Ping(ctx); !errors.Is(err, want) {
				t.Errorf("ping of layout %s: %v; want %v", version, err, want)
			}
		}
		c.Set(ctx, key, "first", 0)
		says(t, refused(t, o.address, redis.WithNamespace(o.namespace)), "not a version")
		c.Del(ctx, key)
		_, err := s.Ping(ctx)
		says(t, err, "the namespace is gone")
		if !errors.Is(err, bellhop.ErrUnavailable) {
			t.Errorf("ping of a namespace that is gone: %v", err)
		}
		if _, err := s.Ping(ctx); err != nil {
			t.Errorf("the namespace has not begun anew: %v", err)
		}
	})
	t.Run("ring", func(t *testing.T) {
		ring := goredis.NewRing(&goredis.RingOptions{})
		defer ring.Close()
		if _, err := redis.New(ctx, ring); err == nil {
			t.Error("a Ring was accepted")
		}
	})
}

// Many that begin an empty namespace at once find the same.
func TestOpenAtOnce(t *testing.T) {
	o := openingOf(newStore(t, testservers.Redis(t).Address))
	wipe(t, o)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			s, err := redis.Open(t.Context(), o.address, redis.WithNamespace(o.namespace))
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if _, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: testJobs(10)}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n, err := storetest.CountAll(t.Context(), openStore(t, o), bellhop.Filter{}, 1000); n != 80 || err != nil {
		t.Errorf("%d jobs are there (%v); want 80", n, err)
	}
}

// The caller's client stays open, and namespaces do not see each other.
func TestNewOnTheCallersClient(t *testing.T) {
	c := client(t, testservers.Redis(t).Address)
	for want, fn := range map[string]func() (*redis.Store, error){
		"open Redis store: the client is nil":    func() (*redis.Store, error) { return redis.New(t.Context(), nil) },
		`open Redis store: namespace "a b": cha`: func() (*redis.Store, error) { return redis.New(t.Context(), c, redis.WithNamespace("a b")) },
	} {
		if _, err := fn(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in the error, it is %v", want, err)
		}
	}
	var stores []*redis.Store
	for range 2 {
		name := "test-" + bellhop.NewID().String()
		s, err := redis.New(t.Context(), c, redis.WithNamespace(name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { wipe(t, opening{address: testservers.Redis(t).Address, namespace: name}) })
		stores = append(stores, s)
	}
	enqueue(t, stores[0], testJobs(5)...)
	if n, err := storetest.CountAll(t.Context(), stores[1], bellhop.Filter{}, 10); n != 0 || err != nil {
		t.Errorf("the other namespace has %d jobs (%v)", n, err)
	}
	for _, s := range stores {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := c.Ping(context.Background()).Err(); err != nil {
		t.Errorf("the caller's client does not work any more: %v", err)
	}
}

// The rights that docs/redis.md names are enough for everything.
func TestRights(t *testing.T) {
	server := testservers.StartRedis(t)
	rights := "on >pw resetkeys resetchannels ~{bellhop:shop}:* &{bellhop:shop}:* " +
		"+@read +@write +@connection +@scripting +@pubsub +info +time +cluster -@dangerous +info"
	if err := client(t, server.Address).Do(t.Context(), append([]any{"ACL", "SETUSER", "shop"}, anys(strings.Fields(rights))...)...).Err(); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, opening{address: strings.Replace(server.Address, "redis://", "redis://shop:pw@", 1), namespace: "shop"})
	woken := make(chan string, 100)
	defer s.Notify(func(queue string) { woken <- queue })()
	wait(t, woken, "")
	everything(t, s)
	wait(t, woken, "default")
	findings, err := s.Diagnose(t.Context())
	if err != nil {
		t.Error(err)
	}
	for _, f := range findings {
		if f.Level == "problem" {
			t.Errorf("%+v", f)
		}
	}
	if d := s.Capabilities().Durability; !strings.Contains(d, "does not tell") {
		t.Errorf("without the right to read the configuration: %q", d)
	}
	says(t, refused(t, strings.Replace(server.Address, "redis://", "redis://shop:pw@", 1), redis.WithNamespace("other")), "the user lacks a right")
}

func anys(list []string) (all []any) {
	for _, s := range list {
		all = append(all, s)
	}
	return all
}
