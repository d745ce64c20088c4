package bellhop_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
)

// parted is a store of two parts by queue, whose part "slow" takes nothing before it is let.
type parted struct {
	bellhop.Store
	slow chan struct{}

	mu    sync.Mutex
	calls [][]*bellhop.Job
}

func (p *parted) Parts() []string { return []string{"quick", "slow"} }

func (p *parted) Route(j *bellhop.Job) int {
	if j.Queue == "slow" {
		return 1
	}
	return 0
}

func (p *parted) Home(string, string) int { return 0 }

func (p *parted) Tag(part int) string { return p.Parts()[part] }

var _ bellhop.Router = (*parted)(nil) // else all jobs go one way, and the test waits for ever

func (p *parted) Enqueue(ctx context.Context, r *bellhop.EnqueueRequest) ([]bellhop.Receipt, error) {
	p.mu.Lock()
	p.calls = append(p.calls, r.Jobs)
	p.mu.Unlock()
	if len(r.Jobs) > 0 && r.Jobs[0].Queue == "slow" {
		<-p.slow
	}
	return p.Store.Enqueue(ctx, r)
}

// The client gathers the calls for each part by themselves: a part that is slow
// holds up no other.
func TestEnqueueGathersByPart(t *testing.T) {
	s := &parted{Store: memory.New(), slow: make(chan struct{})}
	client, err := bellhop.NewClient(s)
	if err != nil {
		t.Fatal(err)
	}
	type nothing struct{}
	job := bellhop.Define[nothing]("test.job")
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if _, err := job.Enqueue(t.Context(), client, nothing{}, bellhop.Queue("slow")); err != nil {
				t.Error(err)
			}
		})
	}
	for range 20 {
		if _, err := job.Enqueue(t.Context(), client, nothing{}); err != nil {
			t.Error(err)
		}
	}
	close(s.slow)
	group.Wait()
	for _, jobs := range s.calls {
		for _, j := range jobs {
			if s.Route(j) != s.Route(jobs[0]) {
				t.Errorf("a call has jobs of two parts")
			}
		}
	}
	_, err = bellhop.Enqueue(t.Context(), client, job.New(nothing{}), job.New(nothing{}, bellhop.Queue("slow")))
	var span *bellhop.SpanError
	if !errors.As(err, &span) || span.Part != "quick" || span.OtherPart != "slow" || !errors.Is(err, bellhop.ErrInvalid) || strings.Contains(err.Error(), "\n") {
		t.Errorf("jobs of two parts in one call: error is %v; want a SpanError of one line", err)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
}
