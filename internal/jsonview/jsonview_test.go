package jsonview_test

import (
	"encoding/json"
	"fmt"
	"html"
	"regexp"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop/internal/jsonview"
)

var tags = regexp.MustCompile(`<[^>]*>`)

// text is what a browser shows.
func text(v jsonview.View) string {
	return html.UnescapeString(tags.ReplaceAllString(string(v.HTML), ""))
}

func TestNumbersStayAsTheyAre(t *testing.T) {
	for _, n := range []string{"9007199254740993", "123456789012345678901234567890", "1.10", "-0.0", "1E400", "0.1000000000000000055511151231257827"} {
		v := jsonview.Render([]byte(n))
		if text(v) != n || v.Cut {
			t.Errorf("%s is shown as %s", n, text(v))
		}
	}
}

func TestShapes(t *testing.T) {
	v := jsonview.Render([]byte(` {"a": [1, true, null, {}], "b": {"c": "d"}, "e": []} `))
	want := `{} 3 keys"a": [] 4 items1,true,null,{}],"b": {} 1 key"c": "d"},"e": []}`
	if text(v) != want {
		t.Errorf("got  %s\nwant %s", text(v), want)
	}
	if strings.Count(string(v.HTML), "<details") != 3 || strings.Count(string(v.HTML), "</details>") != 3 || strings.Count(string(v.HTML), " open>") != 3 {
		t.Errorf("folds: %s", v.HTML)
	}
	if v := jsonview.Render(nil); v.HTML != "" {
		t.Errorf("of nothing: %q", v.HTML)
	}
}

func TestHostileText(t *testing.T) {
	for _, hostile := range []string{
		"</script><script>alert(1)</script>", `" onmouseover="alert(1)`, "a\u202Eb\u2066c", "\x00\x07\u001b[31m", "zero\u200bwidth\ufeff", "'><img src=x>",
		"nbsp\u00a0here", "line\u2028sep",
	} {
		raw, err := json.Marshal(map[string]string{hostile: hostile})
		if err != nil {
			t.Fatal(err)
		}
		inText, _ := jsonview.Text(hostile, 1000)
		for what, got := range map[string]string{"JSON": string(jsonview.Render(raw).HTML), "text": string(inText)} {
			if strings.Contains(got, "<script") || strings.Contains(got, "<img") || strings.Contains(got, `" onmouse`) {
				t.Errorf("%s of %q: %s", what, hostile, got)
			}
			if i := strings.IndexAny(got, "\u202e\u2066\x00\x07\u001b\u200b\ufeff\u00a0\u2028"); i >= 0 {
				t.Errorf("%s of %q shows nothing at %d: %q", what, hostile, i, got)
			}
		}
	}
	if got, _ := jsonview.Text("a\u202eb\xff\n\tc\"", 100); got != `a<span class="json-odd" title="U+202E">\u202e</span>b<span class="json-odd" title="a byte that is not UTF-8">\xff</span>`+"\n\tc&#34;" {
		t.Errorf("text: %s", got)
	}
	if got := text(jsonview.Render([]byte(`"a\n\"\\\t\u0000é😀"`))); got != `"a\n\"\\\t\u0000é😀"` {
		t.Errorf("string: %s", got)
	}
}

func TestSourceMeansTheSame(t *testing.T) {
	raw := "{\"a\u202eb\":[12345678901234567890,1.10],\"tag\":\"\U000E0041\u200b\\n\"}"
	want := "{\n  \"a\\u202eb\": [\n    12345678901234567890,\n    1.10\n  ],\n  \"tag\": \"\\udb40\\udc41\\u200b\\n\"\n}"
	if got := jsonview.Source([]byte(raw)); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	var before, after any
	if json.Unmarshal([]byte(raw), &before) != nil || json.Unmarshal([]byte(want), &after) != nil || fmt.Sprint(before) != fmt.Sprint(after) {
		t.Error("it means something else")
	}
}

func TestSizeIsBounded(t *testing.T) {
	const most = 1 << 20 // of HTML
	long := `"` + strings.Repeat("é", 500_000) + `"`
	many := "[" + strings.Repeat("1,", 400_000) + "1]"
	names := strings.Builder{}
	for i := range 50_000 {
		fmt.Fprintf(&names, `%q:%d,`, fmt.Sprintf("name%d", i), i)
	}
	deep := strings.Repeat("[", 900) + strings.Repeat("]", 900)
	for what, raw := range map[string]string{
		"a long string": long, "many items": many, "many keys": "{" + names.String() + `"z":1}`, "deep": deep,
		"long strings": "[" + strings.Repeat(`"`+strings.Repeat("x", 3000)+`",`, 300) + "1]", "a long number": "1" + strings.Repeat("0", 900_000),
		"no JSON": strings.Repeat("{", 200_000),
	} {
		v := jsonview.Render([]byte(raw))
		if !v.Cut || len(v.HTML) > most || !strings.Contains(string(v.HTML), "json-cut") {
			t.Errorf("%s: %d bytes of HTML, cut %v", what, len(v.HTML), v.Cut)
		}
		if strings.Count(string(v.HTML), "<details") != strings.Count(string(v.HTML), "</details>") || strings.Count(string(v.HTML), "<li>") != strings.Count(string(v.HTML), "</li>") {
			t.Errorf("%s: the HTML does not close", what)
		}
	}
	if got, cut := jsonview.Text("éé", 3); !cut || !strings.HasPrefix(string(got), "é<") || !strings.Contains(string(got), "2 more bytes") {
		t.Errorf("cut text: %s", got)
	}
}

func FuzzRender(f *testing.F) {
	f.Add([]byte(`{"a":[1,2.50,"x\u202e"],"b":null}`))
	f.Add([]byte("\xff\"<"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		v := jsonview.Render(raw)
		if bare := tags.ReplaceAllString(string(v.HTML), ""); strings.ContainsAny(bare, "<>\"'") {
			t.Errorf("%q: unescaped in %s", raw, bare)
		}
	})
}
