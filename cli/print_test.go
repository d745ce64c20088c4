package cli

import (
	"bytes"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestTextWidth(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "mail": 4, "Grüße": 5, "u\u0308ber": 4, "注文": 4, "ok 注文": 7, "café": 4, "\u200b": 0, "😀": 2,
	} {
		if got := textWidth(text); got != want {
			t.Errorf("textWidth(%q) = %d, want %d", text, got, want)
		}
	}
}

func TestCutText(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int
		want string
	}{
		{"order", 5, "order"}, {"orders", 5, "orde…"}, {"an order", 4, "an…"}, {"注文注文", 5, "注文…"}, {"注文注文", 4, "注…"}, {"ab", 1, "…"},
	} {
		got := cutText(c.text, c.n)
		if got != c.want || textWidth(got) > c.n {
			t.Errorf("cutText(%q, %d) = %q, want %q", c.text, c.n, got, c.want)
		}
	}
}

// No line of a table is wider than the terminal while there is something left to cut or to leave out.
func TestTableFits(t *testing.T) {
	for columns := 20; columns < 200; columns++ {
		var out bytes.Buffer
		table := table{columns: []column{{title: "ID"}, {title: "KIND", least: 8}, {title: "QUEUE", least: 5, drop: 1}, {title: "NOTE", least: 10, drop: 2}}}
		table.add(cell{text: "0198"}, cell{text: "mail.welcome.注文"}, cell{text: "default-queue"}, cell{text: strings.Repeat("why ", 30)})
		table.print(stream{Writer: &out, width: columns})
		for line := range strings.Lines(out.String()) {
			if line = strings.TrimSuffix(line, "\n"); textWidth(line) > columns || strings.HasSuffix(line, " ") {
				t.Fatalf("at %d columns the line %q has %d", columns, line, textWidth(line))
			}
		}
	}
}

func TestMask(t *testing.T) {
	a := &app{}
	a.hideAddress("postgres://anna:p%40ss%2Fword@db.example.org/jobs")
	a.hide("t0ken")
	a.hide("")
	for text, want := range map[string]string{
		"cannot reach postgres://anna:p%40ss%2Fword@db/jobs":  "cannot reach postgres://anna:xxxxx@db/jobs",
		"login of anna with p@ss/word failed":                 "login of anna with xxxxx failed",
		"open redis://:s3cret@cache:6379/0: refused":          "open redis://:xxxxx@cache:6379/0: refused",
		"the header Authorization: Bearer t0ken":              "the header Authorization: Bearer xxxxx",
		"see https://example.org/a:b@c and mail anna@example": "see https://example.org/a:b@c and mail anna@example",
	} {
		if got := a.mask(text); got != want {
			t.Errorf("mask(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestOnlyMigrating(t *testing.T) {
	for address, want := range map[string]string{
		"memory:":                               "memory:",
		"memory://":                             "memory://",
		"sqlite:jobs.db":                        "sqlite:jobs.db?migrate=only",
		"sqlite:jobs.db?migrate=off&readers=2":  "sqlite:jobs.db?migrate=only&readers=2",
		"postgres://anna:x@db/jobs?sslmode=off": "postgres://anna:x@db/jobs?migrate=only&sslmode=off",
	} {
		if got := onlyMigrating(address); got != want {
			t.Errorf("onlyMigrating(%q) = %q, want %q", address, got, want)
		}
	}
}

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	onTerminal := &progress{err: stream{Writer: &out, tty: true, width: 24}}
	onTerminal.say("%d of 10 jobs retried, and many more", 3)
	onTerminal.say("9 of 10\njobs")
	onTerminal.end()
	if want := "\r\x1b[K3 of 10 jobs retried,…\r\x1b[K9 of 10; jobs\r\x1b[K"; out.String() != want {
		t.Errorf("on a terminal: %q, want %q", out.String(), want)
	}
	out.Reset()
	elsewhere := &progress{err: stream{Writer: &out}, every: time.Hour, last: time.Now().Add(-2 * time.Hour)}
	elsewhere.say("3 of 10")
	elsewhere.say("4 of 10") // too soon
	elsewhere.end()
	if want := "3 of 10\n"; out.String() != want {
		t.Errorf("elsewhere: %q, want %q", out.String(), want)
	}
}

func TestTimesForPeople(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		0: "now", 999 * time.Millisecond: "now", -time.Second: "1s ago", 99 * time.Second: "in 99s", 100 * time.Second: "in 1m",
		-99 * time.Minute: "99m ago", 100 * time.Minute: "in 1h", 47 * time.Hour: "in 47h", 48 * time.Hour: "in 2d", -1000 * 24 * time.Hour: "2y ago",
	} {
		if got := (clockwork{now: now}).at(now.Add(d)); got != want {
			t.Errorf("at %v from now it says %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", 10_000: "10,000"} {
		if got := number(n); got != want {
			t.Errorf("number(%d) = %q, want %q", n, got, want)
		}
	}
}

// A script must not take half an answer for a whole one: if the standard output refuses, the command fails.
func TestOutputThatFails(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"explain"}, {"explain", "stale"}, {"enqueue", "foo", "--store", "sqlite:" + filepath.Join(t.TempDir(), "jobs.db")}} {
		var said bytes.Buffer
		code := Main(t.Context(), args, func(string) string { return "" }, nil, fullDisk{}, &said)
		if code != exitFailed || !strings.Contains(said.String(), "standard output did not take all of the answer: no space left") {
			t.Errorf("%q: exit code %d, %s", args, code, &said)
		}
	}
}

// fullDisk is where nothing can be written.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }
