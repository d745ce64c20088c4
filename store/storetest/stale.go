package storetest

import (
	"time"

	"github.com/gobellhop/bellhop"
)

var staleTests = []test{
	{"every write under every stale token", "X1 R1", staleWrites},
	{"others are not held up", "X1 R1", staleOthers},
	{"swept and run by another", "X1 X4 R1 S3", staleZombie},
	{"run again by a person", "X1 X4 A3", staleRunAgain},
	{"beats name what is lost", "B3", staleBeats},
}

// staleTokens returns tokens that must not fit, by what is wrong with them. The
// jobs behind them are in all states; one runs, under another token.
func (t *try) staleTokens(p bellhop.ID) map[string]bellhop.Token {
	t.Helper()
	running := t.running(p).Token
	tokens := map[string]bellhop.Token{}
	with := func(what string, change func(*bellhop.Token)) {
		token := running
		change(&token)
		tokens[what] = token
	}
	with("number one more", func(o *bellhop.Token) { o.Number++ })
	with("number one less", func(o *bellhop.Token) { o.Number-- })
	with("number negative", func(o *bellhop.Token) { o.Number = -o.Number })
	with("other exchange", func(o *bellhop.Token) { o.Exchange = bellhop.NewID() })
	with("no exchange", func(o *bellhop.Token) { o.Exchange = bellhop.ID{} })
	with("other job", func(o *bellhop.Token) { o.JobID = bellhop.NewID() })
	with("no job", func(o *bellhop.Token) { o.JobID = bellhop.ID{} })
	tokens["zero"] = bellhop.Token{}
	with("waiting job", func(o *bellhop.Token) { o.JobID = t.add(delay(time.Hour)).ID })
	with("ready job", func(o *bellhop.Token) { o.JobID, o.Number = t.add(priority(9)).ID, 0 })
	// A job that was claimed again, and the right number with the exchange of before.
	c := t.running(p)
	t.end(outcome(c, bellhop.OutcomeHandedBack))
	again := t.claimOne(p, c.Token.JobID)
	mixed := again.Token
	mixed.Exchange = c.Token.Exchange
	tokens["number of now, exchange of before"] = mixed
	mixed = c.Token
	mixed.Exchange = again.Token.Exchange
	tokens["number of before, exchange of now"] = mixed
	// A job that has ended, under a token that it never had.
	c = t.running(p)
	t.end(outcome(c, bellhop.OutcomeSucceeded))
	ended := c.Token
	ended.Exchange = bellhop.NewID()
	tokens["ended, other exchange"] = ended
	return tokens
}

func staleWrites(t *try) {
	p := t.process()
	tokens := t.staleTokens(p)
	before := t.view()
	for what, token := range tokens {
		for kind := bellhop.OutcomeSucceeded; kind <= bellhop.OutcomeSwept; kind++ {
			o := bellhop.Outcome{
				Token: token, Kind: kind, Wait: time.Hour, Attempt: 9, Failures: 9, Crashes: 1, Suspect: true, Number: 9,
				Failure: &bellhop.Failure{Class: "stale", Message: "stale"}, Reason: "stale", Result: []byte(`"stale"`),
			}
			t.same(what+": "+kind.String(), t.hand(o), []bellhop.Refusal{{Err: bellhop.ErrStale}})
		}
		for _, r := range []bellhop.Report{
			{Token: token, Started: true}, {Token: token, Progress: []byte(`{"done":1}`)}, {Token: token},
		} {
			refused, err := t.s.Report(t.ctx, []bellhop.Report{r})
			must(t, err)
			t.same(what+": report", refused, []bellhop.Refusal{{Err: bellhop.ErrStale}})
		}
	}
	t.same("view after stale writes", t.view(), before)
}

