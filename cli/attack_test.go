package cli

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop/access"
)

// besieged is a server whose users are known, under a prefix, and a way to send it bytes that no client would.
type besieged struct {
	*served
	host string
}

const (
	adminPassword  = "correct-horse-battery"
	readerPassword = "quite-another-password"
)

func besiege(t *testing.T, command string, args ...string) *besieged {
	t.Helper()
	users := filepath.Join(t.TempDir(), "users")
	text := "anna " + adminPassword + " admin\nbert " + readerPassword + " none mail=read\n"
	if err := os.WriteFile(users, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := launch(t, nil, append([]string{command, "--listen", "127.0.0.1:0", "--prefix", "/b", "--users-file", users}, args...)...)
	u, err := url.Parse(p.url)
	if err != nil {
		t.Fatal(err)
	}
	return &besieged{p, u.Host}
}

// send sends a request as it is, but for {host} and {auth}, and returns the reply with its body; nil if the server hung up without one.
func (b *besieged) send(request string, body io.Reader) (*http.Response, string) {
	b.t.Helper()
	c, err := net.Dial("tcp", b.host)
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		b.t.Fatal(err)
	}
	auth := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("anna:"+adminPassword))
	head := strings.NewReplacer("{host}", "Host: "+b.host, "{auth}", auth, "\n", "\r\n").Replace(strings.TrimSpace(request)) + "\r\nConnection: close\r\n\r\n"
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(c, head) // a server that hangs up is what some want
		if body != nil {
			_, _ = io.Copy(c, body)
		}
	}()
	reply, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		_ = c.Close()
		<-sent
		return nil, ""
	}
	defer reply.Body.Close()
	got, _ := io.ReadAll(io.LimitReader(reply.Body, 1<<20)) // cut off is fine
	_ = c.Close()
	<-sent
	return reply, string(got)
}

// leaves matches a Location that leads out of the server.
var leaves = regexp.MustCompile(`^([a-zA-Z][a-zA-Z0-9+.-]*:|[\\/]{2,}|\\)`)

