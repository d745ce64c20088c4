package redis_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
)

// A failure stays a failure, and none none, whatever texts it has and with a log or without.
func TestFailuresAndLogs(t *testing.T) {
	s := newStore(t, testservers.Redis(t).Address)
	p := process(t, s)
	for _, failure := range []*bellhop.Failure{nil, {}, {Class: "c"}, {Message: "m"}, {Stack: "s"}, {Class: "c", Message: "m", Stack: "s"}} {
		for _, log := range [][]byte{nil, []byte(`{"lines":[]}`)} {
			enqueue(t, s, testJobs(1)...)
			c := claim(t, s, p, 1)[0]
			o := bellhop.Outcome{
				Token: c.Token, Kind: bellhop.OutcomeRetry, Attempt: 1, Number: 1, Started: c.Place.ClaimedAt, Ended: c.Place.ClaimedAt, Failures: 1,
				Failure: failure, Log: log, Wait: 1 << 50,
			}
			if _, err := s.Exchange(t.Context(), request(p, 0, o)); err != nil {
				t.Fatal(err)
			}
			found, err := s.Get(t.Context(), []bellhop.ID{c.Token.JobID})
			if err != nil || len(found) != 1 || len(found[0].History) != 1 {
				t.Fatalf("%+v, %v", found, err)
			}
			if a := found[0].History[0]; !cmp.Equal(a.Failure, failure) || !bytes.Equal(a.Log, log) {
				t.Errorf("of %+v and the log %q there is %+v and %q", failure, log, a.Failure, a.Log)
			}
			l, err := s.List(t.Context(), &bellhop.Query{WithLast: true, Limit: 1})
			if err != nil || len(l.Jobs) != 1 || len(l.Jobs[0].History) != 1 {
				t.Fatalf("of %+v and the log %q a listing has %+v, %v", failure, log, l, err)
			}
			if a := l.Jobs[0].History[0]; !cmp.Equal(a.Failure, failure) || a.Log != nil {
				t.Errorf("of %+v and the log %q a listing tells %+v and %q, want no log", failure, log, a.Failure, a.Log)
			}
		}
	}
}

// Records come as they are, whatever their sizes and their number: what a script packs has lengths of four forms, and lists of three.
func TestRecordsOfAllSizes(t *testing.T) {
	s := newStore(t, testservers.Redis(t).Address)
	for i, size := range []int{0, 1, 14, 15, 16, 239, 240, 241, 65_519, 65_520, 65_521, 1 << 20} { // and 16 bytes of version and expiry
		value := bytes.Repeat([]byte{byte(i), 0xdb, '\n'}, size/3+1)[:size]
		write := bellhop.RecordWrite{Space: "size", Key: fmt.Sprintf("%02d", i), Value: value, Expect: bellhop.ExpectAny}
		if err := s.Put(t.Context(), []bellhop.RecordWrite{write}); err != nil {
			t.Fatal(err)
		}
		records, err := s.Records(t.Context(), &bellhop.RecordQuery{Space: "size"})
		if err != nil || len(records) != i+1 || records[i].Key != fmt.Sprintf("%02d", i) || !bytes.Equal(records[i].Value, value) {
			t.Errorf("with a record of %d bytes there are %d records, %v; want %d", size, len(records), err, i+1)
		}
	}
	const most = 1<<15 + 1
	c, base := client(t, openingOf(s).address), "{bellhop:"+openingOf(s).namespace+"}:"
	var values []any // put one by one they take seconds
	var keys []goredis.Z
	for i := range most {
		key := fmt.Sprintf("%05d", i)
		values, keys = append(values, key, string(make([]byte, 16))+"v"), append(keys, goredis.Z{Member: key})
	}
	if err := errors.Join(c.HSet(t.Context(), base+"records|many", values...).Err(), c.ZAdd(t.Context(), base+"recordkeys|many", keys...).Err()); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 7, 8, 1<<15 - 1, 1 << 15, most} {
		records, err := s.Records(t.Context(), &bellhop.RecordQuery{Space: "many", Limit: n})
		if err != nil || len(records) != n || records[n-1].Key != fmt.Sprintf("%05d", n-1) || string(records[n-1].Value) != "v" {
			t.Errorf("of %d records %d were read, %v", n, len(records), err)
		}
	}
	if records, err := s.Records(t.Context(), &bellhop.RecordQuery{Space: "none"}); err != nil || len(records) > 0 {
		t.Errorf("in an empty space there are %d records, %v", len(records), err)
	}
}
