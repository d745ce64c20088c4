package cli

import (
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/rollup"
	"github.com/gobellhop/bellhop/outbox"
	"github.com/gobellhop/bellhop/store/memory"
)

// world is what happens around the commands of a script.
type world struct {
	t       *testing.T
	clock   *bellhop.ManualClock
	store   *memory.Store
	process bellhop.Process
	claims  []bellhop.Claim
	log     bellhop.Log      // of the next attempt to end
	counted *rollup.Recorder // nil: nobody counts
	counter *rollup.Writer
}

// step does one step of a script:
//
//	@ advance 5m               time passes, and what is due is made ready
//	@ env NAME=VALUE           the environment
//	@ file NAME TEXT           a file in $DIR
//	@ newer NAME               the SQLite file in $DIR gets a schema of a later release
//	@ outbox FILE TEXT…        jobs of the kind mail.welcome with these arguments are committed to the outbox in that SQLite file
//	@ sql FILE STATEMENT       a statement is run in that SQLite file
//	@ clock real               the commands' clock is the machine's, as that of stores other than the script's own
//	@ terminal 100 color       the output goes to a terminal of that width; 0 for none
//	@ type y                   at the terminal; nothing to leave it
//	@ process web/1 QUEUE KIND…    a living process; the commands that follow speak of it
//	@ claim                    it claims what is ready
//	@ progress 3 10 note       it reports progress of the first job that it holds
//	@ succeed {"json":1}       the first job that it holds ends so
//	@ fail text                likewise
//	@ die text                 likewise
//	@ log WARN text key=value  that job logs it before it ends
//	@ trace 0af7…              that is its attempt's trace
//	@ crash                    the process is gone, and its jobs are taken back
//	@ count                    from now on it is counted how jobs end
func (s *script) step(line string) {
	words := s.words(line)
	rest := strings.TrimSpace(strings.TrimPrefix(line, words[0]))
	switch words[0] {
	case "advance":
		d, err := time.ParseDuration(rest)
		s.must(err)
		s.clock.Advance(d)
		if !s.process.ID.IsZero() {
			s.beat()
		}
		_, _, err = s.store.Promote(s.t.Context(), 1000)
		s.must(err)
	case "env":
		name, value, _ := strings.Cut(s.expand(rest), "=")
		s.env[name] = value
	case "file":
		s.must(os.WriteFile(filepath.Join(s.dir, words[1]), []byte(strings.Join(words[2:], " ")), 0o600))
	case "sql":
		s.sql(words[1], func(db *sql.DB) error {
			_, err := db.ExecContext(s.t.Context(), strings.Join(words[2:], " "))
			return err
		})
	case "outbox":
		s.sql(words[1], func(db *sql.DB) error { return s.outbox(db, words[2:]) })
	case "newer":
		db, err := sql.Open("sqlite", filepath.Join(s.dir, words[1]))
		s.must(err)
		_, err = db.ExecContext(s.t.Context(), "insert into bellhop_schema (version, name, checksum, applied_at) values (99, 'future', '', 0)")
		s.must(errors.Join(err, db.Close()))
	case "clock":
		s.real = true
	case "terminal":
		s.width, _ = strconv.Atoi(words[1])
		s.color = len(words) > 2
	case "type":
		s.answer = rest
	case "process":
		s.process = bellhop.Process{
			ID: bellhop.NewID(), Name: words[1], Queues: words[2:3], Kinds: words[3:], Slots: 10, StartedAt: s.clock.Now(),
		}
		s.beat()
	case "claim":
		reply, err := s.store.Exchange(s.t.Context(), &bellhop.ExchangeRequest{
			ID: bellhop.NewID(), Process: s.process.ID, Wants: []bellhop.Want{{Queue: s.process.Queues[0], Count: 10}}, Limit: 10,
			Kinds: s.process.Kinds,
		})
		s.must(err)
		s.claims = append(s.claims, reply.Claims...)
	case "progress":
		_, err := s.store.Report(s.t.Context(), []bellhop.Report{{
			Token: s.claims[0].Token, Started: true, Progress: []byte(`{"done":` + words[1] + `,"total":` + words[2] + `,"note":"` + words[3] + `"}`),
		}})
		s.must(err)
	case "succeed":
		s.settle(bellhop.Return{Result: []byte(rest)})
	case "fail":
		s.settle(bellhop.Return{Err: errors.New(words[1])})
	case "die":
		s.settle(bellhop.Return{Err: bellhop.Dead(errors.New(words[1]))})
	case "count":
		s.counted = rollup.NewRecorder()
		s.counter = rollup.NewWriter(s.store, s.counted, s.clock.Now)
	case "log":
		l := bellhop.LogLine{Message: words[2]}
		s.must(l.Level.UnmarshalText([]byte(words[1])))
		for _, word := range words[3:] {
			key, value, _ := strings.Cut(word, "=")
			l.Attrs = append(l.Attrs, bellhop.LogAttr{Key: key, Value: value})
		}
		s.log.Lines = append(s.log.Lines, l)
	case "trace":
		s.log.Trace = words[1]
	case "crash":
		s.crash()
	default:
		s.t.Fatalf("@ %s: there is no such step", line)
	}
}

