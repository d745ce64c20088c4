package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// patience is how long a page may take for one thing. It is generous: only a broken page needs it, or a starved machine.
const patience = 30 * time.Second

// Page is a tab. Its methods fail the test at once if the page does not do what is asked; they are not for use by several
// goroutines.
type Page struct {
	tb    testing.TB
	ctx   context.Context
	title string // for messages: what was last done

	mu      sync.Mutex
	trouble []string
	replies []Reply
	waiting map[string]*Reply // by the request's id
}

// run does something in the tab.
func (p *Page) run(what string, steps ...chromedp.Action[chromedp.Void]) {
	p.tb.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	p.must(what, chromedp.Do(ctx, steps...))
}

func (p *Page) must(what string, err error) {
	p.tb.Helper()
	if err != nil {
		p.tb.Fatalf("browser: %s: %v", what, err)
	}
}

// Go opens an address, and returns when the page has loaded, its scripts too.
func (p *Page) Go(url string) {
	p.tb.Helper()
	p.title = url
	p.run("open "+url, chromedp.Navigate(url))
}

// Reload loads the page again, as F5 does.
func (p *Page) Reload() { p.tb.Helper(); p.run("reload", chromedp.Reload()) }

// Back goes back, as the button does. The page may be loaded anew, or be shown as it was left.
func (p *Page) Back() {
	p.tb.Helper()
	at, err := p.entry()
	p.must("read the history", err)
	p.Eval("history.back()", nil)
	for deadline := time.Now().Add(patience); ; {
		now, err := p.entry()
		if err != nil && !strings.Contains(err.Error(), betweenPages) {
			p.must("read the history", err)
		}
		if err == nil && now != at {
			break
		}
		if time.Now().After(deadline) {
			p.tb.Fatalf("browser: %s: back leads nowhere (%v)", p.title, err)
		}
	}
	p.Wait("document.readyState === 'complete'")
}

// betweenPages is what the browser says to a question that meets the moment at which a tab's page gives way to one that was kept.
const betweenPages = "Not attached to an active page"

// entry is the place of the page in the tab's history.
func (p *Page) entry() (int64, error) {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	history, err := chromedp.Run(ctx, chromedp.NavigationEntries())
	if err != nil {
		return 0, err
	}
	return history.CurrentIndex, nil
}

// Leads does something that leads to another page, a press on a link or a button, and returns when that one has loaded.
func (p *Page) Leads(do func()) {
	p.tb.Helper()
	p.title += " →"
	p.Eval("window.stillHere = true", nil)
	do()
	p.Wait("!window.stillHere && document.readyState === 'complete'")
}

// Size sets the size of the window in pixels. One narrower than 600 is a phone's.
func (p *Page) Size(width, height int) {
	p.tb.Helper()
	var opts []chromedp.EmulateViewportOption
	if width < 600 {
		opts = append(opts, chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulatePortrait)
	}
	p.run("set the size", chromedp.EmulateViewport(int64(width), int64(height), opts...))
}

// Scheme sets whether the system is "light" or "dark". Motion is always reduced, so that nothing is caught half way.
func (p *Page) Scheme(scheme string) {
	p.tb.Helper()
	call(p, "set the colour scheme", emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

// NoScripts turns JavaScript off for what is opened from now on. [Page.Eval] works nevertheless.
func (p *Page) NoScripts() {
	p.tb.Helper()
	call(p, "turn scripts off", emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
}

// NoPolicy has the browser pay no heed to content security policies, so that only escaping is between a text and its running.
func (p *Page) NoPolicy() {
	p.tb.Helper()
	call(p, "turn the policy off", page.SetBypassCSP, page.SetBypassCSPParams{Enabled: true})
}

// NoCache has the browser ask for everything anew, as one that comes for the first time.
func (p *Page) NoCache() {
	p.tb.Helper()
	call(p, "turn the cache off", network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true})
}

// call sends one command of the protocol to the tab.
func call[P any](p *Page, what string, command cdp.Command[P, cdp.Empty], params P) {
	p.tb.Helper()
	p.run(what, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, params)
		return err
	}))
}

// Eval runs an expression in the page, waits for it if it is a promise, and decodes its value into a pointer; nil: no matter.
func (p *Page) Eval(expression string, into any) {
	p.tb.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	// As JSON made in the page, so that the value means here what it means there.
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`(async () => JSON.stringify(await (`+expression+`)) ?? "null")()`, chromedp.EvalAwaitPromise))
	p.must("evaluate "+shorten(expression), err)
	if into != nil {
		p.must("decode "+shorten(text), json.Unmarshal([]byte(text), into))
	}
}

// Text is what an element shows: its text as a person sees it. It waits for the element.
func (p *Page) Text(selector string) (text string) {
	p.tb.Helper()
	p.Wait("document.querySelector(" + quote(selector) + ")")
	p.Eval("document.querySelector("+quote(selector)+").innerText", &text)
	return text
}

// Count is how many elements there are.
func (p *Page) Count(selector string) (n int) {
	p.tb.Helper()
	p.Eval("document.querySelectorAll("+quote(selector)+").length", &n)
	return n
}

// Path is the path of the page's address, with query and fragment.
func (p *Page) Path() (path string) {
	p.tb.Helper()
	p.Eval("location.pathname + location.search + location.hash", &path)
	return path
}