// TestServerUnderAttack sends a server what no honest client would, and looks at what it answers, what it logs, and whether it still works.
func TestServerUnderAttack(t *testing.T) {
	b := besiege(t, "serve", "--store", "memory:")
	form := "{host}\n{auth}\nContent-Type: application/x-www-form-urlencoded"
	for _, c := range []struct {
		request, body string
		want          []int // statuses; 0: it hangs up
	}{
		// Names of others: DNS rebinding.
		{"GET /b/ HTTP/1.1\nHost: evil.example\n{auth}", "", []int{421}},
		{"GET /b/ HTTP/1.1\nHost: localhost.evil.example\n{auth}", "", []int{421}},
		{"GET /b/ HTTP/1.1\nHost: 127.0.0.1.evil.example:80\n{auth}", "", []int{421}},
		{"GET /b/ HTTP/1.1\nHost: evil.example@127.0.0.1\n{auth}", "", []int{400, 421}},
		{"GET http://evil.example/b/ HTTP/1.1\n{host}\n{auth}", "", []int{421}},
		{"GET /b/ HTTP/1.1\n{host}\nHost: evil.example\n{auth}", "", []int{400}},
		{"GET /b/ HTTP/1.1\n{auth}", "", []int{400}},
		{"GET /b/ HTTP/1.0\n{auth}", "", []int{421}},
		{"GET /b/ HTTP/1.1\nHost: evil.example\nX-Forwarded-Host: localhost\n{auth}", "", []int{421}},
		// Pages of others.
		{"POST /b/queues/mail HTTP/1.1\n" + form + "\nSec-Fetch-Site: cross-site\nContent-Length: 12", "action=pause", []int{403}},
		{"POST /b/queues/mail HTTP/1.1\n" + form + "\nSec-Fetch-Site: same-site\nContent-Length: 12", "action=pause", []int{403}},
		{"POST /b/queues/mail HTTP/1.1\n" + form + "\nOrigin: null\nContent-Length: 12", "action=pause", []int{403}},
		{"POST /b/queues/mail HTTP/1.1\n" + form + "\nOrigin: http://evil.example\nContent-Length: 12", "action=pause", []int{403}},
		{"POST /b/v1/queues/mail/pause HTTP/1.1\n{host}\n{auth}\nOrigin: null\nContent-Length: 0", "", []int{403}},
		{"GET /b/jobs/export?format=csv HTTP/1.1\n{host}\n{auth}\nSec-Fetch-Site: cross-site\nSec-Fetch-Mode: no-cors\nSec-Fetch-Dest: image", "", []int{403}},
		{"GET /b/v1/jobs HTTP/1.1\n{host}\n{auth}\nSec-Fetch-Site: cross-site\nSec-Fetch-Mode: cors\nSec-Fetch-Dest: empty", "", []int{403}},
		{"GET /b/ HTTP/1.1\n{host}\n{auth}\nSec-Fetch-Site: cross-site\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: iframe", "", []int{403}},
		{"GET /b/ HTTP/1.1\n{host}\n{auth}\nSec-Fetch-Site: cross-site\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: document", "", []int{200}}, // a link
		{"OPTIONS /b/v1/jobs HTTP/1.1\n{host}\n{auth}\nOrigin: http://evil.example\nAccess-Control-Request-Method: POST", "", []int{405}},
		// Strangers, whatever they ask for.
		{"GET /b/nothing HTTP/1.1\n{host}", "", []int{401}},
		{"GET /b/../../etc/passwd HTTP/1.1\n{host}", "", []int{401}},
		{"GET /b/v1/jobs HTTP/1.1\n{host}\nX-Forwarded-User: anna\nX-Forwarded-For: 127.0.0.1\nX-Real-IP: 127.0.0.1", "", []int{401}},
		{"TRACE /b/ HTTP/1.1\n{host}", "", []int{401}},
		{"CONNECT evil.example:443 HTTP/1.1\n{host}", "", []int{401, 421, 400}},
		{"POST /b/v1/jobs HTTP/1.1\n{host}\nContent-Type: application/json\nContent-Length: 104857600", "", []int{401}},
		// Paths.
		{"GET //evil.example/%2e%2e HTTP/1.1\n{host}\n{auth}", "", []int{301, 307, 308, 404}},
		{"GET //evil.example/b/ HTTP/1.1\n{host}\n{auth}", "", []int{301, 307, 308, 404}},
		{"GET /b//evil.example/.. HTTP/1.1\n{host}\n{auth}", "", []int{301, 307, 308, 404}},
		{"GET /b/\\evil.example HTTP/1.1\n{host}\n{auth}", "", []int{400, 404}},
		{"GET /b/..%2f..%2fetc%2fpasswd HTTP/1.1\n{host}\n{auth}", "", []int{404, 301, 307}},
		{"GET /b/assets/x/..%2f..%2fserver.go HTTP/1.1\n{host}", "", []int{404}},
		{"GET /b/assets/../v1/jobs HTTP/1.1\n{host}", "", []int{401, 301, 307}},
		{"GET /b/assets/%2e%2e/jobs HTTP/1.1\n{host}", "", []int{401, 301, 307, 404}},
		{"GET /bb/v1/jobs HTTP/1.1\n{host}\n{auth}", "", []int{404}},
		{"GET /b/v1%2fjobs HTTP/1.1\n{host}\n{auth}", "", []int{404, 200}},
		{"GET /b/queues/%2f%2fevil.example HTTP/1.1\n{host}\n{auth}", "", []int{200, 404, 301, 307}},
		{"GET /b/queues/a%0d%0aSet-Cookie:%20x=1 HTTP/1.1\n{host}\n{auth}", "", []int{404, 400}},
		{"GET /b/jobs/%00 HTTP/1.1\n{host}\n{auth}", "", []int{404, 400}},
		// Sizes and numbers.
		{"POST /b/v1/jobs HTTP/1.1\n{host}\n{auth}\nContent-Type: application/json\nContent-Length: 104857600", "", []int{413}},
		{"POST /b/v1/jobs HTTP/1.1\n{host}\n{auth}\nContent-Type: application/json\nContent-Encoding: gzip\nContent-Length: 3", "abc", []int{415}},
		{"POST /b/v1/jobs HTTP/1.1\n{host}\n{auth}\nContent-Type: application/json\nContent-Length: 5\nTransfer-Encoding: chunked", "0\r\n\r\n", []int{400, 422}},
		{"POST /b/v1/jobs HTTP/1.1\n{host}\n{auth}\nContent-Type: application/json\nContent-Length: -1", "", []int{400}},
		{"GET /b/v1/jobs?limit=1e9 HTTP/1.1\n{host}\n{auth}", "", []int{400}},
		{"GET /b/v1/jobs?limit=1000000000 HTTP/1.1\n{host}\n{auth}", "", []int{400}},
		{"GET /b/v1/metrics?days=-1 HTTP/1.1\n{host}\n{auth}", "", []int{400}},
		{"GET /b/jobs?limit=1e9 HTTP/1.1\n{host}\n{auth}", "", []int{400}},
		{"GET /b/jobs?days=-1 HTTP/1.1\n{host}\n{auth}", "", []int{400}},
		{"GET /b/charts?range=-1 HTTP/1.1\n{host}\n{auth}", "", []int{400}},
		{"GET /b/failures?range=1e9d HTTP/1.1\n{host}\n{auth}", "", []int{400}},
		{"GET /b/audit?after=../x HTTP/1.1\n{host}\n{auth}", "", []int{400}},
		{"GET /b/bulk?after=" + strings.Repeat("z", 9000) + " HTTP/1.1\n{host}\n{auth}", "", []int{200, 400}},
		{"GET /b/queues?page=99999999999999999999&sort=-x HTTP/1.1\n{host}\n{auth}", "", []int{400}},
		{"GET /b/ HTTP/1.1\n{host}\n{auth}\nCookie: " + strings.Repeat("a=b; ", 6000) + "bellhop_said=" + strings.Repeat("x", 20_000), "", []int{200}},
		{"GET /b/ HTTP/1.1\n{host}\n{auth}\nCookie: " + strings.Repeat("x", 200_000), "", []int{431, 0}},
		{"GET /b/" + strings.Repeat("x", 200_000) + " HTTP/1.1\n{host}\n{auth}", "", []int{414, 431, 0}},
		{"GET /b/live?at=/live?at=/ HTTP/1.1\n{host}\n{auth}", "", []int{404}},
		{"GET /b/live?at=/jobs/export?format=csv HTTP/1.1\n{host}\n{auth}", "", []int{404}},
		{"GET /b/live?at=http://evil.example/ HTTP/1.1\n{host}\n{auth}", "", []int{400}},
	} {
		reply, body := b.send(c.request, strings.NewReader(c.body))
		status, to := 0, ""
		if reply != nil {
			status, to = reply.StatusCode, reply.Header.Get("Location")
		}
		fits := false
		for _, want := range c.want {
			fits = fits || want == status
		}
		if !fits || leaves.MatchString(to) {
			t.Errorf("%.200q: %d, to %q, want %v\n%.200s", c.request, status, to, c.want, body)
		}
		if strings.Contains(body, "goroutine") || strings.Contains(body, adminPassword) || reply != nil && len(reply.Cookies()) > 0 && reply.Cookies()[0].Name == "x" {
			t.Errorf("%.200q: it tells too much:\n%.500s", c.request, body)
		}
	}
	b.bodies(t)
	b.backAndCookies(t)
	b.guesses(t)
	job := `{"kind":"k"}`
	if reply, body := b.send(fmt.Sprintf("POST /b/v1/jobs HTTP/1.1\n{host}\n{auth}\nContent-Type: application/json\nContent-Length: %d", len(job)), strings.NewReader(job)); reply == nil || reply.StatusCode != http.StatusCreated {
		t.Errorf("after all that a job is answered %v %s", reply, body)
	}
	b.logIsClean(t)
}

