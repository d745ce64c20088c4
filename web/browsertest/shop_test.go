package browsertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/rollup"
	"github.com/gobellhop/bellhop/store/memory"
)

// clock is the store's: it stands where it is set, until it is let go.
type clock struct{ stands atomic.Pointer[time.Time] }

func (c *clock) Now() time.Time {
	if at := c.stands.Load(); at != nil {
		return *at
	}
	return time.Now()
}

func (c *clock) set(at time.Time) { c.stands.Store(&at) }
func (c *clock) letGo()           { c.stands.Store(nil) }

// shop is a store after a day of a shop's work.
type shop struct {
	tb     testing.TB
	clock  *clock
	store  bellhop.Store
	client *bellhop.Client
	counts *rollup.Recorder
	random *rand.Rand

	web, batch bellhop.ID // processes
	jobs       map[string]bellhop.ID
}

// line is what one kind does day in, day out.
type line struct {
	queue, kind string
	perMinute   float64
	wait, run   time.Duration // medians
	failing     float64       // the part that fails and is retried
	failure     bellhop.Failure
}

var lines = []line{
	{"payments", "order.charge", 14, 12 * time.Millisecond, 240 * time.Millisecond, 0.02, bellhop.Failure{Class: "*payment.Error", Message: "charge order 81%03d: the bank answered 503 Service Unavailable"}},
	{"mail", "mail.receipt", 14, 40 * time.Millisecond, 90 * time.Millisecond, 0.01, bellhop.Failure{Class: "*textproto.Error", Message: "450 4.2.1 mailbox of customer %d is busy, try again later"}},
	{"mail", "mail.welcome", 3, 35 * time.Millisecond, 85 * time.Millisecond, 0.01, bellhop.Failure{Class: "*textproto.Error", Message: "450 4.2.1 mailbox of customer %d is busy, try again later"}},
	{"search", "search.index", 32, 5 * time.Millisecond, 18 * time.Millisecond, 0.002, bellhop.Failure{Class: "*net.OpError", Message: "dial tcp 10.0.3.%d:9200: connect: connection refused"}},
	{"webhooks", "webhook.deliver", 9, 60 * time.Millisecond, 420 * time.Millisecond, 0.11, bellhop.Failure{Class: "*url.Error", Message: "Post \"https://partner-%d.example.com/hooks\": context deadline exceeded"}},
	{"reports", "report.daily", 0.4, 900 * time.Millisecond, 41 * time.Second, 0.01, bellhop.Failure{Class: "*fs.PathError", Message: "open /var/reports/2026-%d.csv: no space left on device"}},
	{"images", "image.resize", 6, 20 * time.Millisecond, 700 * time.Millisecond, 0.004, bellhop.Failure{Class: "image.FormatError", Message: "image %d: unknown format"}},
}

// newShop lets a day pass.
func newShop(tb testing.TB) *shop {
	tb.Helper()
	c := &clock{}
	now := time.Now().Truncate(time.Second)
	c.set(now.Add(-26 * time.Hour))
	store := memory.New(memory.WithClock(c))
	client, err := bellhop.NewClient(store, bellhop.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = client.Close() })
	s := &shop{
		tb: tb, clock: c, store: store, client: client, counts: rollup.NewRecorder(), random: rand.New(rand.NewPCG(4, 2)),
		web: bellhop.NewID(), batch: bellhop.NewID(), jobs: map[string]bellhop.ID{},
	}
	writer := rollup.NewWriter(store, s.counts, c.Now)
	ctx := context.Background()
	for at := now.Add(-26 * time.Hour); at.Before(now); at = at.Add(time.Minute) {
		c.set(at)
		if _, m, _ := at.Clock(); m%10 == 0 || now.Sub(at) < 3*time.Minute {
			s.beat()
		}
		s.minute(now.Sub(at))
		s.events(now.Sub(at))
		if err := errors.Join(writer.Write(ctx), writer.Merge(ctx)); err != nil {
			tb.Fatal(err)
		}
	}
	c.set(now)
	s.standing()
	c.letGo()
	return s
}

