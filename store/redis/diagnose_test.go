package redis_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/redis"
)

// finding returns the gravest finding about a subject.
func finding(t *testing.T, s *redis.Store, subject string) bellhop.Finding {
	t.Helper()
	all, err := s.Diagnose(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if strings.HasPrefix(f.Subject, subject) {
			return f
		}
	}
	t.Fatalf("nothing is said about %q: %+v", subject, all)
	return bellhop.Finding{}
}

func TestDiagnose(t *testing.T) {
	server, s := ownServer(t, "maxmemory 100mb")
	c := client(t, server.Address)
	all, err := s.Diagnose(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.Level != "ok" {
			t.Errorf("a sound server: %+v", f)
		}
	}
	set := func(name, value string) {
		t.Helper()
		if err := c.ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(subject, level, detail string) {
		t.Helper()
		if f := finding(t, s, subject); f.Level != level || !strings.Contains(f.Detail, detail) || level != "ok" && f.Advice == "" {
			t.Errorf("%s: %+v; want %s, %q, and an advice", subject, f, level, detail)
		}
	}
	set("maxmemory-policy", "allkeys-lfu")
	expect("eviction", "problem", "allkeys-lfu")
	set("maxmemory-policy", "volatile-lru")
	expect("eviction", "ok", "spares keys that do not expire")
	set("appendonly", "no")
	expect("durability", "warning", "nothing survives the server's process")
	set("save", "60 1000")
	expect("durability", "warning", "all since its last snapshot (no append-only file; save 60 1000)")
	set("maxmemory", "0")
	expect("memory", "warning", "without a limit")
	set("maxmemory", "1mb")
	expect("memory", "problem", "nothing more is enqueued")
	set("maxmemory", "100mb")
	p := bellhop.Process{ID: bellhop.NewID(), Name: "silent", Kinds: []string{testKind}}
	if _, err := s.Beat(t.Context(), &bellhop.Beat{Process: p, Lease: time.Hour}); err != nil {
		t.Fatal(err)
	}
	enqueue(t, s, testJobs(3)...)
	claim(t, s, p.ID, 2)
	advance(s, 2*time.Minute)
	expect("process silent", "warning", "silent for 2m")
	if _, err := s.Beat(t.Context(), &bellhop.Beat{Process: p, Leave: true}); err != nil {
		t.Fatal(err)
	}
	expect("orphans", "warning", "2 running jobs")
	expect("keys", "ok", "all ")
	for _, wrong := range []string{"expiring2", "ready", "ready2|x", "paused|x", "|"} { // and one of another type
		c.Set(t.Context(), "{bellhop:own}:"+wrong, "x", 0)
		c.LPush(t.Context(), "{bellhop:own}:dead", "x")
		expect("keys", "problem", fmt.Sprintf("2 keys that begin with %q are not ours: %q is a list, ", "{bellhop:own}:", "dead"))
		expect("keys", "problem", fmt.Sprintf("%q is a string", wrong))
		c.Del(t.Context(), "{bellhop:own}:"+wrong, "{bellhop:own}:dead")
	}
	others := c.Pipeline()
	for i := range 30_000 { // of another program, and of ours: a part of them is looked at
		others.Set(t.Context(), fmt.Sprintf("other:%d", i), "", 0)
		others.Set(t.Context(), fmt.Sprintf("{bellhop:own}:order|%d", i), "", 0)
	}
	if _, err := others.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect("keys", "ok", "that were looked at of those that begin with")
	c.Set(t.Context(), "{bellhop:own}:layout", "9", 0)
	expect("layout", "problem", "layout 9")
}

// What survives what is read from the server's configuration.
func TestDurability(t *testing.T) {
	for conf, want := range map[string]string{
		"appendfsync everysec":                  "may cost the last second",
		"appendfsync no":                        "may cost the last half minute",
		"appendfsync always":                    "survives a crash of the server and a loss of power",
		"appendonly no":                         "nothing survives",
		"appendonly no\nsave 3600 1":            "all since its last snapshot (no append-only file; save 3600 1)",
		"rename-command CONFIG \"\"":            "does not tell its appendfsync",
		"rename-command CONFIG \"\"\nsave \"\"": "does not tell its appendfsync",
	} {
		s := openStore(t, opening{address: testservers.StartRedis(t, strings.Split(conf, "\n")...).Address, namespace: "d"})
		if d := s.Capabilities().Durability; !strings.Contains(d, want) || strings.Contains(d, "\n") {
			t.Errorf("%s: %q; want it to say %q", conf, d, want)
		}
	}
}
