package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gobellhop/bellhop"
)

var recordTests = []test{
	{"write and read", "C1 C3", recordWrite},
	{"order and pages", "C1", recordPages},
	{"prefix", "C1 G5", recordPrefix},
	{"keys and spaces byte for byte", "C1 G5", recordKeys},
	{"values", "G5", recordValues},
	{"expectations", "C2", recordExpect},
	{"all or none", "C2", recordAllOrNone},
	{"named twice", "C2", recordTwice},
	{"versions", "C3", recordVersions},
	{"expiry", "C1 C2 C3", recordExpiry},
	{"over a restart", "G2 C3", recordReopen},
	{"many writers", "C2 C3 G3", recordRace},
}

func (t *try) put(writes ...bellhop.RecordWrite) {
	t.Helper()
	must(t, t.s.Put(t.ctx, writes))
}

func (t *try) recordsOf(q bellhop.RecordQuery) []bellhop.Record {
	t.Helper()
	records, err := t.s.Records(t.ctx, &q)
	must(t, err)
	return records
}

// record returns the record in the view's space, or a zero record.
func (t *try) record(key string) bellhop.Record {
	t.Helper()
	records := t.recordsOf(bellhop.RecordQuery{Space: viewSpace, Keys: []string{key}})
	if len(records) > 1 || len(records) == 1 && (records[0].Key != key || records[0].Space != viewSpace) {
		t.Fatalf("C1: asked for %q got %v", key, records)
	}
	if len(records) == 0 {
		return bellhop.Record{}
	}
	return records[0]
}

func set(key, value string, expect int64) bellhop.RecordWrite {
	return bellhop.RecordWrite{Space: viewSpace, Key: key, Value: []byte(value), Expect: expect}
}

func keysOf(records []bellhop.Record) (keys []string) {
	for _, r := range records {
		keys = append(keys, r.Key)
	}
	return keys
}

func recordWrite(t *try) {
	t.put(set("k", "1", bellhop.ExpectNone))
	r := t.record("k")
	if string(r.Value) != "1" || r.Version <= 0 || !r.Expires.IsZero() {
		t.Errorf("record is %+v", r)
	}
	t.put(set("k", "2", r.Version))
	if s := t.record("k"); string(s.Value) != "2" || s.Version <= r.Version {
		t.Errorf("C3: record is %+v after %+v", s, r)
	}
	t.put() // nothing
}

func recordPages(t *try) {
	keys := texts("k", 25)
	for _, key := range []int{3, 24, 0, 17} {
		t.put(set(keys[key], "first", bellhop.ExpectAny))
	}
	var writes []bellhop.RecordWrite
	for _, key := range keys {
		writes = append(writes, set(key, key, bellhop.ExpectAny))
	}
	slices.Reverse(writes)
	t.put(writes...)
	t.same("all", keysOf(t.recordsOf(bellhop.RecordQuery{Space: viewSpace})), keys)
	var got []string
	q := bellhop.RecordQuery{Space: viewSpace, Limit: 4}
	for {
		page := keysOf(t.recordsOf(q))
		got = append(got, page...)
		if len(page) < 4 {
			break
		}
		q.After = page[3]
	}
	t.same("pages", got, keys)
	t.same("after a key that is not there", keysOf(t.recordsOf(bellhop.RecordQuery{Space: viewSpace, After: "k0022x"})), keys[23:])
	t.same("by keys", keysOf(t.recordsOf(bellhop.RecordQuery{Space: viewSpace, Keys: []string{keys[9], "none", keys[2]}})), []string{keys[2], keys[9]})
	t.same("another space", t.recordsOf(bellhop.RecordQuery{Space: "other"}), []bellhop.Record(nil))

	writes = nil
	for _, key := range texts("m", 1100) {
		writes = append(writes, set(key, "", bellhop.ExpectAny))
	}
	t.put(writes...)
	t.same("without a limit", len(t.recordsOf(bellhop.RecordQuery{Space: viewSpace})), 1000)
	t.same("with a large limit", len(t.recordsOf(bellhop.RecordQuery{Space: viewSpace, Limit: 2000})), 1125)
}

