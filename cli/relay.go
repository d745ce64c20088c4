package cli

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/outboxdb"
	"github.com/gobellhop/bellhop/outbox"
)

// relayCmd holds what is done to an outbox.
type relayCmd struct {
	Run    relayRunCmd    `cmd:"" default:"withargs" help:"Move jobs from a database's outbox into the store."`
	Status relayStatusCmd `cmd:"" help:"Show what an outbox holds, and what could not be moved."`
	Retry  relayRetryCmd  `cmd:"" help:"Try again what could not be moved."`
	Create relayCreateCmd `cmd:"" help:"Make an outbox's table."`
	Schema relaySchemaCmd `cmd:"" help:"Print the statements that make an outbox's table, and do nothing."`
}

// outboxFlags say which table.
type outboxFlags struct {
	Table    string `help:"The outbox's table. Default: bellhop_outbox." default:"bellhop_outbox" placeholder:"NAME" group:"outbox"`
	InSchema string `name:"in-schema" help:"The schema that the table is in. Default: the one that the connection finds." placeholder:"NAME" group:"outbox"`
}

func (f *outboxFlags) options() []outbox.Option {
	return []outbox.Option{outbox.Table(f.Table), outbox.InSchema(f.InSchema)}
}

// fromFlags say where the outbox is.
type fromFlags struct {
	From string `help:"The database with the outbox: an address such as postgres://user:password@host/database." required:"" placeholder:"ADDRESS" from:"BELLHOP_RELAY_FROM" group:"outbox"`
	outboxFlags
}

// open opens the database and finds the outbox in it.
func (f *fromFlags) open(a *app, client *bellhop.Client) (*outbox.Outbox, *sql.DB, error) {
	a.hideAddress(f.From)
	db, dialect, err := outboxdb.Open(f.From)
	if err != nil {
		return nil, nil, refused("%s: %w", a.source("from"), err)
	}
	box, err := outbox.New(client, dialect, f.options()...)
	if err != nil {
		return nil, nil, refused("%w", errors.Join(err, db.Close()))
	}
	return box, db, nil
}

// alone opens the database, with a table if there must be one, for a command that needs no store.
func (f *fromFlags) alone(ctx context.Context, a *app, check bool) (*outbox.Outbox, *sql.DB, error) {
	client, err := outbox.NewClient()
	if err != nil {
		return nil, nil, err
	}
	box, db, err := f.open(a, client)
	if err == nil && check {
		if err = box.Check(ctx, db); err != nil {
			err = f.unavailable(errors.Join(err, db.Close()))
		}
	}
	return box, db, err
}

// unavailable says which database an error is about.
func (f *fromFlags) unavailable(err error) error {
	return exitWith(exitUnavailable, "database %q: %w", bellhop.MaskAddress(f.From), err)
}

// relayRunCmd moves jobs.
type relayRunCmd struct {
	fromFlags
	Batch int           `help:"How many jobs to move together at most." default:"1000" placeholder:"N" group:"outbox"`
	Poll  time.Duration `help:"How often to look when idle." default:"500ms" group:"outbox"`
	Keep  time.Duration `help:"How long to keep rows after the move. Default: they are deleted at once." group:"outbox"`
	Once  bool          `help:"Move what waits, and end." group:"outbox"`
	logFlags
}

// relayResult is the JSON line that relay prints when it is up.
type relayResult struct {
	From       string `json:"from"`
	Table      string `json:"table"`
	Store      string `json:"store"`
	Durability string `json:"durability"`
}

// Run moves jobs until ctx ends, or nothing waits if it is to be done once.
func (c *relayRunCmd) Run(ctx context.Context, a *app) error {
	if c.Batch < 1 || c.Batch > 5000 || c.Poll < 10*time.Millisecond || c.Keep < 0 {
		return usage("--batch: want 1 to 5000; --poll: at least 10ms; --keep: not negative")
	}
	client, err := a.open(ctx, useShared, bellhop.Logger(c.logger(a)))
	if err != nil {
		return err
	}
	defer client.Close()
	box, db, err := c.open(a, client)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := box.Check(ctx, db); err != nil {
		return c.unavailable(err)
	}
	relay, err := outbox.NewRelay(box, db, outbox.Config{Batch: c.Batch, Poll: c.Poll, Keep: c.Keep})
	if err != nil {
		return refused("%w", err)
	}
	up := relayResult{
		From: bellhop.MaskAddress(c.From), Table: c.Table, Store: bellhop.MaskAddress(a.store), Durability: client.Store().Capabilities().Durability,
	}
	if c.InSchema != "" {
		up.Table = c.InSchema + "." + c.Table
	}
	if c.Once {
		return c.once(ctx, a, relay, box, db)
	}
	if a.json {
		if err := a.printJSON(up); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(a.out, "%s relays\n", a.out.paint(bold, "bellhop"))
		a.fact("from", up.From)
		a.fact("table", up.Table)
		a.fact("store", up.Store)
		a.fact("", up.Durability)
	}
	return relay.Run(ctx)
}

