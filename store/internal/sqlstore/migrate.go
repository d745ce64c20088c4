package sqlstore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

// step is one migration: the statements that lead from the version before to
// its version, and back.
type step struct {
	version  int
	name     string
	up, down string
	checksum string // of up
}

// steps reads the migrations of a dialect, the first first. Their versions are 1, 2, 3 and so on.
func steps(d Dialect) ([]step, error) {
	files, err := fs.Glob(d.Migrations(), "*.sql")
	if err != nil {
		return nil, err
	}
	byVersion := map[int]*step{}
	for _, file := range files {
		number, rest, _ := strings.Cut(path.Base(file), "_")
		version, err := strconv.Atoi(number)
		name, direction, _ := strings.Cut(strings.TrimSuffix(rest, ".sql"), ".")
		if err != nil || direction != "up" && direction != "down" {
			return nil, fmt.Errorf("migration %s: want a name like 0001_jobs.up.sql", file)
		}
		content, err := fs.ReadFile(d.Migrations(), file)
		if err != nil {
			return nil, err
		}
		s := byVersion[version]
		if s == nil {
			s = &step{version: version, name: name}
			byVersion[version] = s
		}
		if direction == "down" {
			s.down = string(content)
			continue
		}
		sum := sha256.Sum256(content)
		s.up, s.checksum = string(content), hex.EncodeToString(sum[:])
	}
	var list []step
	for _, s := range byVersion {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b step) int { return cmp.Compare(a.version, b.version) })
	for i, s := range list {
		if s.version != i+1 || s.up == "" || s.down == "" {
			return nil, fmt.Errorf("migration %d (%s): want versions without gaps, each with up and down", s.version, s.name)
		}
	}
	return list, nil
}

const (
	schemaTable  = "bellhop_schema"
	createSchema = `create table if not exists bellhop_schema (version integer not null primary key, name varchar(100) not null, checksum char(64) not null, applied_at bigint not null)`
	addStep      = `insert into bellhop_schema (version, name, checksum, applied_at) values (?, ?, ?, ?)`
	dropStep     = `delete from bellhop_schema where version = ?`
)

var (
	makeSchema  = compose("make schema table", createSchema)
	schemaSteps = compose("schema steps", `select version, checksum from bellhop_schema order by version`)
	markStep    = compose("mark step", addStep)
	unmarkStep  = compose("unmark step", dropStep)
)

// Migrations changes the schema of a database. It implements [bellhop.Migrator].
type Migrations struct {
	Dialect  Dialect
	Database Database
	Clock    bellhop.Clock // for the record of when a step was made
}

// Schema implements [bellhop.Migrator].
func (m *Migrations) Schema(ctx context.Context) (have, newest int, err error) {
	list, err := steps(m.Dialect)
	if err != nil {
		return 0, 0, err
	}
	err = m.Database.Read(ctx, nil, func(tx Tx) error {
		have, err = m.version(ctx, tx, list)
		return err
	})
	return have, len(list), m.explain(err)
}

func (m *Migrations) explain(err error) error {
	if err == nil {
		return nil
	}
	trouble, err := m.Dialect.Explain(err)
	if trouble == Unavailable || trouble == Conflict {
		return fmt.Errorf("%w: %w", bellhop.ErrUnavailable, err)
	}
	return err
}

// version returns the schema's version, and checks that the steps that led to
// it are the ones that this program knows.
func (m *Migrations) version(ctx context.Context, tx Tx, list []step) (int, error) {
	there, err := m.Dialect.HasTable(ctx, tx, schemaTable)
	if err != nil || !there {
		return 0, err
	}
	have := 0
	err = tx.Query(ctx, schemaSteps, func(r Row) error {
		var version num
		var checksum text
		if err := r.Scan(&version, &checksum); err != nil {
			return err
		}
		have = int(version)
		if have <= len(list) && list[have-1].checksum != string(checksum) {
			return fmt.Errorf("step %d (%s) of the schema was made by another program: its checksum is %.12s, this program's %.12s; use the program that made it",
				have, list[have-1].name, string(checksum), list[have-1].checksum)
		}
		return nil
	})
	return have, err
}

// Check returns nil if the schema is the one that this program needs, and
// otherwise an error around [bellhop.ErrSchemaNewer] or [bellhop.ErrSchemaOlder]
// that names both versions.
func (m *Migrations) Check(ctx context.Context) error {
	have, newest, err := m.Schema(ctx)
	switch {
	case err != nil:
		return err
	case have > newest:
		return newer(have, newest)
	case have < newest:
		return fmt.Errorf("%w: the store has version %d, this program needs %d; run `bellhop migrate up`, or open it with migrate=auto", bellhop.ErrSchemaOlder, have, newest)
	}
	return nil
}

