package bellhop

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestCleanText(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", ""},
		{"plain", "connection refused\n\tat 127.0.0.1", "connection refused\n\tat 127.0.0.1"},
		{"all scripts", "añ→日本🎉\u200d\u00a0\u200f", "añ→日本🎉\u200d\u00a0\u200f"},
		{"turned text", "user\u202egpj.exe\u2066x\u2069", "usergpj.exex"},
		{"replacement character stays", "a\uFFFDb", "a\uFFFDb"},
		{"NUL", "a\x00b\x00", "ab"},
		{"carriage return", "a\r\nb\rc", "a\nbc"},
		{"C0 and DEL", "a\x01\x07\x08\x0b\x0c\x1fb\x7f", "ab"},
		{"C1", "a\u0080\u0085\u009fb", "ab"},
		{"one bad byte", "a\xffb", "a\uFFFDb"},
		{"a run of bad bytes", "a\xff\xfe\xfdb\xff", "a\uFFFDb\uFFFD"},
		{"cut rune", "a\xe2\x82", "a\uFFFD"},
		{"raw surrogate", "\xed\xa0\x80", "\uFFFD"},
		{"overlong NUL", "a\xc0\x80b", "a\uFFFDb"},
		{"raw C1 byte", "a\x9b31mb", "a\uFFFD31mb"},
		{"colour", "\x1b[1;31mred\x1b[0m!", "red!"},
		{"CSI as one character", "\u009b31mred", "red"},
		{"CSI without an end", "a\x1b[31", "a"},
		{"CSI with a bad final byte", "a\x1b[31\nb", "a\nb"},
		{"cursor and clear", "a\x1b[2J\x1b[H\x1b[?25l\x1b[>0q\x1b[ qb", "ab"},
		{"title, BEL", "a\x1b]0;owned\x07b", "ab"},
		{"link, ST", "\x1b]8;;http://x\x1b\\text\x1b]8;;\x1b\\", "text"},
		{"link, C1 ST", "\u009d8;;x\u009ctext", "text"},
		{"DCS, SOS, PM, APC", "\x1bPq\x1b\\a\x1bXs\x1b\\b\x1b^p\x1b\\c\x1b_a\x1b\\d", "abcd"},
		{"title without an end hides nothing", "a\x1b]0;password wrong", "a0;password wrong"},
		{"title broken off by a line", "a\x1b]0;x\nb\x07c", "a0;x\nbc"},
		{"title broken off by colour", "\x1b]0;x\x1b[1my\x07", "0;xy"},
		{"bad byte within a title", "\x1b]0;\xff\x07b", "b"},
		{"character set", "a\x1b(Bb\x1b#8c", "abc"},
		{"reset", "a\x1bcb", "ab"},
		{"lone ESC", "a\x1b", "a"},
		{"ESC before a line", "a\x1b\nb", "a\nb"},
		{"ESC ESC", "a\x1b\x1b[31mb", "ab"},
		{"ESC before a letter of another script", "a\x1béb", "aéb"},
		{"no new sequence from the remains", "\x1b\x1b[m[31mx", "[31mx"},
		{"no new rune from the remains", "\xe2\x1b[m\x82\xac", "\uFFFD\uFFFD"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := CleanText(c.in, 1000); got != c.want {
				t.Errorf("CleanText(%q) = %q, want %q", c.in, got, c.want)
			}
		})
	}
}

func TestCleanTextCuts(t *testing.T) {
	digits := strings.Repeat("0123456789", 10)
	for _, c := range []struct {
		in   string
		max  int
		want string
	}{
		{digits, 100, digits},
		{digits, 99, digits[:80] + "… (20 bytes cut)"}, // room for three digits is kept,
		{digits, 30, digits[:11] + "… (89 bytes cut)"},
		{digits, 20, "0… (99 bytes cut)"},
		{digits, 19, "… (100 bytes cut)"},
		{digits, 18, digits[:18]},
		{digits, 17, digits[:17]},
		{digits, 1, "0"},
		{digits, 0, ""},
		{digits, -1, ""},
		{strings.Repeat("日", 20), 40, strings.Repeat("日", 7) + "… (39 bytes cut)"},
		{strings.Repeat("日", 20), 5, "日"},
		{strings.Repeat("日", 20), 2, ""},
		{strings.Repeat("\x00", 100) + "abc", 3, "abc"},
		{strings.Repeat("a\x00", 50), 50, strings.Repeat("a", 50)},
		{strings.Repeat("a\x00", 50), 40, strings.Repeat("a", 22) + "… (28 bytes cut)"},
		{strings.Repeat("\xffa", 25), 40, strings.Repeat("\uFFFDa", 5) + "… (80 bytes cut)"},
		{"a\xffb", 3, "a"},
	} {
		if got := CleanText(c.in, c.max); got != c.want {
			t.Errorf("CleanText(%.40q, %d)\n got %q (%d bytes)\nwant %q (%d bytes)", c.in, c.max, got, len(got), c.want, len(c.want))
		}
	}
}

