// Package testjobs shows how a program tests its jobs: that its code enqueues what it should, and what becomes of a job whatever its
// handler meets. The store is the one in memory; within a bubble of testing/synctest time moves by itself, so that an hour of retries
// takes a part of a second.
package testjobs

import (
	"context"
	"errors"
	"time"

	"github.com/gobellhop/bellhop"
)

// Charge is what a charge needs to know.
type Charge struct {
	Order string `json:"order"`
}

var (
	errServiceDown  = errors.New("the payment service is down")
	errCardDeclined = errors.New("the card was declined")
)

// ChargeOrder charges an order: again each minute while the service is down, up to ten times, and not again if the card was declined.
var ChargeOrder = bellhop.Define[Charge]("order.charge",
	bellhop.RetryOn(errServiceDown, bellhop.Fixed(time.Minute), bellhop.Attempts(10)),
	bellhop.DiscardOn(errCardDeclined),
)

// Shop takes orders. Its payment service is a function, so that tests can put another in its place.
type Shop struct {
	Jobs *bellhop.Client
	Pay  func(ctx context.Context, order, idempotencyKey string) error
}

// Checkout takes an order; the customer does not wait for the charge.
func (s *Shop) Checkout(ctx context.Context, order string) error {
	_, err := ChargeOrder.Enqueue(ctx, s.Jobs, Charge{Order: order})
	return err
}

// Charge is the handler of ChargeOrder.
func (s *Shop) Charge(ctx context.Context, c Charge) error {
	return s.Pay(ctx, c.Order, bellhop.Key(ctx, "charge"))
}