// once runs the relay until nothing waits.
func (c *relayRunCmd) once(ctx context.Context, a *app, relay *outbox.Relay, box *outbox.Outbox, db *sql.DB) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- relay.Run(running) }()
	for waiting := true; waiting; {
		select {
		case <-ctx.Done():
			return errors.Join(<-done, errInterrupted)
		case <-time.After(20 * time.Millisecond): // polled: the end of a move is told to nobody
		}
		s, err := box.Status(ctx, db)
		if err == nil {
			err = relay.Stats().Err
		}
		if err != nil {
			stop()
			return exitWith(exitUnavailable, "%w", errors.Join(err, <-done))
		}
		waiting = s.Waiting > 0
	}
	stop()
	if err := <-done; err != nil {
		return err
	}
	s := relay.Stats()
	if a.json {
		return a.printJSON(struct {
			Moved    int64 `json:"moved"`
			Existing int64 `json:"existing"`
			SetAside int64 `json:"set_aside"`
		}{s.Moved, s.Existing, s.SetAside})
	}
	a.print("%s moved", count(int(s.Moved), "job"))
	if s.SetAside > 0 {
		a.note("Hint: %s could not be moved: bellhop relay status tells why.", count(int(s.SetAside), "job"))
	}
	return nil
}

// relayStatusCmd shows what an outbox holds.
type relayStatusCmd struct {
	fromFlags
	Limit int `help:"How many of the jobs that could not be moved to list: 1 to 10000." default:"20"`
}

// outboxResult is the JSON of relay status.
type outboxResult struct {
	From     string `json:"from"`
	Waiting  int    `json:"waiting"`
	LagMS    int64  `json:"lag_ms"`
	SetAside int    `json:"set_aside"`
	Kept     int    `json:"kept"`
	// Limit is how far counts go: that number means that many or more.
	Limit  int            `json:"limit"`
	Asides []outbox.Aside `json:"asides"`
}

// Run shows it.
func (c *relayStatusCmd) Run(ctx context.Context, a *app) error {
	if c.Limit < 1 || c.Limit > outbox.StatusLimit {
		return usage("--limit: want 1 to %d", outbox.StatusLimit)
	}
	box, db, err := c.alone(ctx, a, true)
	if err != nil {
		return err
	}
	defer db.Close()
	s, err := box.Status(ctx, db)
	if err != nil {
		return c.unavailable(err)
	}
	asides, err := box.Asides(ctx, db, c.Limit)
	if err != nil {
		return c.unavailable(err)
	}
	if a.json {
		return a.printJSON(outboxResult{
			From: bellhop.MaskAddress(c.From), Waiting: s.Waiting, LagMS: s.Lag.Milliseconds(), SetAside: s.SetAside, Kept: s.Kept,
			Limit: outbox.StatusLimit, Asides: append([]outbox.Aside{}, asides...),
		})
	}
	capped := func(n int) string {
		if n >= outbox.StatusLimit {
			return number(n) + "+"
		}
		return number(n)
	}
	behind := ""
	if s.Waiting > 0 {
		behind = ", the first since " + span(s.Lag)
	}
	a.fact("waiting", capped(s.Waiting)+behind)
	a.fact("aside", capped(s.SetAside))
	a.fact("kept", capped(s.Kept))
	if len(asides) > 0 {
		t := table{columns: []column{{title: "ROW", right: true}, {title: "JOB"}, {title: "REASON", least: 20}}}
		for _, row := range asides {
			t.add(cell{fmt.Sprint(row.Seq), ""}, cell{row.ID, ""}, cell{oneLine(row.Reason), red})
		}
		t.print(a.out)
	}
	return nil
}

// relayRetryCmd tries again what could not be moved, or moves again what was.
type relayRetryCmd struct {
	fromFlags
	Moved time.Duration `help:"Instead, move again what was moved within this time and is kept: for a store that has lost its last moments." placeholder:"DURATION"`
}

// Run lets the rows wait again.
func (c *relayRetryCmd) Run(ctx context.Context, a *app) error {
	if c.Moved < 0 {
		return usage("--moved: %v is negative", c.Moved)
	}
	box, db, err := c.alone(ctx, a, true)
	if err != nil {
		return err
	}
	defer db.Close()
	n := int64(0)
	if c.Moved > 0 {
		n, err = box.MoveAgain(ctx, db, c.Moved)
	} else {
		n, err = box.Retry(ctx, db)
	}
	if err != nil {
		return c.unavailable(err)
	}
	if a.json {
		return a.printJSON(map[string]int64{"count": n})
	}
	a.print("%s to be moved again", count(int(n), "job"))
	return nil
}

// relayCreateCmd makes the table.
type relayCreateCmd struct{ fromFlags }

// Run makes it.
func (c *relayCreateCmd) Run(ctx context.Context, a *app) error {
	box, db, err := c.alone(ctx, a, false)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := box.Create(ctx, db); err != nil {
		return c.unavailable(err)
	}
	if err := box.Check(ctx, db); err != nil {
		return c.unavailable(err)
	}
	if a.json {
		return a.printJSON(map[string]string{"from": bellhop.MaskAddress(c.From), "table": c.Table})
	}
	a.print("the table is there")
	return nil
}

// relaySchemaCmd prints the statements that make the table.
type relaySchemaCmd struct {
	Dialect string `arg:"" help:"The database: postgres, mysql or sqlite." enum:"postgres,mysql,sqlite"`
	outboxFlags
}

// Run prints them.
func (c *relaySchemaCmd) Run(a *app) error {
	dialect := map[string]outbox.Dialect{"postgres": outbox.PostgreSQL, "mysql": outbox.MySQL, "sqlite": outbox.SQLite}[c.Dialect]
	text, err := outbox.Schema(dialect, c.options()...)
	if err != nil {
		return refused("%w", err)
	}
	if text = strings.TrimRight(text, "\n"); a.json {
		return a.printJSON(map[string]string{"sql": text})
	}
	a.print("%s", text)
	return nil
}
