package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/sqlite"
)

// childEnv makes the test program play a part in another process instead of testing.
const childEnv = "BELLHOP_SQLITE_TEST_PART"

// hang is when something that is waited for is taken never to come. It measures nothing: a disk that stalls for seconds, again and
// again, is no fault of the store.
const hang = 5 * time.Minute

func TestMain(m *testing.M) {
	if part := os.Getenv(childEnv); part != "" {
		name, path, _ := strings.Cut(part, " ")
		if err := parts[name](path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// parts are what other processes do, by name. Each gets the path of the database.
var parts = map[string]func(path string) error{
	"open":  partOpen,
	"hold":  partHold,
	"write": partWrite,
	"storm": partStorm,
}

// play starts a part in another process.
func play(t testing.TB, part, path string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childEnv+"="+part+" "+path)
	return cmd
}

func childStore(path string) (*sqlite.Store, error) {
	return sqlite.Open(context.Background(), "sqlite:"+path)
}

// partOpen opens a store and closes it.
func partOpen(path string) error {
	s, err := childStore(path)
	if err != nil {
		return err
	}
	return s.Close()
}

// partHold claims what is ready, says so, and waits to be killed.
func partHold(path string) error {
	s, err := childStore(path)
	if err != nil {
		return err
	}
	ctx, p := context.Background(), testProcess()
	if _, err := s.Beat(ctx, &bellhop.Beat{Process: p, Lease: time.Hour}); err != nil {
		return err
	}
	reply, err := s.Exchange(ctx, request(p, 100))
	if err != nil {
		return err
	}
	fmt.Println("holds", len(reply.Claims))
	_, err = bufio.NewReader(os.Stdin).ReadString('\n') // never comes
	return err
}

// partWrite enqueues until it is killed, and names what has been accepted.
func partWrite(path string) error {
	s, err := childStore(path)
	if err != nil {
		return err
	}
	for {
		jobs := testJobs(10)
		if _, err := s.Enqueue(context.Background(), &bellhop.EnqueueRequest{Jobs: jobs}); err != nil {
			return err
		}
		var line strings.Builder
		for _, j := range jobs {
			line.WriteString(j.ID.String() + " ")
		}
		fmt.Println(line.String())
	}
}

const (
	stormWorkers = 50
	stormRounds  = 6
)

// partStorm lets many goroutines do all kinds of things, and fails at the first error.
func partStorm(path string) error {
	s, err := childStore(path)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	var group sync.WaitGroup
	errs := make(chan error, stormWorkers)
	for range stormWorkers {
		group.Go(func() {
			if err := stormOne(ctx, s); err != nil {
				errs <- err
			}
		})
	}
	group.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return s.Close()
	}
}

func stormOne(ctx context.Context, s *sqlite.Store) error {
	p := testProcess()
	if _, err := s.Beat(ctx, &bellhop.Beat{Process: p, Lease: time.Hour}); err != nil {
		return err
	}
	for range stormRounds {
		if _, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: testJobs(3)}); err != nil {
			return err
		}
		reply, err := s.Exchange(ctx, request(p, 5))
		if err != nil {
			return err
		}
		r := request(p, 0)
		for i := range reply.Claims {
			r.Outcomes = append(r.Outcomes, reply.Claims[i].Settle(bellhop.Policy{}, bellhop.Return{}))
		}
		if _, err := s.Exchange(ctx, r); err != nil {
			return err
		}
		if _, err := s.List(ctx, &bellhop.Query{Limit: 3}); err != nil {
			return err
		}
	}
	_, err := s.Beat(ctx, &bellhop.Beat{Process: p, Leave: true})
	return err
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
