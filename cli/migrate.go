package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/gobellhop/bellhop"
)

// migrateCmd holds what is done to the schema.
type migrateCmd struct {
	Status migrateStatusCmd `cmd:"" help:"Print the schema's version, and the newest known."`
	Up     migrateUpCmd     `cmd:"" help:"Bring the schema to a newer version."`
	Down   migrateDownCmd   `cmd:"" help:"Bring the schema back to an older version."`
	Print  migratePrintCmd  `cmd:"" help:"Print the statements of a migration, and do nothing."`
}

// schemaResult is the JSON of migrate status, up and down.
type schemaResult struct {
	Store  string `json:"store"`
	Have   int    `json:"have"`
	Newest int    `json:"newest"`
	// Steps are those that were taken, in their order.
	Steps []schemaStep `json:"steps,omitempty"`
}

// schemaStep is one step of a migration.
type schemaStep struct {
	Version int    `json:"version"`
	Name    string `json:"name"`
	Down    bool   `json:"down,omitempty"`
	TookMS  int64  `json:"took_ms"`
}

// onlyMigrating returns an address under which a store is opened as it is, to look at its schema and to change it. Addresses
// that name no place have no schema.
func onlyMigrating(address string) string {
	_, place, _ := strings.Cut(address, ":")
	path, query, _ := strings.Cut(address, "?")
	values, err := url.ParseQuery(query)
	if strings.Trim(place, "/") == "" || err != nil {
		return address
	}
	values.Set("migrate", "only")
	return path + "?" + values.Encode()
}

// migrator opens the store and finds its ability to migrate.
func (a *app) migrator(ctx context.Context) (bellhop.Migrator, func(), error) {
	address := onlyMigrating(a.store)
	store, err := bellhop.OpenStore(ctx, address)
	if err != nil { // the parameter is not the user's
		text := strings.Replace(err.Error(), bellhop.MaskAddress(address), bellhop.MaskAddress(a.store), 1)
		return nil, nil, a.openError(errors.New(text))
	}
	return a.asMigrator(store)
}

func (a *app) asMigrator(store bellhop.Store) (bellhop.Migrator, func(), error) {
	m, ok := bellhop.As[bellhop.Migrator](store)
	if !ok {
		name := store.Capabilities().Name
		_ = store.Close()
		return nil, nil, refused("the store %s has no schema to look after", name)
	}
	return m, func() { _ = store.Close() }, nil
}

// schemaOf returns the schema's version and the newest known.
func schemaOf(ctx context.Context, m bellhop.Migrator) (have, newest int, err error) {
	if have, newest, err = m.Schema(ctx); err != nil {
		err = fmt.Errorf("read the schema's version: %w", err)
	}
	return have, newest, err
}

// migrateStatusCmd prints where the schema is.
type migrateStatusCmd struct{}

// Run prints it.
func (*migrateStatusCmd) Run(ctx context.Context, a *app) error {
	m, done, err := a.migrator(ctx)
	if err != nil {
		return err
	}
	defer done()
	have, newest, err := schemaOf(ctx, m)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(schemaResult{Store: bellhop.MaskAddress(a.store), Have: have, Newest: newest})
	}
	switch {
	case have == newest:
		a.print("version %d, the newest", have)
	case have < newest:
		a.print("version %d; this program knows version %d: run bellhop migrate up", have, newest)
	default:
		a.print("version %d; this program knows version %d: use the newer release", have, newest)
	}
	return nil
}

// migrateUpCmd migrates upwards.
type migrateUpCmd struct {
	To *int `help:"To this version instead of the newest." placeholder:"VERSION"`
}