// TestCleanTextIsLinear feeds the openings that would make a look ahead start again and again, at a size where
// quadratic time would take hours.
func TestCleanTextIsLinear(t *testing.T) {
	for _, opening := range []string{"\x1b]", "\x1b[", "\x1bP0", "\u009d", "\x1b", "\xff", "\xe2\x82", "\x1b(", "\x1b]\x1b[1"} {
		in := strings.Repeat(opening, 10<<20/len(opening)) + strings.Repeat("x", 1<<20)
		if got := CleanText(in, MaxErrorText); len(got) > MaxErrorText || !utf8.ValidString(got) {
			t.Errorf("%q: %d bytes", opening, len(got))
		}
	}
}

func FuzzCleanText(f *testing.F) {
	for _, s := range []string{
		"plain", "a\x00b", "\xff\xfe", "\x1b[31mred\x1b[0m", "\x1b]0;t\x07x", "\u009b1mx", "日本\xe2", "\x1b\x1b[m[31mx", "\x1b]0;\x1b\\",
	} {
		f.Add(s, 20)
		f.Add(s, 1000)
	}
	f.Fuzz(func(t *testing.T, s string, max int) {
		got := CleanText(s, max)
		if len(got) > 0 && len(got) > max {
			t.Fatalf("%d bytes, at most %d allowed", len(got), max)
		}
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
			t.Fatalf("not clean: %q", got)
		}
		if again := CleanText(got, max); again != got {
			t.Fatalf("again: %q became %q", got, again)
		}
		if harmless(s) && len(s) <= max && got != s {
			t.Fatalf("clean text %q became %q", s, got)
		}
		full := CleanText(s, 3*len(s)+1)
		for _, r := range full { // nothing is invented, nothing but the bad is lost
			if r != utf8.RuneError && !strings.ContainsRune(s, r) {
				t.Fatalf("%q is not in %q", r, s)
			}
		}
		if max <= 0 || len(full) <= max {
			return
		}
		if !strings.Contains(got, "bytes cut)") {
			if max > 40 || !strings.HasPrefix(full, got) {
				t.Fatalf("no mark in %q", got)
			}
			return
		}
		kept := got[:strings.LastIndex(got, "… (")]
		if mark := fmt.Sprintf("… (%d bytes cut)", len(full)-len(kept)); !strings.HasPrefix(full, kept) || kept+mark != got {
			t.Fatalf("%q cut to %q", full, got)
		}
	})
}

// harmless tells, without the code under test, whether s may stay as it is.
func harmless(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) < 0
}

func TestCleanTextAllocations(t *testing.T) {
	text := strings.Repeat("dial tcp 127.0.0.1:5432: connection refused — retry\n", 20)
	if n := testing.AllocsPerRun(1000, func() { CleanText(text, MaxErrorText) }); n != 0 {
		t.Errorf("clean text: %v allocations", n)
	}
}

func BenchmarkCleanText(b *testing.B) {
	plain := strings.Repeat("dial tcp 127.0.0.1:5432: connection refused\n", 50)
	for name, text := range map[string]string{
		"clean":  plain,
		"long":   strings.Repeat(plain, 500),
		"colour": strings.ReplaceAll(plain, "tcp", "\x1b[31mtcp\x1b[0m"),
		"noise":  strings.Repeat("\xff\x00\x1b]0;x", 500),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				CleanText(text, MaxErrorText)
			}
		})
	}
}