// sql does something in a SQLite file.
func (s *script) sql(name string, do func(*sql.DB) error) {
	db, err := sql.Open("sqlite", filepath.Join(s.dir, name))
	s.must(err)
	s.must(errors.Join(do(db), db.Close()))
}

// outbox commits jobs to an outbox.
func (s *script) outbox(db *sql.DB, args []string) error {
	client, err := outbox.NewClient()
	if err != nil {
		return err
	}
	box, err := outbox.New(client, outbox.SQLite)
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(s.t.Context(), nil)
	if err != nil {
		return err
	}
	for _, text := range args {
		if _, err := bellhop.Enqueue(s.t.Context(), box.Within(tx), bellhop.RawJob("mail.welcome", []byte(text))); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) beat() {
	_, err := w.store.Beat(w.t.Context(), &bellhop.Beat{Process: w.process, Lease: time.Hour})
	w.must(err)
}

// settle ends the first job that the process holds, 250 ms after it was claimed.
func (w *world) settle(r bellhop.Return) {
	c := w.claims[0]
	w.claims = w.claims[1:]
	r.Started = c.Place.ClaimedAt
	r.Ended = r.Started.Add(250 * time.Millisecond)
	o := c.Settle(bellhop.Policy{Backoff: bellhop.Polynomial}, r)
	for i := range w.log.Lines {
		w.log.Lines[i].Time = r.Started.Add(time.Duration(i) * 70 * time.Millisecond)
	}
	if w.log.Lines != nil {
		var err error
		o.Log, err = json.Marshal(&w.log)
		w.must(err)
		w.log = bellhop.Log{}
	}
	w.hand(o)
	if w.counted != nil {
		w.counted.Outcome(&c, &o, w.clock.Now())
		w.must(w.counter.Write(w.t.Context()))
	}
}

func (w *world) hand(o bellhop.Outcome) {
	reply, err := w.store.Exchange(w.t.Context(), &bellhop.ExchangeRequest{ID: bellhop.NewID(), Outcomes: []bellhop.Outcome{o}})
	w.must(err)
	if len(reply.Refused) > 0 {
		w.t.Fatalf("an outcome was refused: %v", reply.Refused[0].Err)
	}
}

func (w *world) crash() {
	_, err := w.store.Beat(w.t.Context(), &bellhop.Beat{Process: w.process, Lease: time.Hour, Leave: true})
	w.must(err)
	w.process, w.claims = bellhop.Process{}, nil
	claims, err := w.store.Sweep(w.t.Context(), 1000)
	w.must(err)
	for _, c := range claims {
		w.hand(c.Sweep(w.clock.Now()))
	}
}
