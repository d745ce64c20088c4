package bellhop

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestNewIDIsAUUIDv7OfNow(t *testing.T) {
	before := time.Now().Truncate(time.Millisecond)
	id := new(idGenerator).next(time.Now())
	after := time.Now()
	made, ok := id.Time()
	if !ok || made.Before(before) || made.After(after) {
		t.Errorf("Time() = %v, %v; want a time from %v to %v", made, ok, before, after)
	}
	if text := id.String(); text[14] != '7' || !strings.ContainsRune("89ab", rune(text[19])) {
		t.Errorf("%s has not the version and variant of a UUIDv7", text)
	}
}

func TestIDLayout(t *testing.T) {
	// Half a millisecond is 0x800 of the 0x1000 fractions in rand_a.
	id := new(idGenerator).next(time.UnixMilli(0x0123456789ab).Add(500 * time.Microsecond))
	if got := id.String()[:19]; got != "01234567-89ab-7800-" {
		t.Errorf("id begins with %s", got)
	}
	if id := new(idGenerator).next(time.Unix(-5, 0)); !strings.HasPrefix(id.String(), "00000000-0000-7000-") {
		t.Errorf("before 1970: %s", id)
	}
}

func TestNewIDRisesWhateverTheClockDoes(t *testing.T) {
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	clocks := map[string]func(i int) time.Time{
		"stands still":   func(int) time.Time { return start },
		"runs backward":  func(i int) time.Time { return start.Add(-time.Duration(i) * time.Second) },
		"by nanoseconds": func(i int) time.Time { return start.Add(time.Duration(i)) },
		"by ticks":       func(i int) time.Time { return start.Add(time.Duration(i) * 250) },
	}
	for name, clock := range clocks {
		t.Run(name, func(t *testing.T) {
			var g idGenerator
			last := ID{}
			for i := range 20_000 {
				id := g.next(clock(i))
				if id.Compare(last) <= 0 || id.String() <= last.String() {
					t.Fatalf("id %d: %s does not follow %s", i, id, last)
				}
				last = id
			}
			if name == "stands still" {
				if made, _ := last.Time(); !made.Equal(start) {
					t.Errorf("the time in the ids ran ahead of the clock: %v", made)
				}
			}
		})
	}
}

func TestNewIDRisesOverTheEndOfTheCounter(t *testing.T) {
	now := time.Now()
	var g idGenerator
	first := g.next(now)
	g.tail = idTailMask
	second := g.next(now)
	if second.Compare(first) <= 0 || g.tail > idTailMask {
		t.Errorf("%s does not follow %s", second, first)
	}
	if second[6]>>4 != 7 || second[8]>>6 != 2 {
		t.Errorf("%s is no UUIDv7", second)
	}
}

func TestNewIDFromManyGoroutines(t *testing.T) {
	const goroutines, each = 16, 4000
	ids := make([][]ID, goroutines)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			for range each {
				ids[i] = append(ids[i], NewID())
			}
		})
	}
	wg.Wait()
	seen := make(map[ID]bool, goroutines*each)
	for _, own := range ids {
		if !slices.IsSortedFunc(own, ID.Compare) {
			t.Error("the ids of one goroutine do not rise")
		}
		for _, id := range own {
			seen[id] = true
		}
	}
	if len(seen) != goroutines*each {
		t.Errorf("%d different ids, want %d", len(seen), goroutines*each)
	}
}

func TestParseID(t *testing.T) {
	const text = "019c7e5a-4d1b-7c3e-9f00-1a2b3c4d5e6f"
	want := ID{0x01, 0x9c, 0x7e, 0x5a, 0x4d, 0x1b, 0x7c, 0x3e, 0x9f, 0, 0x1a, 0x2b, 0x3c, 0x4d, 0x5e, 0x6f}
	for _, good := range []string{text, strings.ToUpper(text), "019C7e5a-4d1B-7c3e-9f00-1a2b3c4d5e6F"} {
		id, err := ParseID(good)
		if err != nil || id != want || id.String() != text {
			t.Errorf("ParseID(%q) = %v, %v", good, id, err)
		}
	}
	if id, err := ParseID("00000000-0000-0000-0000-000000000000"); err != nil || !id.IsZero() {
		t.Errorf("the zero id: %v, %v", id, err)
	}
	bad := []string{
		"", "x", text + " ", " " + text[:35], text[:35], text + "0", "{" + text + "}", "urn:uuid:" + text,
		strings.ReplaceAll(text, "-", ""), strings.ReplaceAll(text, "-", "_"), text[:35] + "g", text[:35] + "\x00",
		"019c7e5a4-d1b-7c3e-9f00-1a2b3c4d5e6f", "-19c7e5a-4d1b-7c3e-9f00-1a2b3c4d5e6f",
		"019c7e5a-4d1b-7c3e-9f00-1a2b3c4d5eé", strings.Repeat("a", 1<<20), "a\nb",
	}
	for _, s := range bad {
		id, err := ParseID(s)
		if !errors.Is(err, ErrBadID) || !id.IsZero() {
			t.Errorf("ParseID(%.50q) = %v, %v", s, id, err)
			continue
		}
		if text := err.Error(); len(text) > 300 || strings.Contains(text, "\n") {
			t.Errorf("the error is not one short line: %q", text)
		}
	}
}

