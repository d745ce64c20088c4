package cli

import (
	"context"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
)

// readyEvery is how often a process that begins is asked whether it is ready.
const readyEvery = 20 * time.Millisecond

// tellManager tells the service manager how the process is, until the function that it returns is called: when it is ready, that it
// lives, and, once ctx has ended, that it stops.
func (p *process) tellManager(ctx context.Context) (end func()) {
	live, stop := context.WithCancel(context.WithoutCancel(ctx))
	var all sync.WaitGroup
	all.Go(func() {
		ticker := time.NewTicker(readyEvery)
		defer ticker.Stop()
		for p.worker.Ready() != nil {
			select {
			case <-ctx.Done():
				return
			case <-live.Done():
				return
			case <-ticker.C:
			}
		}
		p.tell("READY=1", "STATUS=works jobs")
		select {
		case <-ctx.Done():
			p.tell("STOPPING=1", "STATUS=lets running jobs end")
		case <-live.Done():
		}
	})
	all.Go(func() { p.manager.Watch(live, p.worker.Alive) })
	return func() {
		stop()
		all.Wait()
	}
}

func (p *process) tell(assignments ...string) {
	if err := p.manager.Tell(assignments...); err != nil {
		p.log.Warn("the service manager cannot be told how the process is", bellhop.AttrError, err.Error())
	}
}
