package worker

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
)

// logs returns the messages in the logs of a job's attempts, one text for each attempt.
func (r *rig) logs(id bellhop.ID) (texts []string) {
	r.t.Helper()
	job := r.get(id)
	for _, a := range job.History {
		var log bellhop.Log
		if a.Log != nil {
			if err := json.Unmarshal(a.Log, &log); err != nil {
				r.t.Fatalf("%v: %s", err, a.Log)
			}
		}
		var lines []string
		for _, l := range log.Lines {
			lines = append(lines, l.Message)
			if l.Time.Before(a.Started) || l.Time.After(a.Ended) {
				r.t.Errorf("the line %q of %v was written out of its attempt, from %v to %v", l.Message, l.Time, a.Started, a.Ended)
			}
		}
		texts = append(texts, strings.Join(lines, "|"))
	}
	return texts
}

// TestLogs: what a handler logs is kept with its attempt, however that ends but in success; then only if somebody asks.
func TestLogs(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config Config
		want   string // the logs of an attempt that fails, one that panics, and one that succeeds
	}{
		{"by default", Config{}, "begun|careful / begun|boom / "},
		{"all", Config{KeepLogs: true}, "begun|careful / begun|boom / begun|done"},
		{"debug", Config{KeepLogs: true, LogFrom: slog.LevelDebug}, "little|begun|careful / little|begun|boom / little|begun|done"},
		{"errors", Config{LogFrom: slog.LevelError}, " / boom / "},
		{"none", Config{KeepLogs: true, LogFrom: slog.Level(1 << 20)}, " /  / "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				tt.config.Queues = Queues{"default": 1}
				w := r.run(tt.config, job.With(func(ctx context.Context, _ item) error {
					run := bellhop.FromContext(ctx)
					log := run.Logger()
					log.Debug("little")
					time.Sleep(3 * time.Second) // the bubble's clock: lines have times of their own
					log.Info("begun")
					switch run.Attempt() {
					case 1:
						log.Warn("careful")
						return errors.New("no")
					case 2:
						log.Error("boom")
						panic("boom")
					}
					log.Info("done")
					return nil
				}))
				id := r.enqueue(many(1)...)[0]
				r.until("it has succeeded", func() bool { return r.get(id).Place.State == bellhop.StateSucceeded })
				expect(t, "logs", strings.Join(r.logs(id), " / "), tt.want)
				w.mustStop()
				expect(t, "lines below the level of the client's logger", r.log.count("msg=little"), 0)
				expect(t, "lines in the client's logger", r.log.count("msg=begun job="+id.String()+" kind=test.job queue=default attempt="), 3)
			})
		})
	}
}

// TestLogOfACompletion: an attempt that ends in a transaction of the program keeps what it had logged by then, if that is asked for.
func TestLogOfACompletion(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		w := r.run(Config{Queues: Queues{"default": 1}}, job.With(func(ctx context.Context, it item) error {
			run, tx := bellhop.FromContext(ctx), &transaction{store: r.store}
			if it.N == 1 {
				run.KeepLog()
			}
			run.Logger().Info("within")
			if err := run.Complete(ctx, run.Client().Bind(tx)); err != nil {
				return err
			}
			run.Logger().Info("after")
			return tx.commit(ctx)
		}))
		ids := r.enqueue(many(2)...)
		r.until("both are done", func() bool { return r.countType(bellhop.EventSucceeded) == 2 })
		expect(t, "log that nobody asked for", strings.Join(r.logs(ids[0]), " / "), "")
		expect(t, "log", strings.Join(r.logs(ids[1]), " / "), "within")
		w.mustStop()
	})
}
