package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// outside is a service that jobs call. It counts what it was asked, by path.
type outside struct {
	*httptest.Server
	mu    sync.Mutex
	calls map[string]int
	came  chan string // each path as it is called
	block chan struct{}
}

// newOutside starts the service. Calls of /slow wait until open is called.
func newOutside(t *testing.T) *outside {
	o := &outside{calls: map[string]int{}, came: make(chan string, 10_000), block: make(chan struct{})}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		o.mu.Lock()
		o.calls[r.URL.Path]++
		o.mu.Unlock()
		o.came <- r.URL.Path
		if r.URL.Path == "/slow" {
			select {
			case <-o.block:
			case <-r.Context().Done():
			}
		}
	}))
	t.Cleanup(o.Close)
	return o
}

func (o *outside) count(path string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.calls[path]
}

// post sends a body to a server and returns status and reply.
func post(t *testing.T, url, contentType, body string, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return do(t, r)
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, r)
}

func do(t *testing.T, r *http.Request) (int, string) {
	t.Helper()
	r.Close = true // leaves no idle connection
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply.StatusCode, string(body)
}

// call enqueues an HTTP call over the API and returns the job's id.
func call(t *testing.T, server, url string) string {
	t.Helper()
	status, body := post(t, server+"/v1/jobs", "application/json", fmt.Sprintf(`{"kind":"http.request","args":{"url":%q}}`, url))
	if status != http.StatusCreated {
		t.Fatalf("status %d: %s", status, body)
	}
	return anyID.FindString(body)
}

func TestServeDoesTheWork(t *testing.T) {
	o, store := newOutside(t), newStore(t)
	p := launch(t, nil, "serve", "--store", store, "--listen", "127.0.0.1:0", "--allow-private-addresses")
	id := call(t, p.url, o.URL+"/hook")
	must(t, store, "", "jobs", "wait", id, "--timeout", patience.String())
	if n := o.count("/hook"); n != 1 {
		t.Errorf("the call was made %d times", n)
	}
	if status, body := get(t, p.url+"/readyz"); status != http.StatusOK {
		t.Errorf("readyz: %d %s", status, body)
	}
	if out := must(t, store, "", "queues", "list"); !strings.Contains(out, "default") || !strings.Contains(out, "50") {
		t.Errorf("queues list does not show the worker's slots:\n%s", out)
	}
	p.signal(syscall.SIGTERM)
	if code := p.ended(); code != exitOK {
		t.Errorf("exit code %d after SIGTERM:\n%s", code, p.output)
	}
	if out := must(t, store, "", "queues", "list"); strings.Contains(out, "50") {
		t.Errorf("the process did not take its leave:\n%s", out)
	}
}

func TestPrivateAddressesAreRefused(t *testing.T) {
	o, store := newOutside(t), newStore(t)
	p := launch(t, nil, "serve", "--store", store, "--listen", "127.0.0.1:0")
	id := call(t, p.url, o.URL+"/hook")
	code, out, _ := run(t, store, "", "jobs", "wait", id, "--timeout", patience.String())
	if code != exitNotDone || !strings.Contains(out, "dead") || o.count("/hook") != 0 {
		t.Errorf("exit code %d: %s; the call was made %d times", code, out, o.count("/hook"))
	}
}

