package mysql_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/mysql"
	"github.com/gobellhop/bellhop/store/storetest"
)

// childEnv makes the test program play a part in another process instead of testing.
const childEnv = "BELLHOP_MYSQL_TEST_PART"

// play plays a part, named with the address of the database, and ends the process.
func play(part string) {
	name, address, _ := strings.Cut(part, " ")
	if err := map[string]func(string) error{"open": partOpen}[name](address); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// partOpen waits for a line, migrates the database and uses it.
func partOpen(address string) error {
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	s, err := mysql.Open(ctx, address+"?migrate=auto")
	if err != nil {
		return err
	}
	if _, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: testJobs(10)}); err != nil {
		return err
	}
	return s.Close()
}

// Eight processes start at once on an empty database.
func TestEightProcessesAtOnce(t *testing.T) {
	address := newDatabase(t)
	var starts []func()
	var all []*exec.Cmd
	for range 8 {
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), childEnv+"=open "+address)
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		must(t, err)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
			t.Fatal(line, err)
		}
		starts = append(starts, func() { _, _ = in.Write([]byte("\n")) })
		all = append(all, cmd)
	}
	for _, start := range starts {
		start()
	}
	for _, cmd := range all {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	if n, err := storetest.CountAll(t.Context(), openAt(t, address), bellhop.Filter{}, 1000); n != 80 || err != nil {
		t.Errorf("%d jobs, %v; want 80", n, err)
	}
}

const testKind = "test.job"

func testProcess() bellhop.Process {
	return bellhop.Process{ID: bellhop.NewID(), Name: "test", Kinds: []string{testKind}}
}

func testJobs(n int) []*bellhop.Job {
	jobs := make([]*bellhop.Job, n)
	for i := range jobs {
		jobs[i] = &bellhop.Job{ID: bellhop.NewID(), Kind: testKind, Queue: "default", Attempts: 25, Args: []byte(`{"n":1}`), Retention: bellhop.Forever}
	}
	return jobs
}

func request(p bellhop.Process, n int) *bellhop.ExchangeRequest {
	return &bellhop.ExchangeRequest{
		ID: bellhop.NewID(), Process: p.ID, Limit: n, Kinds: []string{testKind}, Wants: []bellhop.Want{{Queue: "default", Count: n}},
	}
}

// settled returns the outcomes of claims that have succeeded.
func settled(claims []bellhop.Claim) (outcomes []bellhop.Outcome) {
	for i := range claims {
		outcomes = append(outcomes, claims[i].Settle(bellhop.Policy{}, bellhop.Return{}))
	}
	return outcomes
}

// Sixteen claimers, eight who enqueue, and all duties at once [G7]: InnoDB would
// let some of them end in deadlocks, but no caller sees one.
func TestNoDeadlockIsSeen(t *testing.T) {
	s := newStore(t)
	length := 10 * time.Second
	if testing.Short() {
		length = 4 * time.Second
	}
	if text := os.Getenv("BELLHOP_MYSQL_STORM"); text != "" {
		var err error
		length, err = time.ParseDuration(text)
		must(t, err)
	}
	ctx, stop := context.WithTimeout(t.Context(), length)
	defer stop()
	var group sync.WaitGroup
	again := func(what string, fn func(ctx context.Context) error) {
		group.Go(func() {
			for ctx.Err() == nil {
				// The last call of each may end after the others.
				if err := fn(context.WithoutCancel(ctx)); err != nil {
					t.Errorf("%s: %v", what, err)
					stop()
				}
			}
		})
	}
	for i := range 16 {
		p := testProcess()
		_, err := s.Beat(ctx, &bellhop.Beat{Process: p, Lease: time.Hour})
		must(t, err)
		var outcomes []bellhop.Outcome
		again("exchange", func(ctx context.Context) error {
			r := request(p, 1+i*4)
			r.Outcomes = outcomes
			reply, err := s.Exchange(ctx, r)
			if err != nil {
				return err
			}
			if len(reply.Refused) > 0 {
				return fmt.Errorf("outcome refused: %w, recorded %v", reply.Refused[0].Err, reply.Refused[0].Recorded)
			}
			outcomes = settled(reply.Claims)
			for k := range outcomes {
				outcomes[k].Keep = time.Millisecond
				if k%7 == 0 {
					outcomes[k].Kind, outcomes[k].Wait = bellhop.OutcomeRetry, time.Millisecond
				}
			}
			return nil
		})
	}
	for i := range 8 {
		n := 0
		again("enqueue", func(ctx context.Context) error {
			jobs := testJobs(1 + i*5)
			for k, j := range jobs {
				if n++; k%3 == 0 {
					j.UniqueKey = fmt.Sprint("key", n%20)
				}
			}
			_, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: jobs})
			return err
		})
	}
	for range 2 {
		again("promote", func(ctx context.Context) error { _, _, err := s.Promote(ctx, 500); return err })
		again("prune", func(ctx context.Context) error { _, err := s.Prune(ctx, 500); return err })
	}
	again("sweep", func(ctx context.Context) error { _, err := s.Sweep(ctx, 100); return err })
	again("cancel", func(ctx context.Context) error {
		_, err := s.Act(ctx, &bellhop.ActRequest{Action: bellhop.ActCancel, Limit: 20, Filter: bellhop.Filter{States: bellhop.States(bellhop.StateReady)}})
		return err
	})
	group.Wait()
	if err := ctx.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Log("it ended early")
	}
}

// While one claimer's transaction is open, another gets other jobs, and waits for
// nothing: a claim locks what it returns and no more.
func TestClaimersPassEachOther(t *testing.T) {
	address := spare.take(t)
	first, second := openAt(t, address), openAt(t, address)
	ctx, p, q := t.Context(), testProcess(), testProcess()
	for _, id := range []bellhop.Process{p, q} {
		_, err := first.Beat(ctx, &bellhop.Beat{Process: id, Lease: time.Hour})
		must(t, err)
	}
	_, err := first.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: testJobs(10)})
	must(t, err)
	inside, goOn := make(chan struct{}), make(chan struct{})
	first.SetStep(func(_ context.Context, _ bellhop.Op, statement string, done bool) error {
		if statement == "commit" && !done {
			close(inside)
			<-goOn
		}
		return nil
	})
	replies := make(chan *bellhop.ExchangeReply, 1)
	go func() {
		defer close(replies)
		reply, err := first.Exchange(context.WithoutCancel(ctx), request(p, 4))
		if err != nil {
			t.Error(err)
			return
		}
		replies <- reply
	}()
	<-inside
	limited, cancel := context.WithTimeout(ctx, hang)
	defer cancel()
	theirs, err := second.Exchange(limited, request(q, 10))
	close(goOn)
	must(t, err)
	ours := <-replies
	if ours == nil || len(ours.Claims) != 4 || len(theirs.Claims) != 6 {
		t.Fatalf("claimed %+v and %d jobs; want 4 and 6", ours, len(theirs.Claims))
	}
}
