package bellhop

import (
	"strings"
	"testing"
)

func TestCheckName(t *testing.T) {
	for _, good := range []string{
		"a", "Z", "0", "mail.welcome", "default", "a-b_c.d:e/f", "2fa", "a.", "a..b", strings.Repeat("x", 128),
	} {
		if err := CheckName("queue", good); err != nil {
			t.Errorf("CheckName(%q) = %v", good, err)
		}
	}
	const rule = "; use letters, digits and . _ - : /"
	long := strings.Repeat("é", 200)
	for _, bad := range []struct{ name, want string }{
		{"a b", `queue "a b": character ' ' at position 2 is not allowed` + rule},
		{"", `queue "": empty` + rule + `, 1 to 128 of them`},
		{"-a", `queue "-a": must begin with a letter or a digit`},
		{"..", `queue "..": must begin with a letter or a digit`},
		{"/a", `queue "/a": must begin with a letter or a digit`},
		{" a", `queue " a": character ' ' at position 1 is not allowed` + rule},
		{"a\n", `queue "a\n": character '\n' at position 2 is not allowed` + rule},
		{"ab\x00", `queue "ab\x00": character '\x00' at position 3 is not allowed` + rule},
		{"a\xff", `queue "a\xff": byte 0xff at position 2 is not allowed` + rule},
		{"a\x1b[31m", `queue "a\x1b[31m": character '\x1b' at position 2 is not allowed` + rule},
		{"mañana", `queue "mañana": character 'ñ' at position 3 is not allowed` + rule},
		{"a\u202eb", `queue "a\u202eb": character '\u202e' at position 2 is not allowed` + rule},
		{"а", `queue "а": character 'а' at position 1 is not allowed` + rule}, // Cyrillic
		{strings.Repeat("x", 129), `queue "` + strings.Repeat("x", 64) + `"…: 129 bytes long; at most 128 are allowed`},
		{long, `queue "` + long[:64] + `"…: 400 bytes long; at most 128 are allowed`},
		{strings.Repeat("x", 63) + "é!", `queue "` + strings.Repeat("x", 63) + `"…: character 'é' at position 64 is not allowed` + rule},
	} {
		err := CheckName("queue", bad.name)
		if err == nil || err.Error() != bad.want {
			t.Errorf("CheckName(%q)\n got %v\nwant %s", bad.name, err, bad.want)
		}
	}
	for _, c := range `"'<>&,*%{}[]()|\;$#?=!~^` + "`@+" {
		if CheckName("tag", "a"+string(c)) == nil {
			t.Errorf("%q is allowed", c)
		}
	}
}

func FuzzCheckName(f *testing.F) {
	f.Add("mail.welcome")
	f.Add("a b")
	f.Add("\xff")
	const first = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	f.Fuzz(func(t *testing.T, name string) {
		good := name != "" && len(name) <= 128 && strings.Trim(name, first+"._-:/") == "" && strings.Contains(first, name[:1])
		for _, r := range name {
			good = good && strings.ContainsRune(first+"._-:/", r)
		}
		err := CheckName("queue", name)
		if (err == nil) != good {
			t.Fatalf("CheckName(%q) = %v", name, err)
		}
		if err != nil && (len(err.Error()) > 500 || CleanText(err.Error(), 500) != err.Error() || strings.Contains(err.Error(), "\n")) {
			t.Errorf("the error is not one short clean line: %q", err)
		}
	})
}

func TestCheckNameAllocations(t *testing.T) {
	if n := testing.AllocsPerRun(1000, func() { CheckName("kind", "mail.welcome") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCheckName(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		CheckName("kind", "mail.welcome")
	}
}
