package outbox

import (
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gobellhop/bellhop"
)

var update = flag.Bool("update", false, "write testdata anew; a format that was released must not change")

// fullJob has every field set that an enqueue can set.
func fullJob() *bellhop.Job {
	return &bellhop.Job{
		ID: bellhop.IDFromKey("format", "full"), Kind: "mail.welcome", Queue: "mail", Priority: -3, Args: []byte(` {"user":42} `),
		RunAt: time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC), Attempts: 7, Timeout: 90 * time.Second, Retention: bellhop.Forever,
		UniqueKey: "mail.welcome key Ömer 💡 <a&b>", Tags: []string{"a", "b"}, Meta: map[string]string{"tenant": "日本", "a": "\u0001\"\\"},
	}
}

// The format is frozen: what an earlier release has written, a later one reads, and writes the same way.
func TestFormatIsFrozen(t *testing.T) {
	epoch := fullJob()
	epoch.RunAt = time.Unix(0, 0).UTC()
	delayed := fullJob()
	delayed.RunAt, delayed.Delay = time.Time{}, 1500*time.Millisecond
	small := &bellhop.Job{ID: fullJob().ID, Kind: "k", Queue: "default", Args: []byte("null"), Attempts: 25}
	var lines []string
	for _, j := range []*bellhop.Job{small, fullJob(), epoch, delayed} {
		text, err := encode(j)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, text)
		for _, c := range text {
			if c < ' ' || c > '~' {
				t.Errorf("%q in the text: not printable ASCII", c)
			}
		}
		back, err := decode(j.ID.String(), 1, text, j.Args)
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(j, back); diff != "" {
			t.Errorf("after a round trip (-want +got):\n%s", diff)
		}
	}
	const file = "testdata/format1.jsonl"
	got := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the format has changed (-want +got): rows of the old one may wait in somebody's database, so make a new number:\n%s", diff)
	}
}

// A field that jobs have gained must be carried, or it is lost on the way.
func TestFormatCarriesEveryField(t *testing.T) {
	full := reflect.ValueOf(*fullJob())
	for i := range full.NumField() {
		switch name := full.Type().Field(i).Name; name {
		case "EnqueuedAt": // the store's
		case "Delay": // shuts out RunAt; TestFormatIsFrozen carries it
		default:
			if full.Field(i).IsZero() {
				t.Errorf("Job.%s is not in the test, and so perhaps not in the format", name)
			}
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	good, err := encode(fullJob())
	if err != nil {
		t.Fatal(err)
	}
	id := fullJob().ID.String()
	for _, c := range []struct {
		name, id, text, args string
		format               int
		want                 string
	}{
		{"a later format", id, good, "1", 2, "of a later format"},
		{"no format", id, good, "1", 0, "no format 0"},
		{"no JSON", id, "{", "1", 1, "not readable"},
		{"more than JSON", id, good + "{}", "1", 1, "behind its end"},
		{"an unknown member", id, strings.Replace(good, `"kind"`, `"colour":1,"kind"`, 1), "1", 1, "colour"},
		{"no id", "x", good, "1", 1, "not an id"},
		{"the zero id", bellhop.ID{}.String(), good, "1", 1, "zero"},
		{"arguments", id, good, "\xff", 1, "arguments"},
		{"large arguments", id, good, `"` + strings.Repeat("x", bellhop.MaxArgs) + `"`, 1, "more than the limit"},
		{"kind", id, strings.Replace(good, "mail.welcome", "", 1), "1", 1, "kind"},
		{"queue", id, strings.Replace(good, `"queue":"mail"`, `"queue":"a b"`, 1), "1", 1, "queue"},
		{"priority", id, strings.Replace(good, `"priority":-3`, `"priority":-30`, 1), "1", 1, "priority"},
		{"attempts", id, strings.Replace(good, `"attempts":7`, `"attempts":0`, 1), "1", 1, "attempts"},
		{"timeout", id, strings.Replace(good, `"timeout":9`, `"timeout":-9`, 1), "1", 1, "negative"},
		{"run-at and delay", id, strings.Replace(good, `"attempts"`, `"delay":1,"attempts"`, 1), "1", 1, "both set"},
		{"tags", id, strings.Replace(good, `["a","b"]`, `["b","a"]`, 1), "1", 1, "not sorted"},
		{"a tag", id, strings.Replace(good, `["a","b"]`, `["a "]`, 1), "1", 1, "tag"},
		{"unique key", id, strings.Replace(good, "mail.welcome key", strings.Repeat("x", 600), 1), "1", 1, "unique key"},
		{"metadata", id, strings.Replace(good, `"tenant"`, `"a b"`, 1), "1", 1, "metadata key"},
		{"much metadata", id, strings.Replace(good, `\u65e5`, strings.Repeat("x", 9000), 1), "1", 1, "bytes of metadata"},
		{"metadata with NUL", id, strings.Replace(good, `\u65e5`, `\u0000`, 1), "1", 1, ""},
	} {
		if _, err := decode(c.id, c.format, c.text, []byte(c.args)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestBatchNamesRows(t *testing.T) {
	rows := []row{{seq: 3, id: "a"}, {seq: 4, id: "b"}, {seq: 900, id: "c"}}
	b := batchOf(rows, "me")
	other := batchOf(rows, "me")
	if !b.same(&other) {
		t.Error("not the same as itself")
	}
	other = batchOf(rows, "you")
	if b.same(&other) {
		t.Error("the same as another relay's")
	}
	numbers := b.numbers()
	if len(numbers) != 3 || numbers[900] != [4]byte(mark("c")) || numbers[4] != [4]byte(mark("b")) {
		t.Errorf("%v", numbers)
	}
	b.Marks = b.Marks[:5] // a damaged record names less, not more
	if len(b.numbers()) != 1 {
		t.Errorf("%v", b.numbers())
	}
}

func TestBites(t *testing.T) {
	for _, n := range []int{0, 1, 2, 10, 11, 99, 100, 101, 499, 500, 501, 1733} {
		seqs := make([]int64, n)
		for i := range seqs {
			seqs[i] = int64(i)
		}
		seen := map[int64]bool{}
		err := eachBite(seqs, func(n int, args []any) error {
			if n != len(args) {
				t.Errorf("%d arguments for %d", len(args), n)
			}
			for _, a := range args {
				seen[a.(int64)] = true
			}
			return nil
		})
		if err != nil || len(seen) != n {
			t.Errorf("%d of %d numbers, %v", len(seen), n, err)
		}
	}
}