// Run migrates.
func (c *migrateUpCmd) Run(ctx context.Context, a *app) error {
	m, done, err := a.migrator(ctx)
	if err != nil { // there may be no store yet, and then it is made
		if store, made := bellhop.OpenStore(ctx, a.store); made == nil {
			m, done, err = a.asMigrator(store)
		}
	}
	if err != nil {
		return err
	}
	defer done()
	have, newest, err := schemaOf(ctx, m)
	if err != nil {
		return err
	}
	to := newest
	if c.To != nil {
		to = *c.To
	}
	switch {
	case have > newest:
		return &exitError{exitUnavailable, fmt.Errorf("%w: the store has version %d, and this program knows %d: use the newer release",
			bellhop.ErrSchemaNewer, have, newest)}
	case to < have || to > newest:
		return refused("the schema has version %d, and this program knows %d: --to %d is not upwards", have, newest, to)
	}
	return a.migrateTo(ctx, m, to)
}

// migrateDownCmd migrates downwards.
type migrateDownCmd struct {
	To  int  `help:"To this version; 0 removes everything." required:"" placeholder:"VERSION"`
	Yes bool `short:"y" help:"Do not ask."`
}

// Run migrates.
func (c *migrateDownCmd) Run(ctx context.Context, a *app) error {
	m, done, err := a.migrator(ctx)
	if err != nil {
		return err
	}
	defer done()
	have, _, err := schemaOf(ctx, m)
	if err != nil {
		return err
	}
	if c.To < 0 || c.To > have {
		return refused("the schema has version %d: --to %d is not downwards", have, c.To)
	}
	if c.To < have {
		lost := "what the newer versions hold is lost"
		if c.To == 0 {
			lost = "all jobs are lost"
		}
		question := fmt.Sprintf("Take the schema of %s from version %d to %d? %s.", bellhop.MaskAddress(a.store), have, c.To, lost)
		if err := a.confirm(ctx, c.Yes, question); err != nil {
			return err
		}
	}
	return a.migrateTo(ctx, m, c.To)
}

// migrateTo migrates and tells each step.
func (a *app) migrateTo(ctx context.Context, m bellhop.Migrator, to int) error {
	result := schemaResult{Store: bellhop.MaskAddress(a.store)}
	err := m.MigrateTo(ctx, to, func(s bellhop.MigrationStep) {
		result.Steps = append(result.Steps, schemaStep{s.Version, s.Name, s.Down, s.Took.Milliseconds()})
		if !a.json {
			word := "up"
			if s.Down {
				word = "down"
			}
			a.print("%s %d %s (%s)", word, s.Version, clean(s.Name), took(s.Took))
		}
	})
	if err != nil {
		return fmt.Errorf("migrate to version %d: %w", to, err)
	}
	result.Have, result.Newest, err = schemaOf(ctx, m)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(result)
	}
	a.print("the schema has version %d", result.Have)
	return nil
}

// migratePrintCmd prints statements.
type migratePrintCmd struct {
	From *int `help:"From this version. Default: 0, an empty store." placeholder:"VERSION"`
	To   *int `help:"To this version. Default: the newest." placeholder:"VERSION"`
}

// Run prints them. Their JSON is {"from":…,"to":…,"sql":"…"}.
func (c *migratePrintCmd) Run(ctx context.Context, a *app) error {
	m, done, err := a.migrator(ctx)
	if err != nil {
		return err
	}
	defer done()
	_, newest, err := schemaOf(ctx, m)
	if err != nil {
		return err
	}
	from, to := 0, newest
	if c.From != nil {
		from = *c.From
	}
	if c.To != nil {
		to = *c.To
	}
	if from < 0 || to < 0 || max(from, to) > newest {
		return refused("this program knows the versions 0 to %d", newest)
	}
	sql, err := m.MigrationSQL(from, to)
	if err != nil {
		return fmt.Errorf("from version %d to %d: %w", from, to, err)
	}
	if sql = strings.TrimRight(sql, "\n"); !a.json && sql == "" {
		a.note("There is nothing to do from version %d to %d.", from, to)
		return nil
	}
	if a.json {
		return a.printJSON(struct {
			From int    `json:"from"`
			To   int    `json:"to"`
			SQL  string `json:"sql"`
		}{from, to, sql})
	}
	a.print("%s", sql)
	return nil
}