func TestIDAsText(t *testing.T) {
	id := NewID()
	type box struct {
		ID  ID
		Map map[ID]int
	}
	data, err := json.Marshal(box{id, map[ID]int{id: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"ID":"` + id.String() + `","Map":{"` + id.String() + `":1}}`; string(data) != want {
		t.Errorf("encoded as %s, want %s", data, want)
	}
	var back box
	if err := json.Unmarshal(data, &back); err != nil || back.ID != id || back.Map[id] != 1 {
		t.Errorf("decoded as %v, %v", back, err)
	}
	keep := id
	if err := keep.UnmarshalText([]byte("nonsense")); !errors.Is(err, ErrBadID) || keep != id {
		t.Errorf("UnmarshalText: %v, %v", keep, err)
	}
}

func TestIDTimeOfOtherVersions(t *testing.T) {
	for _, text := range []string{
		"00000000-0000-0000-0000-000000000000", "f81d4fae-7dec-41d0-a765-00a0c91e6bf6",
		"019c7e5a-4d1b-8c3e-9f00-1a2b3c4d5e6f", "019c7e5a-4d1b-7c3e-cf00-1a2b3c4d5e6f",
	} {
		id, err := ParseID(text)
		if err != nil {
			t.Fatal(err)
		}
		if made, ok := id.Time(); ok {
			t.Errorf("%s: Time() = %v, true", text, made)
		}
	}
	id, _ := ParseID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f") // the example of RFC 9562, A.6
	if made, ok := id.Time(); !ok || !made.Equal(time.Date(2022, 2, 22, 19, 22, 22, 0, time.UTC)) {
		t.Errorf("Time() = %v, %v", made, ok)
	}
}

func TestIDFromKey(t *testing.T) {
	// The first digits of `printf '\0\0\0\0\0\0\0\1a\0\0\0\0\0\0\0\2bc' | sha256sum`, with version and variant set.
	// Ids of this kind are stored, so the result must stay the same for ever.
	if got := IDFromKey("a", "bc").String(); got != "3fafa1cf-2f19-87c1-929b-eb20cf0983f7" {
		t.Errorf("IDFromKey = %s", got)
	}
	seen := map[ID][2]string{}
	for _, pair := range [][2]string{
		{"", ""},
		{"a", ""},
		{"", "a"},
		{"ab", "c"},
		{"a", "bc"},
		{"abc", ""},
		{"a\x00", "bc"},
		{"a", "\x00bc"},
		{"a", "BC"},
		{strings.Repeat("x", 4096), "y"},
		{"x", strings.Repeat("y", 4096)},
		{"\xff", "\xfe"},
	} {
		id := IDFromKey(pair[0], pair[1])
		if other, taken := seen[id]; taken {
			t.Errorf("%q and %q have the same id", pair, other)
		}
		seen[id] = pair
		if id[6]>>4 != 8 || id[8]>>6 != 2 || id != IDFromKey(pair[0], pair[1]) {
			t.Errorf("%q: %s is no UUIDv8, or changes", pair, id)
		}
	}
}

func TestIDAllocations(t *testing.T) {
	id, text, buffer := NewID(), NewID().String(), make([]byte, 0, 36)
	for name, f := range map[string]func(){
		"NewID":      func() { NewID() },
		"ParseID":    func() { ParseID(text) },
		"AppendText": func() { id.AppendText(buffer) },
		"IDFromKey":  func() { IDFromKey("space", text) },
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("019c7e5a-4d1b-7c3e-9f00-1a2b3c4d5e6f")
	f.Add("019C7E5A-4D1B-7C3E-9F00-1A2B3C4D5E6F")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseID(s); err == nil && !strings.EqualFold(id.String(), s) {
			t.Errorf("%q became %s", s, id)
		}
	})
}

func BenchmarkNewID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		NewID()
	}
}

func BenchmarkNewIDParallel(b *testing.B) {
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			NewID()
		}
	})
}

func BenchmarkParseID(b *testing.B) {
	text := NewID().String()
	b.ReportAllocs()
	for b.Loop() {
		ParseID(text)
	}
}

func BenchmarkIDFromKey(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		IDFromKey("tenant-1", "order-4711-charge")
	}
}
