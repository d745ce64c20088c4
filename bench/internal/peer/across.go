package peer

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"

	"github.com/gobellhop/bellhop/bench/internal/drill"
	"github.com/gobellhop/bellhop/bench/internal/rig"
)

// across measures the time from before an enqueue in another process to the handler in this one, on a system that is otherwise idle.
// Both go by the machine's wall clock.
func (c *child) across(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the other process, if it has not ended
	n := c.order.Jobs
	ledger := NewLedger(c.order.First, n, n)
	began := make([]atomic.Int64, n) // by number; only the first run of a job writes
	stop, err := c.session.Work(ctx, func(number int) {
		now := time.Now().UnixMicro()
		if i := number - c.order.First; i >= 0 && i < n {
			began[i].CompareAndSwap(0, now)
		}
		ledger.Run(number)
	})
	if err != nil {
		return err
	}
	sent, err := c.sendFromOther(ctx)
	if err == nil {
		err = c.await(ctx, ledger, true)
	}
	if err == nil {
		err = c.end(n)
	}
	if err = errors.Join(err, stop()); err != nil {
		return err
	}
	for i := range n {
		c.reply.Latencies = append(c.reply.Latencies, max(began[i].Load()-sent[i], 1))
	}
	ledger.judge(&c.reply, n)
	return c.check(ctx, n)
}

// sendFromOther starts the process that enqueues, and the clock, and returns when it enqueued what.
func (c *child) sendFromOther(ctx context.Context) ([]int64, error) {
	order := c.order
	order.Action = drill.Send
	text, err := json.Marshal(order)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	other, err := rig.StartChild(ctx, self, nil, []string{OrderVariable + "=" + string(text)})
	if err != nil {
		return nil, err
	}
	time.Sleep(500 * time.Millisecond) // the worker comes to rest
	if err := c.start(); err != nil {
		return nil, err
	}
	if err := other.Go(); err != nil {
		return nil, err
	}
	reply, err := other.End()
	return reply.Sent, err
}

// send enqueues jobs one by one, at moments that keep step with nothing, and notes when.
func (c *child) send(ctx context.Context) error {
	if err := c.start(); err != nil {
		return err
	}
	every := time.Duration(c.order.Every * float64(time.Second))
	for i := range c.order.Jobs {
		time.Sleep(every/2 + rand.N(every+1)) // an idle system is what is measured
		c.reply.Sent = append(c.reply.Sent, time.Now().UnixMicro())
		if err := c.session.Enqueue(ctx, c.order.First+i); err != nil {
			return err
		}
	}
	return c.end(c.order.Jobs)
}
