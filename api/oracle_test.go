package api_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/access/accesstest"
	"github.com/gobellhop/bellhop/api"
)

// TestSearchesAnswerNoGuesses: who is not shown a secret gets the same reply to a right guess as to a wrong one, byte for byte, whatever he
// asks; and who may see it finds it.
func TestSearchesAnswerNoGuesses(t *testing.T) {
	const secret, other = "hunter", "wanter"
	for _, v := range accesstest.Visitors(testing.Short()) {
		if v.Name == accesstest.Stranger || v.Mail == access.None {
			continue
		}
		w := newWorld(t, api.Options{Authorize: v.Authorize})
		args := `{"user":"anna","password":"` + secret + `","headers":[{"name":"Authorization","value":"` + secret + `"}],"deep":{"apiKey":["` + secret + `"]}}`
		r, err := bellhop.Enqueue(t.Context(), w.client, bellhop.RawJob("k", []byte(args), bellhop.Queue("mail"), bellhop.Attempts(1)))
		if err != nil {
			t.Fatal(err)
		}
		h := w.hire([]string{"mail"}, []string{"k"})
		h.finish(h.claim(), bellhop.Return{Err: errors.New("login with password=" + secret + " at https://anna:" + secret + "@example.com failed")})
		id := r[0].ID.String()
		guess := func(word, method, target, body string) (string, bool) {
			fill := func(s string, escape func(string) string) string { return strings.ReplaceAll(s, "GUESS", escape(word)) }
			reply := w.do(method, fill(target, url.QueryEscape), fill(body, func(s string) string { return s }))
			text := reply.Body.String()
			return strings.ReplaceAll(text, word, "GUESS"), strings.Contains(text, id) || strings.Contains(text, `"count":1`)
		}
		for _, q := range []struct{ method, target, body string }{
			{"GET", "/v1/jobs?text=GUESS", ""},
			{"GET", `/v1/jobs?text="GUESS"&queue=mail&args=true`, ""},
			{"GET", "/v1/jobs?text=password%22:%22GUESS", ""},
			{"GET", "/v1/jobs?error=GUESS", ""},
			{"GET", "/v1/jobs?error=password%3DGUESS&state=dead", ""},
			{"GET", "/v1/jobs?error=anna:GUESS@&queue=mail", ""},
			{"GET", "/v1/jobs?arg=password%3DGUESS", ""},
			{"GET", "/v1/jobs?arg=headers.0.value%3DGUESS", ""},
			{"GET", "/v1/jobs?arg=deep.apiKey.0%3DGUESS&queue=mail", ""},
			{"GET", "/v1/jobs/count?text=GUESS", ""},
			{"GET", "/v1/jobs/count?error=GUESS&limit=1", ""},
			{"GET", "/v1/jobs/count?arg=headers.0.value%3DGUESS", ""},
			{"POST", "/v1/jobs/actions", `{"action":"retry","filter":{"text":"GUESS"}}`},
			{"POST", "/v1/jobs/actions", `{"action":"delete","filter":{"queues":["mail"],"error":"GUESS"}}`},
		} {
			right, found := guess(secret, q.method, q.target, q.body)
			wrong, _ := guess(other, q.method, q.target, q.body)
			sees := v.Mail == access.Admin && (v.Rest == access.Admin || v.Rest == access.None || strings.Contains(q.target+q.body, "mail"))
			switch {
			case sees && q.method == "GET" && !found:
				t.Errorf("%s as %s: what may be seen is not found: %s", q.target, v.Name, right)
			case v.Mail < access.Admin && right != wrong:
				t.Errorf("%s %s as %s: a right guess is answered\n%s\nand a wrong one\n%s", q.target, q.body, v.Name, right, wrong)
			}
		}
		job, err := w.client.Get(t.Context(), r[0].ID)
		if v.Mail < access.Admin && (err != nil || job.Place.State != bellhop.StateDead) {
			t.Errorf("as %s an action by a guess has changed the job: %v, %v", v.Name, job, err)
		}
		// A group of failures is no way round either: its name is the same whatever the secret is.
		one, two := &bellhop.Failure{Message: "password=" + secret + " failed"}, &bellhop.Failure{Message: "password=" + other + " failed"}
		if bellhop.Fingerprint("k", one) != bellhop.Fingerprint("k", two) {
			t.Error("a fingerprint depends on a secret")
		}
	}
}
