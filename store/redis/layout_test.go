package redis_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/redis"
)

var update = flag.Bool("update", false, "write layout.txt anew")

// layout.txt shows the keys of a namespace that has a job in every state. Who
// changes the layout changes the file, and must raise the layout's version.
func TestLayout(t *testing.T) {
	s := newStore(t, testservers.Redis(t).Address)
	o := openingOf(s)
	c := client(t, o.address)
	everything(t, s)
	var lines []string
	for _, key := range sorted(keysOf(t, c, o.namespace)) {
		name := strings.TrimPrefix(key, "{bellhop:"+o.namespace+"}:")
		kind := c.Type(t.Context(), key).Val()
		if want := redis.KindOf(name); kind != want {
			t.Errorf("key %q is a %s; keys.go says %q", name, kind, want)
		}
		lines = append(lines, fmt.Sprintf("%-30s %-7s %s", plain(name), kind, contents(t, c, key, kind)))
	}
	slices.Sort(lines)
	for name, kind := range redis.Layout() {
		if head, _, _ := strings.Cut(name, "|"); !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, head) }) && kind != "list" {
			t.Errorf("the key %s of keys.go is not there", name)
		}
	}
	got := fmt.Sprintf("Layout %d: the keys of a namespace with a job in every state.\nIds, times and numbers in bytes are written as their lengths.\n\n%s\n",
		redis.LayoutVersion, strings.Join(lines, "\n"))
	if *update {
		if err := os.WriteFile("layout.txt", []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("layout.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the layout is not that of layout.txt; if it is meant to be, raise layoutVersion and run go test -run TestLayout -update:\n%s", got)
	}
}

// everything puts a job into every state, and everything else that there can be.
func everything(t *testing.T, s *redis.Store) {
	t.Helper()
	ctx := t.Context()
	p := process(t, s)
	jobs := testJobs(10)
	for i, j := range jobs {
		j.Priority = i - 5
	}
	jobs[9].UniqueKey, jobs[9].Tags, jobs[9].Meta = "key", []string{"a", "b"}, map[string]string{"k": "v"}
	enqueue(t, s, jobs...)
	late := testJobs(1)
	late[0].Delay, late[0].Args = time.Hour, []byte(`"`+strings.Repeat("large", 100)+`"`)
	enqueue(t, s, late...)
	claims := claim(t, s, p, 6)
	outcomes := succeeded(claims[:4])
	outcomes[1].Kind, outcomes[1].Keep = bellhop.OutcomeDead, bellhop.Forever
	outcomes[2].Kind, outcomes[2].Wait = bellhop.OutcomeRetry, time.Hour
	outcomes[2].Failure = &bellhop.Failure{Class: "c", Message: "m", Stack: "s"}
	outcomes[3].Kind, outcomes[3].Result = bellhop.OutcomeDiscarded, []byte(`1`)
	if _, err := s.Exchange(ctx, request(p, 0, outcomes...)); err != nil {
		t.Fatal(err)
	}
	for action, id := range map[bellhop.Action]bellhop.ID{bellhop.ActCancel: claims[4].Job.ID, bellhop.ActDelete: jobs[8].ID} {
		if _, err := s.Act(ctx, &bellhop.ActRequest{Action: action, IDs: []bellhop.ID{id}, Reason: "r"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Pause(ctx, "stopped", true); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(ctx, []bellhop.RecordWrite{
		{Space: "space", Key: "a", Value: []byte("1")}, {Space: "space", Key: "b", Value: []byte("2"), TTL: time.Hour},
	}); err != nil {
		t.Fatal(err)
	}
	gone := process(t, s)
	if _, err := s.Beat(ctx, &bellhop.Beat{Process: bellhop.Process{ID: gone}, Leave: true}); err != nil {
		t.Fatal(err)
	}
}

// contents shows what a key holds, with ids, times and numbers as their lengths.
func contents(t *testing.T, c goredis.UniversalClient, key, kind string) string {
	t.Helper()
	ctx := t.Context()
	var parts []string
	switch kind {
	case "string":
		parts = []string{plain(c.Get(ctx, key).Val())}
	case "set":
		for _, m := range c.SMembers(ctx, key).Val() {
			parts = append(parts, plain(m))
		}
	case "hash":
		for field, value := range c.HGetAll(ctx, key).Val() {
			parts = append(parts, plain(field)+": "+plain(value))
		}
	case "zset":
		for _, z := range c.ZRangeWithScores(ctx, key, 0, -1).Val() {
			parts = append(parts, plain(z.Member.(string))+" by "+plain(fmt.Sprint(int64(z.Score))))
		}
	}
	slices.Sort(parts)
	return strings.Join(slices.Compact(parts), "; ")
}

var (
	stamp  = regexp.MustCompile(`\b1[0-9]{15}\b`)
	binary = regexp.MustCompile(`[^ -~]`)
	uuid   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`)
)

// plain writes texts as they are, and bytes as their length.
func plain(s string) string {
	head, rest, parted := strings.Cut(s, "|")
	switch {
	case !binary.MatchString(s):
		return stamp.ReplaceAllString(uuid.ReplaceAllString(s, "ID"), "TIME")
	case parted && !binary.MatchString(head):
		return head + "|" + plain(rest)
	case strings.Contains(s, `"id":"`):
		return "8 bytes" + plain(s[8:])
	}
	return fmt.Sprintf("%d bytes", len(s))
}