// Wait waits until an expression holds in the page, whichever page that is by then.
func (p *Page) Wait(expression string) {
	p.tb.Helper()
	p.waitFor(patience, expression)
}

// WaitLong is Wait for something that takes its time.
func (p *Page) WaitLong(within time.Duration, expression string) {
	p.tb.Helper()
	p.waitFor(within, expression)
}

func (p *Page) waitFor(within time.Duration, expression string) {
	p.tb.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, within)
	defer cancel()
	for look := time.NewTicker(20 * time.Millisecond); ; {
		// A page that goes away meanwhile takes the question with it; the next one is asked again.
		holds, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("(() => { try { return !!("+expression+") } catch { return false } })()"))
		if err == nil && holds {
			look.Stop()
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			look.Stop()
			p.tb.Fatalf("browser: %s: after %v this does not hold: %s\nthe page shows: %s", p.title, within, shorten(expression), p.shows())
		}
	}
}

// shows is the text of the page, as far as it can be had.
func (p *Page) shows() string {
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("location.href + '\\n' + document.body.innerText.slice(0, 2000)"))
	if err != nil {
		return err.Error()
	}
	return text
}

// Click clicks on the first element that matches, once it is to be seen. A link or button that is covered is not reached, as by hand.
func (p *Page) Click(selector string) {
	p.tb.Helper()
	p.run("click on "+selector, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// Fill puts a text into a field, in place of what is there.
func (p *Page) Fill(selector, text string) {
	p.tb.Helper()
	p.run("fill "+selector, chromedp.Clear(chromedp.CSS(selector)), chromedp.SendKeys(chromedp.CSS(selector), text))
}

// keys that have names.
var keys = map[string]string{
	"Enter": kb.Enter, "Escape": kb.Escape, "Tab": kb.Tab, "Down": kb.ArrowDown, "Up": kb.ArrowUp, "Space": " ", "Backspace": kb.Backspace,
}

// Press presses keys one after the other, wherever the focus is: "j", "Enter", "Control+k", "Shift+Tab".
func (p *Page) Press(names ...string) {
	p.tb.Helper()
	for _, name := range names {
		key, modifiers := name, chromedp.ModifierNone
		if rest, ok := strings.CutPrefix(name, "Control+"); ok {
			key, modifiers = rest, chromedp.ModifierCtrl
		}
		if rest, ok := strings.CutPrefix(name, "Shift+"); ok {
			key, modifiers = rest, chromedp.ModifierShift
		}
		if named, ok := keys[key]; ok {
			key = named
		}
		for _, r := range key {
			p.press(name, r, modifiers)
		}
	}
}

// Type types a text, wherever the focus is.
func (p *Page) Type(text string) {
	p.tb.Helper()
	for _, r := range text {
		p.press(string(r), r, chromedp.ModifierNone)
	}
}

// press presses one key. The letter comes with the key, not after it, so that a page which takes the key for itself gets no letter.
func (p *Page) press(name string, r rune, modifiers chromedp.Modifier) {
	p.tb.Helper()
	events := kb.Encode(r)
	down, up := *events[0], *events[len(events)-1]
	if len(events) == 3 && modifiers&chromedp.ModifierCtrl == 0 {
		down.Type, down.Text, down.UnmodifiedText = input.DispatchKeyEventTypeKeyDown, events[1].Text, events[1].UnmodifiedText
	}
	for _, e := range []input.DispatchKeyEventParams{down, up} {
		e.Modifiers |= int64(modifiers)
		p.run("press "+name, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			_, err := cdp.Call(ctx, t, input.DispatchKeyEvent, e)
			return err
		}))
	}
}

// Behind opens another tab in front of the page, so that this one is hidden, until the returned function is called.
func (p *Page) Behind() (front func()) {
	p.tb.Helper()
	ctx, cancel := chromedp.NewContext(p.ctx, chromedp.WithNewWindow(false))
	p.must("open a tab in front", chromedp.Do(ctx, chromedp.Navigate("about:blank")))
	return func() {
		p.tb.Helper()
		p.must("close the tab in front", closed(chromedp.Cancel(ctx)))
		cancel()
	}
}

// Picture is a picture of the window as PNG; whole: of the page in all its length.
func (p *Page) Picture(whole bool) (png []byte) {
	p.tb.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	var err error
	if whole {
		png, err = chromedp.Run(ctx, chromedp.FullScreenshot(100))
	} else {
		png, err = chromedp.Run(ctx, chromedp.CaptureScreenshot())
	}
	p.must("take a picture", err)
	return png
}

// PicturesVariable of the environment names a folder; pictures of pages whose tests fail are left there.
const PicturesVariable = "BELLHOP_TEST_PICTURES"

// leave leaves a picture of a page whose test has failed, if somebody wants it.
func (p *Page) leave() {
	folder := os.Getenv(PicturesVariable)
	if folder == "" {
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		return
	}
	name := filepath.Join(folder, strings.ReplaceAll(p.tb.Name(), "/", "-")+".png")
	if err := os.WriteFile(name, png, 0o644); err == nil {
		p.tb.Logf("what the page looked like: %s", name)
	}
}

func quote(text string) string { out, _ := json.Marshal(text); return string(out) }

func shorten(text string) string {
	if len(text) > 300 {
		return fmt.Sprintf("%.300s…", text)
	}
	return text
}
