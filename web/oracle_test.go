package web

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/access/accesstest"
)

var titleForm = regexp.MustCompile(`<title>([^<]*)</title>`)

// TestSearchesAnswerNoGuesses: who is not shown a secret gets the same answer to a right guess as to a wrong one, in lists, counts, exports and before
// and after operations; and who may see it finds it.
func TestSearchesAnswerNoGuesses(t *testing.T) {
	const secret, other = "hunter", "wanter"
	for _, v := range accesstest.Visitors(testing.Short()) {
		if v.Name == accesstest.Stranger || v.Mail == access.None {
			continue
		}
		w := newWorld(t, func(o *Options) { o.Authorize = v.Authorize })
		r, err := bellhop.Enqueue(t.Context(), w.client, bellhop.RawJob("k", []byte(`{"user":"anna","password":"`+secret+`","name":"token","value":"`+secret+`"}`), bellhop.Queue("mail")))
		if err != nil {
			t.Fatal(err)
		}
		id := r[0].ID.String()
		w.end("mail", bellhop.OutcomeDead, &bellhop.Failure{Class: "error", Message: "login with password=" + secret + " failed"})
		for _, condition := range []string{"text=GUESS", "text=%22GUESS%22&queue=mail", "error=GUESS", "error=password%3DGUESS&queue=mail", "arg=password%3DGUESS", "arg=value%3DGUESS"} {
			ask := func(word, path string) (answer string, found bool) {
				reply, body := w.ask("GET", strings.ReplaceAll(path, "GUESS", word), nil, "Accept", "application/json")
				if title := titleForm.FindStringSubmatch(body); title != nil { // of the page, what is said of the jobs
					body = title[1] + strings.Repeat(" with the job", strings.Count(body, id))
				}
				return reply.Status + strings.ReplaceAll(body, word, "GUESS"), strings.Contains(body, id) || strings.Contains(body, `"count":1`) || strings.Contains(body, "1 job?")
			}
			sees := v.Mail == access.Admin && (v.Rest == access.Admin || v.Rest == access.None || strings.Contains(condition, "mail"))
			for _, path := range []string{"/jobs?" + condition, "/jobs/count?" + condition, "/jobs/export?format=ndjson&" + condition, "/bulk/new?action=retry&all=1&q=" + url.QueryEscape(condition)} {
				right, found := ask(secret, path)
				wrong, _ := ask(other, path)
				switch {
				case sees && !found:
					t.Errorf("%s as %s: what may be seen is not found: %.300s", path, v.Name, right)
				case v.Mail < access.Admin && right != wrong:
					t.Errorf("%s as %s: a right guess is answered\n%.300s\nand a wrong one\n%.300s", path, v.Name, right, wrong)
				}
			}
			if v.Mail != access.Act {
				continue
			}
			for _, word := range []string{secret, other} {
				w.ask("POST", "/bulk", form("action", "retry", "all", "1", "q", strings.ReplaceAll(condition, "GUESS", word)))
			}
			if state := w.state(r[0].ID); state != bellhop.StateDead {
				t.Fatalf("%s as %s: an operation by a guess has made the job %v", condition, v.Name, state)
			}
		}
	}
}
