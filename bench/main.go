// Command bench measures Bellhop, the others and the hand-written minimum side by side. Run it in this folder:
//
//	go run .                                everything, about twenty minutes
//	go run . --short                        a look whether all works, under a minute
//	go run . --store postgres --only /drain/
//	go run . --write ../docs                and write docs/benchmarks.md with its charts
//
// A job passes through each contender as its users have it: see the packages below internal, and docs/benchmarks.md for the method.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/gobellhop/bellhop/bench/internal/peer"
	"github.com/gobellhop/bellhop/bench/internal/run"
)

func main() {
	if peer.Child(os.Stdin, os.Stdout) {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := bench(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	run.Config
	json  string
	write string
}

func parse(args []string, progress io.Writer) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(progress)
	stores := flags.String("store", "sqlite,postgres,mysql,redis,memory", "`stores` to measure, with commas between")
	only := flags.String("only", "", "measure only what has one of these `words`, with commas between, in its store/group/contender: /drain/,enqueue-64/river")
	short := flags.Bool("short", false, "a small run of a few contenders that shows that all works; its figures mean nothing")
	flags.IntVar(&o.Rounds, "rounds", 5, "runs of each contender; medians are over these")
	flags.IntVar(&o.Size, "size", 200_000, "jobs of a drain at most; Bellhop's main drains, near and far, always have as many")
	flags.DurationVar(&o.Budget, "budget", 1200*time.Millisecond, "about how long one run of a drain takes: all get fewer jobs but Bellhop in its main drains")
	flags.DurationVar(&o.Enqueue, "enqueue", 500*time.Millisecond, "how long one run of an enqueue takes")
	flags.IntVar(&o.Backlog, "backlog", 1_000_000, "jobs that wait behind in the long backlog; the short one has a hundredth")
	flags.IntVar(&o.Beside, "beside", 100_000, "jobs that are not to be worked, beside those that are")
	flags.DurationVar(&o.Hold, "hold", 60*time.Second, "how long an old snapshot has been held, with jobs passing, before it is measured (ours on PostgreSQL)")
	flags.IntVar(&o.Latencies, "latencies", 100, "jobs that are timed in each run")
	flags.IntVar(&o.Pairs, "pairs", 9, "interleaved pairs where a target is within the noise")
	flags.StringVar(&o.Around, "around", "", "run this shell `command` round each measurement: it begins when the command has printed a line, and closes the command's input after it. On a machine that others use it can wait for their pause: flock FILE sh -c 'echo; cat'")
	flags.StringVar(&o.json, "json", "", "write a line of JSON for each figure and each target to this `file`; - for standard output in place of the tables")
	flags.StringVar(&o.write, "write", "", "write benchmarks.md and its charts into this `folder`")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: all is said by flags, see --help", flags.Arg(0))
	}
	if o.Rounds < 1 || o.Size < 100 || o.Backlog < 100 {
		return nil, fmt.Errorf("--rounds must be at least 1, --size and --backlog at least 100")
	}
	o.Stores = strings.Split(*stores, ",")
	if *only != "" {
		o.Only = strings.Split(*only, ",")
	}
	if *short {
		o.Rounds, o.Size, o.Budget, o.Enqueue, o.Pairs = 1, 1000, 100*time.Millisecond, 50*time.Millisecond, 1
		o.Backlog, o.Beside, o.Hold, o.Latencies, o.Short = 2000, 500, 0, 10, true
	}
	return o, nil
}

func bench(ctx context.Context, args []string, out, progress io.Writer) (err error) {
	o, err := parse(args, progress)
	if err != nil {
		return err
	}
	if o.Self, err = os.Executable(); err != nil {
		return err
	}
	if o.Module, err = module(); err != nil {
		return err
	}
	if o.Folder, err = os.MkdirTemp("", "bellhop-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(o.Folder) //nolint:errcheck // a temporary folder
	cache, err := os.UserCacheDir()
	if err != nil {
		return fmt.Errorf("where to install the Node packages: %w", err)
	}
	o.Cache, o.Progress = filepath.Join(cache, "bellhop-bench"), progress
	r := run.New(o.Config)
	interrupted := r.Run(ctx)
	switch o.json {
	case "-":
		err = r.Report.WriteJSON(out)
	case "":
		r.Report.Write(out)
	default:
		r.Report.Write(out)
		var f *os.File
		if f, err = os.Create(o.json); err == nil {
			err = r.Report.WriteJSON(f)
			_ = f.Close()
		}
	}
	if err = errors.Join(interrupted, err); err != nil || o.write == "" {
		return err // of a run that was interrupted what is finished was shown, but no page is made of it
	}
	return r.Report.WriteDocs(o.write)
}

// module returns the folder of this module, where the programs of other languages are.
func module() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	folder := filepath.Dir(file)
	if _, err := os.Stat(filepath.Join(folder, "foreign")); ok && err == nil {
		return folder, nil
	}
	return "", fmt.Errorf("the source is not at %s any more: run the benchmark in its module, with go run", folder)
}