// beat keeps the shop's processes alive.
func (s *shop) beat() {
	for _, p := range []bellhop.Process{
		{ID: s.web, Name: "shop-7f9c4-x2lqp", Host: "shop-7f9c4-x2lqp", PID: 1, Version: "2026.11.3", Slots: 40, Busy: 1, Queues: []string{"payments", "mail", "search", "webhooks"}, Kinds: []string{"order.charge", "mail.receipt", "mail.welcome", "search.index", "webhook.deliver"}},
		{ID: s.batch, Name: "batch-5d8b6-kk4vz", Host: "batch-5d8b6-kk4vz", PID: 1, Version: "2026.11.3", Slots: 8, Busy: 2, Queues: []string{"images", "reports"}, Kinds: []string{"image.resize", "report.daily"}},
	} {
		p.StartedAt = s.clock.Now().Add(-6*time.Hour - 12*time.Minute)
		_, err := s.store.Beat(context.Background(), &bellhop.Beat{Process: p, Lease: 24 * time.Hour})
		s.check(err)
	}
}

func (s *shop) check(err error) {
	s.tb.Helper()
	if err != nil {
		s.tb.Fatal(err)
	}
}

// minute counts what the lines did within a minute so long ago: more by day than by night, and an hour and a half ago the bank failed.
func (s *shop) minute(ago time.Duration) {
	at := s.clock.Now()
	day := 0.65 + 0.35*math.Sin(2*math.Pi*(24-ago.Hours()+3)/24)
	enqueued := map[string]string{} // by queue, and of all, as a client notes it
	for _, l := range lines {
		n := int(l.perMinute*day*(0.8+0.4*s.random.Float64()) + s.random.Float64())
		failing, slow := l.failing, 1.0
		if l.kind == "order.charge" && ago > 70*time.Minute && ago < 95*time.Minute {
			failing, slow = 0.7, 6
		}
		if l.queue == "webhooks" && ago < 40*time.Minute {
			failing = 0.3
		}
		for _, queue := range []string{"", l.queue} {
			enqueued[queue] += fmt.Sprintf(" %s=%d", l.kind, n)
		}
		for range n {
			c := &bellhop.Claim{Job: &bellhop.Job{ID: bellhop.NewID(), Kind: l.kind, Queue: l.queue, Attempts: 5}, Place: bellhop.Place{Due: at}}
			o := &bellhop.Outcome{Kind: bellhop.OutcomeSucceeded, Attempt: 1, Number: 1, Started: at.Add(s.about(l.wait, slow))}
			o.Ended = o.Started.Add(s.about(l.run, slow))
			if s.random.Float64() < failing {
				o.Kind, o.Failure, o.Failures = bellhop.OutcomeRetry, s.failure(l), 1
			}
			s.counts.Outcome(c, o, at)
		}
	}
	notes := map[string][]byte{}
	for _, queue := range slices.Sorted(maps.Keys(enqueued)) {
		which := "queues"
		if queue == "" {
			which = "all"
		}
		notes[which] = fmt.Appendf(notes[which], "%s%s\n", queue, enqueued[queue])
	}
	var writes []bellhop.RecordWrite
	for which, note := range notes {
		writes = append(writes, bellhop.RecordWrite{
			Space: bellhop.EnqueuedSpace, Key: which + "/" + at.UTC().Format("2006-01-02T15:04Z") + "/shop", Value: note, Expect: bellhop.ExpectAny, TTL: 48 * time.Hour,
		})
	}
	if err := s.store.Put(context.Background(), writes); err != nil {
		s.tb.Fatal(err)
	}
}

// about is a time round a median, as times of real work are: some take several times as long.
func (s *shop) about(median time.Duration, slow float64) time.Duration {
	return time.Duration(float64(median) * slow * math.Exp(0.55*s.random.NormFloat64()))
}

func (s *shop) failure(l line) *bellhop.Failure {
	f := l.failure
	f.Message = fmt.Sprintf(f.Message, s.random.IntN(900)+10)
	f.Stack = "example.com/shop/" + l.queue + ".deliver(0x14000122000)\n\t/src/shop/" + l.queue + "/deliver.go:84 +0x1b4\nexample.com/shop/" + l.queue +
		".run({0x1046f8ba0, 0x1400011c0c0})\n\t/src/shop/" + l.queue + "/run.go:31 +0x6c"
	return &f
}