func staleOthers(t *try) {
	p := t.process()
	a, b := t.running(p), t.running(p)
	waiting := t.add()
	tokens := t.staleTokens(p)
	r := request(p, 1)
	var reports []bellhop.Report
	for _, token := range tokens {
		r.Outcomes = append(r.Outcomes, bellhop.Outcome{Token: token, Kind: bellhop.OutcomeSucceeded})
		reports = append(reports, bellhop.Report{Token: token, Started: true})
	}
	n := len(reports)
	reports = append(reports, bellhop.Report{Token: a.Token, Progress: []byte(`{"done":2}`)})
	refused, err := t.s.Report(t.ctx, reports)
	must(t, err)
	t.same("refused reports", len(refused), n)
	t.same("progress", string(t.get(a.Token.JobID).Place.Progress), `{"done":2}`)

	r.Outcomes = append(r.Outcomes, outcome(a, bellhop.OutcomeSucceeded))
	r.Outcomes = append([]bellhop.Outcome{outcome(b, bellhop.OutcomeRetry)}, r.Outcomes...)
	reply := t.exchange(r)
	if len(reply.Refused) != n {
		t.Fatalf("X1: %d outcomes were refused; want %d", len(reply.Refused), n)
	}
	for i, f := range reply.Refused {
		if f.Index != i+1 {
			t.Errorf("X1: refusal %d is of outcome %d; want %d", i, f.Index, i+1)
		}
	}
	t.in(bellhop.StateSucceeded, a.Token.JobID)
	t.in(bellhop.StateScheduled, b.Token.JobID)
	t.same("claims", claimed(reply.Claims), ids(waiting))
}

func staleZombie(t *try) {
	p, q := t.processFor(time.Minute), t.process()
	c := t.running(p)
	dead := t.sweepAfter(time.Minute)
	t.end(dead[0].Sweep(t.now()))
	check := func(moment string) {
		t.Helper()
		before := t.view()
		t.same(moment+": refused outcome", t.hand(outcome(c, bellhop.OutcomeSucceeded)), []bellhop.Refusal{{Err: bellhop.ErrStale, Recorded: bellhop.OutcomeSwept}})
		refused, err := t.s.Report(t.ctx, []bellhop.Report{{Token: c.Token, Started: true, Progress: []byte(`{"done":1}`)}})
		must(t, err)
		t.same(moment+": refused report", refused, []bellhop.Refusal{{Err: bellhop.ErrStale, Recorded: bellhop.OutcomeSwept}})
		t.same(moment+": view", t.view(), before)
	}
	check("after the sweep")
	again := t.claimOne(q, c.Token.JobID)
	check("while another runs it")
	t.end(outcome(again, bellhop.OutcomeSucceeded))
	check("after another finished it")
	t.same("refused sweep", t.hand(dead[0].Sweep(t.now())), []bellhop.Refusal(nil))
}

func staleRunAgain(t *try) {
	p := t.process()
	c := t.running(p)
	id := c.Token.JobID
	t.end(outcome(c, bellhop.OutcomeDead))
	t.act(bellhop.ActRetry, id)
	want := []bellhop.Refusal{{Err: bellhop.ErrStale, Recorded: bellhop.OutcomeDead}}
	t.same("refused", t.hand(outcome(c, bellhop.OutcomeSucceeded)), want)
	again := t.claimOne(p, id)
	t.same("refused while it runs again", t.hand(outcome(c, bellhop.OutcomeSucceeded)), want)
	t.end(outcome(again, bellhop.OutcomeSucceeded))
	// The claim's record may be gone: the token is stale all the same.
	for range bellhop.KeptAttempts {
		t.act(bellhop.ActRetry, id)
		t.end(outcome(t.claimOne(p, id), bellhop.OutcomeSucceeded))
	}
	t.same("refused without a record", t.hand(outcome(c, bellhop.OutcomeSucceeded)), []bellhop.Refusal{{Err: bellhop.ErrStale}})
	t.same("a person's retries", t.get(id).Place.Generation, bellhop.KeptAttempts+1)
}

func staleBeats(t *try) {
	p, q := t.process(), t.process()
	mine, others := t.running(p), t.running(q)
	wrong := t.staleTokens(p)
	held := []bellhop.Token{mine.Token, others.Token}
	want := []bellhop.Token{others.Token}
	for _, token := range wrong {
		held, want = append(held, token), append(want, token)
	}
	t.same("lost", sortTokens(t.beat(p, longLease, held...).Lost), sortTokens(want))
}