func newer(have, newest int) error {
	return fmt.Errorf("%w: the store has version %d, this program knows %d; use the newer release, or take the schema back with its `bellhop migrate down`",
		bellhop.ErrSchemaNewer, have, newest)
}

// Up brings the schema to the newest version. Any number of processes may do so at once.
func (m *Migrations) Up(ctx context.Context) error {
	have, newest, err := m.Schema(ctx)
	switch {
	case err != nil:
		return err
	case have > newest:
		return newer(have, newest)
	case have == newest:
		return nil
	}
	return m.MigrateTo(ctx, newest, nil)
}

// MigrateTo implements [bellhop.Migrator]. Each step is one transaction, under
// a lock, and looks at the version again: what another process has done
// meanwhile is not done twice, and after an interruption the next call goes on.
func (m *Migrations) MigrateTo(ctx context.Context, version int, progress func(bellhop.MigrationStep)) error {
	list, err := steps(m.Dialect)
	if err != nil {
		return err
	}
	if version < 0 || version > len(list) {
		return fmt.Errorf("there is no schema version %d: want 0 to %d", version, len(list))
	}
	for {
		began := time.Now()
		var done *bellhop.MigrationStep
		err := m.Database.Write(ctx, nil, func(tx Tx) (err error) {
			done, err = m.one(ctx, tx, list, version)
			return err
		})
		if err != nil || done == nil {
			return m.explain(err)
		}
		done.Took = time.Since(began)
		if progress != nil {
			progress(*done)
		}
	}
}

// one takes one step towards a version; nil if none is left.
func (m *Migrations) one(ctx context.Context, tx Tx, list []step, to int) (*bellhop.MigrationStep, error) {
	if err := m.Dialect.Lock(ctx, tx); err != nil {
		return nil, err
	}
	have, err := m.version(ctx, tx, list)
	switch {
	case err != nil || have == to:
		return nil, err
	case have > len(list):
		return nil, newer(have, len(list))
	case have > to:
		s := &list[have-1]
		if err := run(ctx, tx, s, s.down); err != nil {
			return nil, err
		}
		_, err := tx.Exec(ctx, unmarkStep, s.version)
		return &bellhop.MigrationStep{Version: s.version, Name: s.name, Down: true}, err
	}
	s := &list[have]
	// Only now: where nothing is left to do, a role that may change nothing will do.
	if _, err := tx.Exec(ctx, makeSchema); err != nil {
		return nil, err
	}
	if err := run(ctx, tx, s, s.up); err != nil {
		return nil, err
	}
	_, err = tx.Exec(ctx, markStep, s.version, s.name, s.checksum, m.Clock.Now().UnixMicro())
	return &bellhop.MigrationStep{Version: s.version, Name: s.name}, err
}

// run runs the statements of a step one after the other.
func run(ctx context.Context, tx Tx, s *step, sql string) error {
	for i, statement := range split(sql) {
		st := compose(fmt.Sprintf("migration %d statement %d", s.version, i+1), statement)
		if _, err := tx.Exec(ctx, st); err != nil {
			return err
		}
	}
	return nil
}

// split returns the statements of a migration: each ends with a semicolon at the end of a line.
func split(sql string) []string {
	var list []string
	for part := range strings.SplitSeq(sql, ";\n") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, strings.TrimSuffix(part, ";"))
		}
	}
	return list
}

// MigrationSQL implements [bellhop.Migrator].
func (m *Migrations) MigrationSQL(from, to int) (string, error) {
	list, err := steps(m.Dialect)
	if err != nil {
		return "", err
	}
	if from < 0 || to < 0 || from > len(list) || to > len(list) {
		return "", fmt.Errorf("there is no way from schema version %d to %d: want 0 to %d", from, to, len(list))
	}
	var b strings.Builder
	if from == 0 {
		b.WriteString(createSchema + ";\n\n")
	}
	for v := from; v < to; v++ {
		s := &list[v]
		fmt.Fprintf(&b, "-- %d: %s\n%s\n", s.version, s.name, strings.TrimSpace(s.up))
		fmt.Fprintf(&b, "insert into bellhop_schema (version, name, checksum, applied_at) values (%d, '%s', '%s', %d);\n\n",
			s.version, s.name, s.checksum, m.Clock.Now().UnixMicro())
	}
	for v := from; v > to; v-- {
		s := &list[v-1]
		fmt.Fprintf(&b, "-- %d: take back %s\n%s\n", s.version, s.name, strings.TrimSpace(s.down))
		fmt.Fprintf(&b, "delete from bellhop_schema where version = %d;\n\n", s.version)
	}
	return b.String(), nil
}