// events are the day's jobs that are still there to be seen.
func (s *shop) events(ago time.Duration) {
	minute := int(ago / time.Minute)
	switch {
	case minute == 6*60+12:
		_, err := rollup.AddMark(context.Background(), s.store, "shop 2026.11.3", "deploy")
		s.check(err)
	case minute <= 95 && minute > 70: // the bank is away
		s.play("order.charge", "payments", fmt.Sprintf(`{"order":81%03d,"amount":{"cents":%d,"currency":"EUR"},"card_token":"tok_%d"}`, minute, 1990+minute*10, minute), bellhop.OutcomeDead, bellhop.Attempts(1), bellhop.Tags("checkout"))
	case minute < 60 && minute%4 == 0:
		s.jobs["dead"] = s.play("webhook.deliver", "webhooks", fmt.Sprintf(`{"partner":%d,"event":"order.paid","order":81%03d}`, minute%7, minute), bellhop.OutcomeDead, bellhop.Attempts(1))
	case minute < 60 && minute%3 == 0:
		s.play("mail.receipt", "mail", fmt.Sprintf(`{"order":81%03d,"to":"customer-%d@example.com"}`, minute, minute), bellhop.OutcomeSucceeded, bellhop.Tags("receipt", "eu"))
	case minute < 60 && minute%5 == 0:
		s.play("order.charge", "payments", fmt.Sprintf(`{"order":81%03d,"amount":{"cents":4200,"currency":"EUR"}}`, minute), bellhop.OutcomeSucceeded, bellhop.Tags("checkout"))
	case minute == 23:
		s.jobs["retried"] = s.retried()
	}
}

// play runs a job from its beginning to its end.
func (s *shop) play(kind, queue, args string, end bellhop.OutcomeKind, opts ...bellhop.Option) bellhop.ID {
	id := s.enqueue(kind, queue, args, opts...)
	c := s.claim(queue, kind)
	if end == bellhop.OutcomeSucceeded {
		s.finish(c, &bellhop.Outcome{Kind: end, Attempt: 1, Number: 1, Result: []byte(`{"accepted":true,"queue_id":"4bX2k91","at":90071992547409931}`), Keep: 7 * 24 * time.Hour})
	} else {
		s.finish(c, &bellhop.Outcome{Kind: end, Attempt: 1, Failures: 1, Number: 1, Failure: s.failureOf(kind), Reason: "attempt 1 of 1 failed", Keep: bellhop.Forever})
	}
	return id
}

func (s *shop) failureOf(kind string) *bellhop.Failure {
	for _, l := range lines {
		if l.kind == kind {
			return s.failure(l)
		}
	}
	return &bellhop.Failure{Class: "*errors.errorString", Message: "it does not work"}
}

// retried is a job that failed three times, and waits for its fourth attempt.
func (s *shop) retried() bellhop.ID {
	began := s.clock.Now()
	id := s.enqueue("webhook.deliver", "webhooks", `{"partner":7,"event":"order.paid","order":81007,"api_key":"sk_live_51H8","ledger":123456789012345678901234567890}`,
		bellhop.Tags("partner-7", "vip"), bellhop.Attempts(8), bellhop.Meta("request_id", "9f86d081884c7d65"), bellhop.Meta("tenant", "acme"))
	for i, wait := range []time.Duration{time.Second, 20 * time.Second, 4 * time.Hour} {
		c := s.claim("webhooks", "webhook.deliver")
		s.finish(c, &bellhop.Outcome{Kind: bellhop.OutcomeRetry, Wait: wait, Attempt: i + 1, Failures: i + 1, Number: i + 1, Failure: s.failureOf("webhook.deliver"), Log: s.log(c.Place.ClaimedAt)})
		if wait < time.Hour {
			s.clock.set(s.clock.Now().Add(wait))
			_, _, err := s.store.Promote(context.Background(), 100)
			s.check(err)
		}
	}
	s.clock.set(began)
	return id
}

