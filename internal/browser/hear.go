package browser

import (
	"fmt"
	"strings"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Reply is one reply that the page has got.
type Reply struct {
	URL      string
	Status   int
	Type     string // of its content
	Encoding string // gzip
	Bytes    int    // as sent, with the header; 0 if it came from the browser's cache
	Cached   bool
}

// Trouble takes what has gone wrong in the page without being seen, each in one line; it is the test's own then.
func (p *Page) Trouble() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := p.trouble
	p.trouble = nil
	return taken
}

// Replies takes what the page has got, to its end, since it was last asked.
func (p *Page) Replies() []Reply {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := p.replies
	p.replies = nil
	return taken
}

// hear takes what the browser tells about the tab. It runs in the loop that reads the browser's messages: no calls from here.
func (p *Page) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	bad := func(format string, args ...any) { p.trouble = append(p.trouble, fmt.Sprintf(format, args...)) }
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		bad("exception: %s", strings.ReplaceAll((&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error(), "\n", " "))
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning ||
			e.Type == runtime.ConsoleAPICalledTypeAssert {
			bad("console: %s", said(e.Args))
		}
	case *log.EventEntryAdded:
		// Replies of 400 and more are told here too; those are told below, with their status.
		if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork {
			bad("log: %s: %s", e.Entry.Source, e.Entry.Text)
		}
	case *audits.EventIssueAdded:
		if d := e.Issue.Details; d != nil && d.ContentSecurityPolicyIssueDetails != nil {
			csp := d.ContentSecurityPolicyIssueDetails
			bad("content security policy: %s: %s %s", csp.ViolatedDirective, csp.ContentSecurityPolicyViolationType, csp.BlockedURL)
		}
	case *network.EventRequestWillBeSent:
		if url := e.Request.URL; !strings.HasPrefix(url, "http://127.0.0.1:") && !strings.HasPrefix(url, "http://localhost:") &&
			!strings.HasPrefix(url, "data:") && !strings.HasPrefix(url, "about:") {
			bad("a request to elsewhere: %s", url)
		}
	case *network.EventResponseReceived:
		r := e.Response
		if p.waiting == nil {
			p.waiting = map[string]*Reply{}
		}
		p.waiting[string(e.RequestID)] = &Reply{
			URL: r.URL, Status: int(r.Status), Type: r.MimeType, Encoding: header(r.Headers, "content-encoding"),
			Cached: r.FromDiskCache,
		}
		if r.Status >= 400 {
			bad("reply %d: %s", r.Status, r.URL)
		}
	case *network.EventLoadingFinished:
		if r := p.waiting[string(e.RequestID)]; r != nil {
			r.Bytes = int(e.EncodedDataLength)
			p.replies = append(p.replies, *r)
			delete(p.waiting, string(e.RequestID))
		}
	case *network.EventLoadingFailed:
		if r := p.waiting[string(e.RequestID)]; r != nil {
			p.replies = append(p.replies, *r)
			delete(p.waiting, string(e.RequestID))
		}
	}
}

func header(h network.Headers, name string) string {
	for key, value := range h {
		if strings.EqualFold(key, name) {
			return fmt.Sprint(value)
		}
	}
	return ""
}

// said is what was written to the console.
func said(args []*runtime.RemoteObject) string {
	var parts []string
	for _, a := range args {
		if len(a.Value) > 0 {
			parts = append(parts, string(a.Value))
		} else {
			parts = append(parts, a.Description)
		}
	}
	return strings.Join(parts, " ")
}
