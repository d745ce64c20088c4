package browsertest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop/internal/browser"
)

// look is one way to look at all pages.
type look struct {
	scheme string
	width  int
	axe    []string // the pages that are searched for barriers; nil: all
}

var looks = []look{
	{"light", 1440, nil},
	{"dark", 1440, nil},
	{"light", 390, []string{"overview", "jobs", "job", "failures", "queue", "processes", "processes-told", "process-drained", "queue-told"}},
	{"dark", 390, []string{}},
}

// Every page, light and dark, on a wide screen and a phone: nothing in the console, no breach of the policy, nothing wider than the
// screen, no barrier for those who do not see or point, and under 100 kB for a browser that comes for the first time.
func TestPages(t *testing.T) {
	w := newWorld(t)
	w.lookAll(t, w.places())
}

// lookAll looks at places in all ways.
func (w *world) lookAll(t *testing.T, places []place) {
	for _, l := range looks {
		t.Run(fmt.Sprintf("%s-%d", l.scheme, l.width), func(t *testing.T) {
			t.Parallel()
			if testing.Short() && (l.scheme == "light") == (l.width == 1440) {
				t.Skip("short: each colour and each size is looked at, but not each with each")
			}
			w.look(t, l, places)
		})
	}
}

func (w *world) look(t *testing.T, l look, places []place) {
	p := browser.Open(t)
	p.Scheme(l.scheme)
	p.Size(l.width, 900)
	p.NoCache()
	for i, at := range places {
		visit(p, w.url, at)
		name := fmt.Sprintf("%s-%s-%d", at.name, l.scheme, l.width)
		fits(t, p, name)
		light(t, name, p.Replies())
		if l.axe == nil || slices.Contains(l.axe, at.name) {
			part := "main"
			if i == 0 {
				part = "html" // what is round the pages is the same for all
			}
			report(t, name, barriers(p, part, l.scheme == "dark"))
		}
		for _, trouble := range p.Trouble() {
			t.Errorf("%s: %s", name, trouble)
		}
		if os.Getenv(browser.PicturesVariable) != "" {
			keep(t, name, p.Picture(true))
		}
	}
}

// leastField is how many pixels wide a field must be to show what is written into it.
const leastField = 80

// fits fails the test if the page is wider than the screen, or has a field that is too narrow to be used.
func fits(t *testing.T, p *browser.Page, name string) {
	t.Helper()
	var over struct {
		Wide int
		What string
	}
	// On a phone innerWidth grows with what is too wide; the width of the root does not.
	p.Eval(`{wide: document.documentElement.scrollWidth - document.documentElement.clientWidth, what: [...document.querySelectorAll("main *")].filter(
		e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1 && !e.closest(".scroll, svg, pre, .chart-body, .sr")).map(e => e.outerHTML.slice(0, 120))[0] ?? ""}`, &over)
	if over.Wide > 0 {
		t.Errorf("%s is %d pixels wider than the screen: %s", name, over.Wide, over.What)
	}
	var narrow []string
	p.Eval(fmt.Sprintf(`[...document.querySelectorAll("main input[type=text], main input[type=search], main textarea")].filter(
		e => e.checkVisibility() && e.offsetWidth < %d).map(e => e.name + " " + e.offsetWidth)`, leastField), &narrow)
	if len(narrow) > 0 {
		t.Errorf("%s: fields that are too narrow: %s", name, strings.Join(narrow, ", "))
	}
}

// light fails the test if the page, with all that it needs, weighs too much as it was sent.
func light(t *testing.T, name string, replies []browser.Reply) {
	t.Helper()
	const most = 100_000
	sum, list := 0, ""
	for _, r := range replies {
		if !strings.Contains(r.URL, "/live?") { // of the page before; it ends with it
			sum += r.Bytes
			list += fmt.Sprintf("\n  %6d %s", r.Bytes, r.URL)
		}
	}
	t.Logf("%s: %d bytes", name, sum)
	if sum > most || sum < 20_000 {
		t.Errorf("%s weighs %d bytes, want under %d:%s", name, sum, most, list)
	}
}