// bodies sends bodies without an end, and ones that unpack to very much.
func (b *besieged) bodies(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = io.Copy(z, io.LimitReader(zeros{}, 64<<20)) // into memory
	_ = z.Close()
	for name, c := range map[string]struct {
		request string
		body    io.Reader
		want    int
	}{
		"an endless body for the API": {"POST /b/v1/jobs HTTP/1.1\n{host}\n{auth}\nContent-Type: application/json\nTransfer-Encoding: chunked", chunks{}, 413},
		"an endless form":             {"POST /b/bulk HTTP/1.1\n{host}\n{auth}\nContent-Type: application/x-www-form-urlencoded\nTransfer-Encoding: chunked", chunks{}, 413},
		"a large form":                {"POST /b/bulk HTTP/1.1\n{host}\n{auth}\nContent-Type: application/x-www-form-urlencoded\nContent-Length: 104857600", io.LimitReader(zeros{}, 100<<20), 413},
		"a bomb for a form": {
			fmt.Sprintf("POST /b/bulk HTTP/1.1\n{host}\n{auth}\nContent-Type: application/x-www-form-urlencoded\nContent-Encoding: gzip\nContent-Length: %d", bomb.Len()),
			bytes.NewReader(bomb.Bytes()), 400,
		},
	} {
		if reply, body := b.send(c.request, c.body); reply == nil || reply.StatusCode != c.want {
			t.Errorf("%s: %v, want %d\n%.200s", name, reply, c.want, body)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// chunks is a chunked body without an end.
type chunks struct{}

func (chunks) Read(p []byte) (int, error) {
	const chunk = "400\r\n"
	return copy(p, chunk+strings.Repeat("x", 0x400)+"\r\n"), nil
}

// backAndCookies tries to be led elsewhere after an action, and to have a page say what nobody has said.
func (b *besieged) backAndCookies(t *testing.T) {
	for _, back := range []string{
		"//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil.example", "/x\r\nSet-Cookie: x=1", "/%0d%0aSet-Cookie:%20x=1", "javascript:alert(1)", "/..//evil.example", "/%2e%2e//evil.example",
		"/%2f/evil.example", "\t//evil.example", " //evil.example", "/\t/evil.example", "?//evil.example", "#//evil.example", "/./", "", strings.Repeat("/x", 5000), "http:evil.example", "///evil.example", "/queues",
	} {
		body := url.Values{"action": {"resume"}, "back": {back}}.Encode()
		reply, _ := b.send(fmt.Sprintf("POST /b/queues/mail HTTP/1.1\n{host}\n{auth}\nContent-Type: application/x-www-form-urlencoded\nContent-Length: %d", len(body)), strings.NewReader(body))
		to := ""
		if reply != nil {
			to = reply.Header.Get("Location")
		}
		if u, err := url.Parse(to); reply == nil || reply.StatusCode != 303 || err != nil || u.Host != "" || !strings.HasPrefix(to, "/b/") || strings.Contains(u.Path, "..") {
			t.Errorf("back to %.60q leads to %.100q", back, to)
		}
		if cookies := reply.Cookies(); len(cookies) != 1 || cookies[0].Name != "bellhop_said" || !cookies[0].HttpOnly {
			t.Errorf("back to %.60q sets %v", back, cookies)
		}
	}
	for _, forged := range []string{
		base64.RawURLEncoding.EncodeToString([]byte(`{"t":"Log in at evil.example"}`)),
		base64.RawURLEncoding.EncodeToString(append(make([]byte, 32), `{"t":"Log in at evil.example","at":9999999999}`...)),
	} {
		reply, body := b.send("GET /b/ HTTP/1.1\n{host}\n{auth}\nCookie: bellhop_said="+forged, nil)
		if reply == nil || reply.StatusCode != 200 || strings.Contains(body, "evil.example") {
			t.Errorf("a cookie that was made up is believed: %v", reply)
		}
	}
}

// guesses tries passwords from what claim to be many clients.
func (b *besieged) guesses(t *testing.T) {
	let, began := 0, time.Now()
	for i := range 40 {
		guess := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "anna:guess-number-%d", i))
		reply, _ := b.send(fmt.Sprintf("GET /b/v1/jobs HTTP/1.1\n{host}\nAuthorization: Basic %s\nX-Forwarded-For: 192.0.2.%d\nX-Real-IP: 192.0.2.%d\nForwarded: for=192.0.2.%d", guess, i, i, i), nil)
		switch {
		case reply != nil && reply.StatusCode == 401:
			let++
		case reply == nil || reply.StatusCode != 429 || reply.Header.Get("Retry-After") == "":
			t.Errorf("guess %d: %v", i, reply)
		}
	}
	if most := access.DefaultLogins + 1 + int(time.Since(began).Minutes()*access.DefaultLogins); let > most { // so many a minute
		t.Errorf("%d guesses were looked at, want %d at most", let, most)
	}
	if reply, _ := b.send("GET /b/v1/jobs HTTP/1.1\n{host}\n{auth}", nil); reply == nil || reply.StatusCode != 200 {
		t.Errorf("who has shown the right password is shut out: %v", reply)
	}
}

// logIsClean looks at each line that the server has logged: it is one, and holds no secret.
func (b *besieged) logIsClean(t *testing.T) {
	b.output.mu.Lock()
	defer b.output.mu.Unlock()
	for _, line := range b.output.lines {
		var fields map[string]any
		if strings.HasPrefix(line, "{") && json.Unmarshal([]byte(line), &fields) != nil || strings.ContainsAny(line, "\x1b\x00\r") {
			t.Errorf("a line of the log is broken: %q", line)
		}
		for _, secret := range []string{adminPassword, readerPassword, "guess-number", base64.StdEncoding.EncodeToString([]byte("anna:" + adminPassword)), "panic"} {
			if strings.Contains(line, secret) {
				t.Errorf("the log tells %q: %q", secret, line)
			}
		}
	}
}

// TestSlowClients: who sends a header or a body byte by byte is let go of, and keeps nobody waiting.
func TestSlowClients(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes as long as the server's patience")
	}
	t.Parallel()
	store := newStore(t)
	must(t, store, "", "enqueue", "k", "{}")
	b := besiege(t, "ui", "--store", store)
	var slow []net.Conn
	for range 200 {
		c, err := net.Dial("tcp", b.host)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET /b/ HTTP/1.1\r\nHost: "+b.host+"\r\nX-A: "); err != nil {
			t.Fatal(err)
		}
		slow = append(slow, c)
	}
	began := time.Now()
	// Had it to wait for the slow ones, it would wait until they are let go.
	if reply, _ := b.send("GET /b/ HTTP/1.1\n{host}\n{auth}", nil); reply == nil || reply.StatusCode != 200 || time.Since(began) >= readHeaderTimeout {
		t.Errorf("beside slow clients: %v after %v", reply, time.Since(began))
	}
	for _, c := range slow {
		go func() { // a byte now and then, as if the rest were to come
			for {
				if _, err := io.WriteString(c, "x"); err != nil {
					return
				}
				time.Sleep(500 * time.Millisecond) // the pace of a slow client
			}
		}()
	}
	for i, c := range slow {
		if err := c.SetReadDeadline(began.Add(readHeaderTimeout + 20*time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Fatalf("slow client %d is waited for after %v", i, time.Since(began))
		}
	}
}
