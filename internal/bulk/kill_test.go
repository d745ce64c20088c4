package bulk_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/bulk"
	"github.com/gobellhop/bellhop/internal/testservers"
)

// victimVariable names the store for a process that is to be killed: this test's binary, run as [victim].
const victimVariable = "BELLHOP_TEST_BULK_VICTIM"

func TestMain(m *testing.M) {
	if address := os.Getenv(victimVariable); address != "" {
		if err := victim(address); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	testservers.Main(m)
}

// everything is what the operation of a victim is about.
var everything = bulk.Request{Action: bellhop.ActDiscard, Filter: bellhop.Filter{Queues: []string{"mail"}}, By: "ann"}

// victim starts an operation and says its id; says again when its third bite goes to the server, and does no further one. It waits
// to be killed, until its standard input ends.
func victim(address string) error {
	ctx := context.Background()
	opened, err := bellhop.Open(ctx, address)
	if err != nil {
		return err
	}
	d := &doomed{Store: opened.Store(), told: make(chan struct{})}
	client, err := bellhop.NewClient(d)
	if err != nil {
		return err
	}
	runner := bulk.New(client, bulk.Options{})
	runner.Rush()
	o, err := runner.Start(ctx, everything)
	if err != nil {
		return err
	}
	fmt.Println(o.ID)
	close(d.told)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// doomed is the store of a victim.
type doomed struct {
	bellhop.Store
	told  chan struct{} // closed when the id was said
	bites atomic.Int32
}

func (d *doomed) Act(ctx context.Context, r *bellhop.ActRequest) (*bellhop.ActReply, error) {
	switch n := d.bites.Add(1); {
	case n == 3:
		<-d.told
		fmt.Println("now")
	case n > 3:
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return d.Store.Act(ctx, r)
}

// TestKilledProcess kills a real process while a bite is under way on the server. Another one goes on where the record says: every job
// is changed, and only that bite may be missing in the count.
func TestKilledProcess(t *testing.T) {
	for _, s := range where {
		if s.name == "memory" {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			address := s.address(t)
			w := newWorld(t, open(t, address), 4_000, s.long)
			w.enqueue(w.many, "mail")
			w.enqueue(10, "other")
			id := w.kill(address)
			other := w.start(0, false)
			early, err := other.Get(t.Context(), id)
			w.must(err)
			w.must(other.TakeOver(t.Context()))
			if now, err := other.Get(t.Context(), id); err != nil || now.Owner != early.Owner || now.State != bulk.Running {
				t.Fatalf("within the lease: %+v, %v", now, err)
			}
			w.advance(31 * time.Second)
			w.must(other.TakeOver(t.Context()))
			end := w.wait(other, id)
			if end.State != bulk.Done || end.Takeovers != 1 || end.Done != w.many && end.Done != w.many-bulk.Bite || early.Done != 2*bulk.Bite {
				t.Errorf("ends as %+v, and was killed after %d", end, early.Done)
			}
			if got := w.count(bellhop.Filter{States: bellhop.States(bellhop.StateDiscarded), Queues: []string{"mail"}}); got != w.many {
				t.Errorf("%d jobs are discarded, want %d", got, w.many)
			}
			if got := w.count(bellhop.Filter{States: ready}); got != 10 {
				t.Errorf("%d jobs of the other queue are left, want 10", got)
			}
			t.Logf("killed after %d of %d jobs; %d counted in the end", early.Done, w.many, end.Done)
		})
	}
}

// kill lets a process begin an operation, and kills it while its third bite is under way. It returns the operation's id.
func (w *world) kill(address string) (id string) {
	w.t.Helper()
	program, err := os.Executable()
	w.must(err)
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), victimVariable+"="+address)
	cmd.Stderr = w.t.Output()
	in, err := cmd.StdinPipe()
	w.must(err)
	defer in.Close() // if it was not killed
	out, err := cmd.StdoutPipe()
	w.must(err)
	w.must(cmd.Start())
	defer func() { _ = cmd.Wait() }() // which tells that it was killed
	defer func() { _ = cmd.Process.Kill() }()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "now" {
			return id
		}
		id = lines.Text()
	}
	w.t.Fatal("the process has ended by itself")
	return ""
}