func TestSignalLetsRunningJobsEnd(t *testing.T) {
	o, store := newOutside(t), newStore(t)
	p := launch(t, nil, "serve", "--store", store, "--listen", "127.0.0.1:0", "--allow-private-addresses")
	id := call(t, p.url, o.URL+"/slow")
	<-o.came
	p.signal(syscall.SIGTERM)
	p.output.waitFor(t, "shutting down")
	close(o.block)
	if code := p.ended(); code != exitOK {
		t.Errorf("exit code %d:\n%s", code, p.output)
	}
	must(t, store, "", "jobs", "wait", id, "--timeout", patience.String())
	if n := o.count("/slow"); n != 1 {
		t.Errorf("the call was made %d times", n)
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	o, store := newOutside(t), newStore(t)
	p := launch(t, nil, "serve", "--store", store, "--listen", "127.0.0.1:0", "--allow-private-addresses", "--shutdown", "10m")
	id := call(t, p.url, o.URL+"/slow")
	<-o.came
	p.signal(syscall.SIGINT)
	p.output.waitFor(t, "shutting down")
	for range 5 { // a process that stood still may have heard the first one late
		time.Sleep(2 * signalEcho) // what comes sooner is the first signal's echo
		p.signal(syscall.SIGINT)
		if p.output.hears("a second signal", patience/10) {
			break
		}
	}
	if code := p.ended(); code != exitOK { // the job listened to its context and was handed back
		t.Errorf("exit code %d:\n%s", code, p.output)
	}
	if out := must(t, store, "", "jobs", "show", id); !strings.Contains(out, "ready") || !strings.Contains(out, "0 of 25") {
		t.Errorf("the job was not handed back:\n%s", out)
	}
}

func TestTwoServersOnOneFile(t *testing.T) {
	o, store := newOutside(t), newStore(t)
	flags := []string{"serve", "--store", store, "--listen", "127.0.0.1:0", "--allow-private-addresses"}
	p, q := launch(t, nil, flags...), launch(t, nil, flags...)
	ids := []string{"jobs", "wait", "--timeout", patience.String()}
	for i := range 20 {
		ids = append(ids, call(t, p.url, fmt.Sprintf("%s/p%d", o.URL, i)), call(t, q.url, fmt.Sprintf("%s/q%d", o.URL, i)))
	}
	must(t, store, "", ids...)
	for i := range 20 {
		for _, path := range []string{fmt.Sprintf("/p%d", i), fmt.Sprintf("/q%d", i)} {
			if n := o.count(path); n != 1 {
				t.Errorf("%s was called %d times", path, n)
			}
		}
	}
}

// What was accepted is done, whenever the server is killed.
func TestKilledServer(t *testing.T) {
	o, store := newOutside(t), newStore(t)
	flags := []string{"serve", "--store", store, "--listen", "127.0.0.1:0", "--allow-private-addresses", "--log-level", "error"}
	wait := []string{"jobs", "wait", "--timeout", patience.String()}
	accepted := 0
	for round := range 3 {
		p := launch(t, nil, flags...)
		for range 10 {
			wait = append(wait, call(t, p.url, fmt.Sprintf("%s/job%d", o.URL, accepted)))
			accepted++
		}
		for range round * 4 { // some have run when the blow comes, some run, some wait
			<-o.came
		}
		p.signal(syscall.SIGKILL)
		if code := p.ended(); code != -1 {
			t.Fatalf("exit code %d:\n%s", code, p.output)
		}
	}
	launch(t, nil, flags...)
	must(t, store, "", wait...)
	for i := range accepted {
		if o.count(fmt.Sprintf("/job%d", i)) == 0 {
			t.Errorf("job %d was lost", i)
		}
	}
}

// A process that is killed in the midst of its shutdown leaves nothing behind that is not taken up.
func TestKilledWhileShuttingDown(t *testing.T) {
	o, store := newOutside(t), newStore(t)
	flags := []string{"serve", "--store", store, "--listen", "127.0.0.1:0", "--allow-private-addresses", "--concurrency", "1"}
	p := launch(t, nil, flags...)
	wait := []string{"jobs", "wait", "--timeout", patience.String(), call(t, p.url, o.URL+"/slow")}
	<-o.came
	for i := range 20 { // these wait for the only slot
		wait = append(wait, call(t, p.url, fmt.Sprintf("%s/job%d", o.URL, i)))
	}
	p.signal(syscall.SIGTERM)
	p.output.waitFor(t, "shutting down")
	p.signal(syscall.SIGKILL)
	if code := p.ended(); code != -1 {
		t.Fatalf("exit code %d:\n%s", code, p.output)
	}
	close(o.block)
	launch(t, nil, flags...)
	must(t, store, "", wait...)
	if n := o.count("/slow"); n != 2 {
		t.Errorf("the job that was cut short was run %d times", n)
	}
	for i := range 20 {
		if n := o.count(fmt.Sprintf("/job%d", i)); n != 1 {
			t.Errorf("job %d, which had not begun, was run %d times", i, n)
		}
	}
}

func TestToken(t *testing.T) {
	p := launch(t, []string{"BELLHOP_TOKEN=t0ken-t0ken"}, "serve", "--store", "memory:", "--listen", "0.0.0.0:0")
	url := "http://127.0.0.1" + p.url[strings.LastIndex(p.url, ":"):]
	job := `{"kind":"other","args":{}}`
	if status, body := post(t, url+"/v1/jobs", "application/json", job); status != http.StatusUnauthorized {
		t.Errorf("without the token: %d %s", status, body)
	}
	if status, body := post(t, url+"/v1/jobs", "application/json", job, "Authorization", "Bearer t0ken-t0ken"); status != http.StatusCreated {
		t.Errorf("with the token: %d %s", status, body)
	}
	p.signal(syscall.SIGTERM)
	if p.ended() != exitOK || strings.Contains(p.output.String(), "t0ken-t0ken") {
		t.Errorf("the token is in the log, or the end was not good:\n%s", p.output)
	}
}

func TestWorkDoesTheWork(t *testing.T) {
	o, store := newOutside(t), newStore(t)
	launch(t, nil, "work", "--store", store, "--allow-private-addresses", "--queue", "bulk=3", "--concurrency", "2")
	out := must(t, store, fmt.Sprintf("{\"url\":%q}\n{\"url\":%q}\n", o.URL+"/a", o.URL+"/b"),
		"enqueue", "http.request", "--ndjson", "--queue", "bulk", "--json")
	wait := append([]string{"jobs", "wait", "--timeout", patience.String()}, anyID.FindAllString(out, -1)...)
	must(t, store, "", wait...)
	if o.count("/a") != 1 || o.count("/b") != 1 {
		t.Errorf("/a was called %d times, /b %d times", o.count("/a"), o.count("/b"))
	}
}

func TestPortInUse(t *testing.T) {
	p := launch(t, nil, "serve", "--store", "memory:", "--listen", "127.0.0.1:0")
	code, _, stderr := run(t, "memory:", "", "serve", "--listen", strings.TrimPrefix(p.url, "http://"))
	if code != exitFailed || !strings.Contains(stderr, "is another server there?") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