// log is what a webhook's attempt has logged since it began.
func (s *shop) log(began time.Time) []byte {
	line := func(after time.Duration, level slog.Level, message string, attrs ...bellhop.LogAttr) bellhop.LogLine {
		return bellhop.LogLine{Time: began.Add(after), Level: level, Message: message, Attrs: attrs}
	}
	log, err := json.Marshal(bellhop.Log{Trace: "0af7651916cd43dd8448eb211c80319c", Lines: []bellhop.LogLine{
		line(1*time.Millisecond, slog.LevelInfo, "partner looked up", bellhop.LogAttr{Key: "partner", Value: "7"}, bellhop.LogAttr{Key: "api_key", Value: "sk_live_51H8"}),
		line(4*time.Millisecond, slog.LevelInfo, "delivering", bellhop.LogAttr{Key: "url", Value: "https://hooks.partner.example/orders"}, bellhop.LogAttr{Key: "bytes", Value: "1804"}),
		line(130*time.Millisecond, slog.LevelWarn, "the answer is slow", bellhop.LogAttr{Key: "after", Value: "126ms"}),
		line(240*time.Millisecond, slog.LevelError, "given up", bellhop.LogAttr{Key: "error", Value: "read tcp 10.2.0.7:51514->203.0.113.9:443: i/o timeout"}),
	}})
	s.check(err)
	return log
}

// standing is what is there now: jobs that run, wait and are due later.
func (s *shop) standing() {
	s.jobs["running"] = s.enqueue("report.daily", "reports", `{"day":"2026-11-24","format":"csv"}`, bellhop.Tags("nightly"), bellhop.Timeout(time.Hour))
	c := s.claim("reports", "report.daily")
	_, err := s.store.Report(context.Background(), []bellhop.Report{{Token: c.Token, Started: true, Progress: []byte(`{"done":6120,"total":9800,"note":"orders of Hamburg"}`)}})
	s.check(err)
	s.enqueue("image.resize", "images", `{"image":"p/8812.jpg","widths":[320,640,1280]}`)
	s.claim("images", "image.resize")
	for i := range 14 {
		s.enqueue("webhook.deliver", "webhooks", fmt.Sprintf(`{"partner":%d,"event":"order.sent"}`, i%7))
	}
	for i := range 6 {
		s.enqueue("mail.welcome", "mail", fmt.Sprintf(`{"to":"customer-%d@example.com"}`, 900+i), bellhop.In(time.Duration(i+1)*17*time.Minute))
	}
	for i := range 230 {
		s.enqueue("import.row", "imports", fmt.Sprintf(`{"row":%d,"file":"prices.csv"}`, i))
	}
	s.check(s.client.Pause(context.Background(), "imports"))
	for i := range 31 {
		s.enqueue("video.encode", "videos", fmt.Sprintf(`{"video":%d}`, i))
	}
	s.jobs["ready"] = s.enqueue("video.encode", "videos", `{"video":99}`)
}

func (s *shop) enqueue(kind, queue, args string, opts ...bellhop.Option) bellhop.ID {
	s.tb.Helper()
	receipts, err := bellhop.Enqueue(context.Background(), s.client, bellhop.RawJob(kind, []byte(args), append(opts, bellhop.Queue(queue))...))
	s.check(err)
	return receipts[0].ID
}

// claim takes the next job of a queue for the process that works it.
func (s *shop) claim(queue, kind string) bellhop.Claim {
	s.tb.Helper()
	process := s.web
	if queue == "reports" || queue == "images" {
		process = s.batch
	}
	reply, err := s.store.Exchange(context.Background(), &bellhop.ExchangeRequest{ID: bellhop.NewID(), Process: process, Wants: []bellhop.Want{{Queue: queue, Count: 1}}, Limit: 1, Kinds: []string{kind}})
	s.check(err)
	if len(reply.Claims) != 1 {
		s.tb.Fatalf("queue %s gave %d jobs, want 1", queue, len(reply.Claims))
	}
	return reply.Claims[0]
}

func (s *shop) finish(c bellhop.Claim, o *bellhop.Outcome) {
	s.tb.Helper()
	now := s.clock.Now()
	o.Token, o.Started, o.Ended = c.Token, now, now.Add(s.about(300*time.Millisecond, 1))
	reply, err := s.store.Exchange(context.Background(), &bellhop.ExchangeRequest{ID: bellhop.NewID(), Process: c.Place.Process, Outcomes: []bellhop.Outcome{*o}})
	s.check(err)
	if len(reply.Refused) > 0 {
		s.tb.Fatalf("the outcome was refused: %+v", reply.Refused)
	}
	s.counts.Outcome(&c, o, now)
}
