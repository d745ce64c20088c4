package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write assets.lock anew")

// thirdParty tells where the files that others wrote come from: npm packages with their version, and the file within.
var thirdParty = map[string]string{
	"htmx.js":           "htmx.org@4.0.1 dist/htmx.min.js",
	"hx-sse.js":         "htmx.org@4.0.1 dist/ext/hx-sse.min.js",
	"htmx.LICENSE.txt":  "htmx.org@4.0.1 LICENSE",
	"uplot.js":          "uplot@1.6.32 dist/uPlot.iife.min.js",
	"uplot.css":         "uplot@1.6.32 dist/uPlot.min.css",
	"uplot.LICENSE.txt": "uplot@1.6.32 LICENSE",
}

// What is embedded is what was reviewed: every file that browsers fetch has its hash in assets.lock, and every line its file. A file
// that git ignores, or that a module's archive leaves out, would be missing here.
func TestAssetsLock(t *testing.T) {
	entries, err := fs.ReadDir(files, "assets")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	want.WriteString("# SHA-256 of every file that browsers fetch. Write it anew: go test ./web -run AssetsLock -update\n")
	for _, e := range entries {
		body, err := files.ReadFile("assets/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(body)
		from := thirdParty[e.Name()]
		if from == "" {
			from = "ours"
		}
		fmt.Fprintf(&want, "%s  %s  %s\n", hex.EncodeToString(sum[:]), e.Name(), from)
	}
	if *update {
		if err := os.WriteFile("assets.lock", []byte(want.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("assets.lock")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want.String() {
		t.Errorf("assets.lock does not fit the files:\n%s\nwant\n%s\nIf the change is meant: go test ./web -run AssetsLock -update", got, want.String())
	}
	for name := range thirdParty {
		if assets[name] == nil {
			t.Errorf("%s is not embedded", name)
		}
	}
}

// Scripts and styles stand in files of their own, and nothing is fetched from elsewhere: that is what the policy of the pages allows.
func TestTemplatesHoldNoScriptsAndStyles(t *testing.T) {
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		body, err := files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		low := bytes.ToLower(body)
		for _, never := range []string{"<style", " style=", "javascript:", " onclick=", " onload=", " onerror=", "hx-on", "hx-vals=\"js", "src=\"http", "href=\"http"} {
			if bytes.Contains(low, []byte(never)) {
				t.Errorf("%s holds %q", name, never)
			}
		}
		for script := range bytes.SplitSeq(low, []byte("<script")) {
			if tag, _, _ := bytes.Cut(script, []byte(">")); bytes.Contains(script, []byte("</script>")) && !bytes.Contains(tag, []byte("src=")) {
				t.Errorf("%s holds a script of its own: <script%s>", name, tag)
			}
		}
	}
}
