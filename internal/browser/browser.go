package browser

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
	"go.uber.org/goleak"
)

// Variable of the environment leaves out the tests that need a browser, if it is "no".
const Variable = "BELLHOP_TEST_BROWSER"

// Package is the Debian package that brings the browser.
const Package = "chromium"

// names under which the browser is looked for on the PATH.
var names = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

const startWithin = time.Minute // for the browser to start, and later to stop; a busy machine needs some

// Selected reports whether tests with a browser are to run, by [Variable].
func Selected() bool { return os.Getenv(Variable) != "no" }

// Find returns the path of the browser. Its error names the package to install.
func Find() (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("browser: Chromium is not installed: apt-get install --no-install-recommends " + Package +
		", or leave its tests out: ./test --no-browser")
}

// shared is the browser of this test binary.
var shared struct {
	sync.Mutex
	ctx  context.Context // nil until a test asks
	stop func() error
	err  error
}

// start starts the browser when the first test asks for it.
func start() (context.Context, error) {
	shared.Lock()
	defer shared.Unlock()
	if shared.ctx != nil || shared.err != nil {
		return shared.ctx, shared.err
	}
	path, err := Find()
	if err != nil {
		shared.err = err
		return nil, err
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.WSURLReadTimeout(startWithin),
		chromedp.DisableGPU,
		chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("font-render-hinting", "none"),
		// The only addresses are those of tests; nothing asks the network of its own accord.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"),
	)
	if os.Geteuid() == 0 {
		opts = append(opts, chromedp.NoSandbox) // its sandbox does not work for root
	}
	allocator, free := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, cancel := chromedp.NewContext(allocator)
	began := time.AfterFunc(startWithin, cancel)
	if err := chromedp.Do(ctx); err != nil {
		began.Stop()
		cancel()
		free()
		shared.err = errors.New("browser: " + path + " does not start: " + err.Error())
		return nil, shared.err
	}
	began.Stop()
	shared.ctx = ctx
	shared.stop = func() error {
		err := chromedp.Cancel(ctx) // asks it to close, and waits
		free()
		return err
	}
	return ctx, nil
}

// Main is for TestMain of a package whose tests open pages: it runs the tests, stops the browser, sees that no goroutine is left
// (but for those that the options let pass), and ends the process.
func Main(m *testing.M, options ...goleak.Option) { goleak.VerifyTestMain(stopping{m}, options...) }

// stopping stops the browser after the tests and before the search for goroutines.
type stopping struct{ m *testing.M }

// Run runs the tests and returns the exit code.
func (s stopping) Run() int {
	code := s.m.Run()
	if err := stop(); err != nil {
		_, _ = os.Stderr.WriteString("browser: it does not stop: " + err.Error() + "\n")
		return max(code, 1)
	}
	return code
}

func stop() error {
	shared.Lock()
	defer shared.Unlock()
	if shared.stop == nil {
		return nil
	}
	err := shared.stop()
	shared.ctx, shared.stop = nil, nil
	return err
}

// Open returns an empty page of its own, 1440 by 900 pixels, light. It is closed when the test ends, and the test fails if the page
// had trouble that nobody has taken. The test is skipped if browsers are left out.
func Open(tb testing.TB) *Page {
	tb.Helper()
	if !Selected() {
		tb.Skipf("tests with a browser are left out: %s=no", Variable)
	}
	root, err := start()
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := chromedp.NewContext(root, chromedp.WithNewBrowserContext())
	p := &Page{tb: tb, ctx: ctx}
	tb.Cleanup(func() {
		if tb.Failed() {
			p.leave()
		}
		for _, trouble := range p.Trouble() {
			tb.Errorf("%s: %s", p.title, trouble)
		}
		if err := closed(chromedp.Cancel(ctx)); err != nil && !errors.Is(err, context.Canceled) {
			tb.Errorf("browser: a page does not close: %v", err)
		}
		cancel()
	})
	p.must("listen", chromedp.Listen(ctx, p.hear))
	p.run("set up", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, audits.Enable, cdp.Empty{})
		return err
	}))
	p.Size(1440, 900)
	p.Scheme("light")
	return p
}

// closed is the error of a tab that was closed. One that takes its time, for which chromedp has five seconds, closes on a busy machine
// when nobody waits any more: that is no error, and at the latest it ends with the browser.
func closed(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}