func recordPrefix(t *try) {
	for _, key := range []string{"a", "a/", "a/b", "a/c", "a0", "A/b", "a%", "a%b", "a_b", "axb", `a\b`, "a*", "a[b]", "ä/b", "a\u00ff", "a\U0010ffff"} {
		t.put(set(key, key, bellhop.ExpectAny))
	}
	for prefix, want := range map[string][]string{
		"a/": {"a/", "a/b", "a/c"}, "a%": {"a%", "a%b"}, "a_": {"a_b"}, `a\`: {`a\b`}, "A": {"A/b"}, "a*": {"a*"}, "a[": {"a[b]"},
		"ä": {"ä/b"}, "a\u00ff": {"a\u00ff"}, "a\U0010ffff": {"a\U0010ffff"}, "none": nil,
	} {
		t.same(fmt.Sprintf("prefix %q", prefix), keysOf(t.recordsOf(bellhop.RecordQuery{Space: viewSpace, Prefix: prefix})), want)
	}
	t.same("prefix and after", keysOf(t.recordsOf(bellhop.RecordQuery{Space: viewSpace, Prefix: "a/", After: "a/b"})), []string{"a/c"})
	t.same("prefix and after a key before it", keysOf(t.recordsOf(bellhop.RecordQuery{Space: viewSpace, Prefix: "a/", After: "A"})), []string{"a/", "a/b", "a/c"})
}

func recordKeys(t *try) {
	keys := []string{"K", "K ", "a", "a ", "ab", "k", "k ", "key with spaces", "z'\"", "é", "日本", "🛎"}
	for _, space := range []string{viewSpace, "Storetest", viewSpace + " "} {
		for _, key := range keys {
			t.put(bellhop.RecordWrite{Space: space, Key: key, Value: []byte(space + key), Expect: bellhop.ExpectNone})
		}
	}
	for _, space := range []string{viewSpace, "Storetest", viewSpace + " "} {
		records := t.recordsOf(bellhop.RecordQuery{Space: space})
		t.same("keys", keysOf(records), keys) // which are in the order of their bytes
		for _, r := range records {
			t.same("value", string(r.Value), space+r.Key)
		}
	}
}

func recordValues(t *try) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for name, value := range map[string][]byte{
		"all bytes": all, "empty": {}, "none": nil, "large": bytes.Repeat(all, 400), "zero": {0}, "spaces": []byte("  x  "),
	} {
		t.put(bellhop.RecordWrite{Space: viewSpace, Key: name, Value: value, Expect: bellhop.ExpectNone})
		if got := t.record(name); !bytes.Equal(got.Value, value) || got.Key != name {
			t.Errorf("G5: the value %s came back as %d other bytes", name, len(got.Value))
		}
	}
}

func recordExpect(t *try) {
	t.put(set("k", "1", bellhop.ExpectAny))
	v := t.record("k").Version
	absent, present := "absent", "k"
	for what, w := range map[string]bellhop.RecordWrite{
		"none, but there":        set(present, "2", bellhop.ExpectNone),
		"an older version":       set(present, "2", v-1),
		"a newer version":        set(present, "2", v+1),
		"a version of nothing":   set(absent, "2", v),
		"check of nothing":       {Space: viewSpace, Key: absent, Expect: v, Check: true},
		"check for none":         {Space: viewSpace, Key: present, Expect: bellhop.ExpectNone, Check: true},
		"delete at another":      {Space: viewSpace, Key: present, Expect: v + 1, Delete: true},
		"delete of nothing":      {Space: viewSpace, Key: absent, Expect: v, Delete: true},
		"delete, expecting none": {Space: viewSpace, Key: present, Expect: bellhop.ExpectNone, Delete: true},
	} {
		t.changesNothing(what, func() error { return t.s.Put(t.ctx, []bellhop.RecordWrite{w}) }, bellhop.ErrConflict)
	}
	before := t.record(present)
	t.put(
		bellhop.RecordWrite{Space: viewSpace, Key: present, Value: []byte("unused"), Expect: v, Check: true},
		bellhop.RecordWrite{Space: viewSpace, Key: absent, Value: []byte("unused"), Expect: bellhop.ExpectNone, Check: true},
		bellhop.RecordWrite{Space: viewSpace, Key: "gone", Expect: bellhop.ExpectAny, Delete: true},
	)
	t.same("record after checks", t.record(present), before)
	t.same("records after checks", len(t.recordsOf(bellhop.RecordQuery{Space: viewSpace})), 1)
	t.put(bellhop.RecordWrite{Space: viewSpace, Key: present, Expect: v, Delete: true})
	t.same("record after deletion", t.record(present), bellhop.Record{})
}

func recordAllOrNone(t *try) {
	t.put(set("a", "1", bellhop.ExpectAny))
	v := t.record("a").Version
	for at := range 3 {
		writes := []bellhop.RecordWrite{set("a", "2", v), set("b", "2", bellhop.ExpectNone), {Space: viewSpace, Key: "c", Expect: bellhop.ExpectAny, Delete: true}}
		bad := set("d", "2", 4711)
		writes = slices.Insert(writes, at, bad)
		t.changesNothing("one of several writes does not fit", func() error { return t.s.Put(t.ctx, writes) }, bellhop.ErrConflict)
	}
	t.put(set("a", "2", v), set("b", "2", bellhop.ExpectNone))
	t.same("records", keysOf(t.recordsOf(bellhop.RecordQuery{Space: viewSpace})), []string{"a", "b"})
}

func recordTwice(t *try) {
	twice := []bellhop.RecordWrite{set("k", "1", bellhop.ExpectAny), set("k", "2", bellhop.ExpectAny)}
	t.changesNothing("a record that is named twice", func() error { return t.s.Put(t.ctx, twice) }, bellhop.ErrInvalid)
	t.changesNothing("with jobs", func() error {
		return second(t.s.Enqueue(t.ctx, &bellhop.EnqueueRequest{Jobs: []*bellhop.Job{t.job()}, Puts: twice}))
	}, bellhop.ErrInvalid)
	other := twice[1]
	other.Space = t.spaceBeside("k")
	t.put(twice[0], other) // one key in two spaces is two records
}

func recordVersions(t *try) {
	seen := map[int64]bool{}
	last := int64(0)
	note := func(what string) {
		t.Helper()
		v := t.record("k").Version
		if v <= last || seen[v] {
			t.Fatalf("C3: %s the version is %d; the highest so far was %d", what, v, last)
		}
		seen[v], last = true, v
	}
	for range 3 {
		t.put(set("k", "1", bellhop.ExpectAny))
		note("after a write")
		t.put(set("k", "1", last)) // the same value
		note("after a write of the same value")
		t.put(bellhop.RecordWrite{Space: viewSpace, Key: "k", Expect: last, Delete: true})
		t.fails("a version of a deleted record", t.s.Put(t.ctx, []bellhop.RecordWrite{set("k", "2", last)}), bellhop.ErrConflict)
		t.advance(1000 * time.Hour)
		t.prune(100)
	}
}

func recordExpiry(t *try) {
	w := set("k", "1", bellhop.ExpectNone)
	w.TTL = time.Minute
	before := t.now()
	t.put(w)
	r := t.record("k")
	t.between("Expires", r.Expires, before.Add(time.Minute), t.now().Add(time.Minute))
	t.advance(30 * time.Second)
	t.put(set("k", "2", r.Version)) // without a TTL it lives on
	t.advance(time.Hour)
	r = t.record("k")
	t.same("value", string(r.Value), "2")
	t.same("Expires", r.Expires, time.Time{})
	w.Expect = r.Version
	t.put(w)
	old := t.record("k").Version
	t.advance(2 * time.Minute)
	t.same("expired", t.record("k"), bellhop.Record{})
	t.same("expired, by prefix", t.recordsOf(bellhop.RecordQuery{Space: viewSpace}), []bellhop.Record(nil))
	// An expired record is no record, pruned or not.
	t.fails("a version that has expired", t.s.Put(t.ctx, []bellhop.RecordWrite{set("k", "3", old)}), bellhop.ErrConflict)
	t.put(set("k", "3", bellhop.ExpectNone))
	if v := t.record("k").Version; v <= old {
		t.Errorf("C3: after the expiry the version is %d; it was %d", v, old)
	}
}

func recordReopen(t *try) {
	t.put(set("a", "1", bellhop.ExpectAny), set("b", "2", bellhop.ExpectAny))
	t.put(bellhop.RecordWrite{Space: viewSpace, Key: "b", Expect: bellhop.ExpectAny, Delete: true})
	r := t.record("a")
	t.s = t.h.Reopen(t, t.s)
	t.same("records", t.recordsOf(bellhop.RecordQuery{Space: viewSpace}), []bellhop.Record{r})
	t.put(set("a", "2", r.Version))
	if v := t.record("a").Version; v <= r.Version {
		t.Errorf("C3: the version is %d; it was %d", v, r.Version)
	}
}

// recordRace: many callers raise one counter by compare and set, each until it
// has been let through five times. No raise is lost.
func recordRace(t *try) {
	const callers, raises = 8, 5
	t.put(set("counter", "", bellhop.ExpectNone))
	var team crew
	var conflicts atomic.Int64
	for range callers {
		team.Go("writer", func() error {
			for done := 0; done < raises; {
				records, err := t.s.Records(t.ctx, &bellhop.RecordQuery{Space: viewSpace, Keys: []string{"counter"}})
				if err != nil {
					return err
				}
				err = t.s.Put(t.ctx, []bellhop.RecordWrite{set("counter", string(records[0].Value)+"+", records[0].Version)})
				switch errorKind(err) {
				case "":
					done++
				case bellhop.ErrConflict.Error():
					conflicts.Add(1)
				default:
					return err
				}
			}
			return nil
		})
	}
	team.wait(t)
	if n := len(t.record("counter").Value); n != callers*raises {
		t.Errorf("C2: %d raises were let through and %d are there (%d conflicts)", callers*raises, n, conflicts.Load())
	}
}
