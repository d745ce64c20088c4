package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/worker"
)

// OrderRef is the argument of every job of the shop: the order's id. What the order is stands in the shop's own table, so a job
// never carries a copy that grows old.
type OrderRef struct {
	Order string `json:"order"`
}

// The shop's jobs, declared once for the code that enqueues and the code that works.
//
// An order that is gone needs nothing any more. A service that cannot be reached, or says "later", is asked again: soon at
// first, since most troubles are short, then every few seconds at most. Each wait has jitter, so that the orders of an outage do
// not all come back in one moment.
var (
	ChargeCard = bellhop.Define[OrderRef]("shop.charge",
		bellhop.Queue("charge"),
		bellhop.Attempts(1000),
		bellhop.Timeout(30*time.Second),
		bellhop.DiscardOn(ErrNoOrder),
		bellhop.RetryOn(temporary, bellhop.Exponential(250*time.Millisecond, 2*time.Second)),
	)
	SendMail   = afterwards("shop.mail", "mail")
	JoinList   = afterwards("shop.subscribe", "list")
	TellStaff  = afterwards("shop.chat", "chat")
	TrackOrder = afterwards("shop.track", "analytics")
)

// afterwards defines a job for which nobody sits and waits.
func afterwards(kind, queue string) *bellhop.Definition[OrderRef] {
	return bellhop.Define[OrderRef](kind,
		bellhop.Queue(queue),
		bellhop.Attempts(1000),
		bellhop.Timeout(time.Minute),
		bellhop.DiscardOn(ErrNoOrder),
		bellhop.RetryOn(temporary, bellhop.Exponential(time.Second, 15*time.Second)),
	)
}

// queues says how many jobs of each queue run at once. They do nothing but wait for a service, so there may be many.
var queues = worker.Queues{"charge": 400, "mail": 300, "list": 200, "chat": 100, "analytics": 100, bellhop.DefaultQueue: 20}

// jobOf returns the job that does an effect.
func jobOf(effect string) (*bellhop.Definition[OrderRef], error) {
	switch effect {
	case EffectCharge:
		return ChargeCard, nil
	case EffectMail:
		return SendMail, nil
	case EffectSubscribe:
		return JoinList, nil
	case EffectChat:
		return TellStaff, nil
	case EffectTrack:
		return TrackOrder, nil
	}
	return nil, fmt.Errorf("demo: no effect %q: use one of %v", effect, AllEffects())
}

// kinds returns the kinds of the shop's jobs.
func kinds() []string {
	return []string{ChargeCard.Kind(), SendMail.Kind(), JoinList.Kind(), TellStaff.Kind(), TrackOrder.Kind()}
}

// enqueue hands over the named effects of an order, all or none: through a client at once, through a transaction with its commit.
func enqueue(ctx context.Context, to bellhop.Enqueuer, order Order, effects ...string) error {
	drafts := make([]bellhop.Draft, len(effects))
	for i, effect := range effects {
		job, err := jobOf(effect)
		if err != nil {
			return err
		}
		drafts[i] = job.New(OrderRef{order.ID})
	}
	_, err := bellhop.Enqueue(ctx, to, drafts...)
	return err
}

// handlers ties the shop's jobs to the shop that does them.
func handlers(shop *Shop) []bellhop.Handler {
	all := make([]bellhop.Handler, 0, 5)
	for _, effect := range AllEffects() {
		job, err := jobOf(effect)
		if err != nil {
			panic(err) // an effect without a job is a mistake in this file
		}
		all = append(all, job.With(func(ctx context.Context, ref OrderRef) error {
			return judge(shop.Run(ctx, effect, ref.Order))
		}))
	}
	return all
}

// paymentKey makes the Idempotency-Key of a charge. Inside a job it is the job's own key, the same in all its attempts: a charge
// whose answer was lost is not made again. In a request it is made of the order.
func paymentKey(ctx context.Context, order Order) string {
	if bellhop.FromContext(ctx) == nil {
		return "charge-" + order.ID
	}
	return bellhop.Key(ctx, "charge")
}

// judge turns a service's answer into what becomes of the job. A wait that the service asks for is kept;
// what no retry can change is put before a person. All else is left to the definition's rules.
func judge(err error) error {
	var answer *StatusError
	switch {
	case !errors.As(err, &answer):
		return err
	case answer.RetryAfter > 0:
		return bellhop.RetryAfter(answer.RetryAfter, err)
	case !temporary(err):
		return bellhop.Dead(err)
	}
	return err
}

// temporary reports whether it is worth asking again: an answer that says so, or no answer at all.
func temporary(err error) bool {
	var answer *StatusError
	if errors.As(err, &answer) {
		switch answer.Code {
		case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
			return true
		}
		return answer.Code >= 500
	}
	var reply *smtp.SMTPError
	if errors.As(err, &reply) {
		return reply.Temporary()
	}
	return true
}
