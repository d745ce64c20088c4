package postgres

import (
	"context"
	"embed"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

//go:embed migrations/*.sql
var migrations embed.FS

// dialect is PostgreSQL's. All names are qualified by the schema, so that nothing
// depends on a session's search path.
type dialect struct {
	name   string // of the schema
	schema string // as it stands in front of a name: `"public".`
	kept   *sync.Map
}

func newDialect(schema string) dialect {
	return dialect{name: schema, schema: pgx.Identifier{schema}.Sanitize() + ".", kept: &sync.Map{}}
}

func (dialect) Name() string { return "postgres" }

var macros = strings.NewReplacer(
	"in ({numbers})", "= any(?::bigint[])", // as a query it would be joined, and might come after a look at all rows
	"{list}", "select unnest(?::text[])",
	"{numbers}", "select unnest(?::bigint[])",
	"{tag}", `strpos(j.tags, '"' || ? || '"') > 0`, // names need no escape
	"{contains}", "position(?::bytea in j.args) > 0",
	"{limit}", "limit ?",
	"{running}", listed, "{running jobs}", listed+" join bellhop_jobs j on j.job between p.job and p.job", // see lists.go
	"{process}", "e.process", "{exchange}", "e.id",
	"{plain}", "", // the planner keeps to the range anyway, which has the order
	"{lock}", "for update",
	"{share}", "for key share", // of an exchange: a beat may pass, a sweep may not
	"{keep}", "for no key update",
	"{skip}", "for update skip locked",
	"{skip:r}", "for update of r skip locked",
	"{now}", "(extract(epoch from now()) * 1000000)::bigint",
)

// ownName finds the names of tables and of the sequence, but not those of what
// lies in a table's schema by itself.
var ownName = regexp.MustCompile(`(index |constraint |')?bellhop_[a-z_]+`)

// SQL expands macros, numbers the parameters and qualifies names; some statements have a text of their own here.
func (d dialect) SQL(st *sqlstore.Stmt) string {
	if sql, ok := d.kept.Load(st); ok {
		return sql.(string)
	}
	text, replaced := replacements[st.Name]
	if !replaced {
		text = st.Text
	}
	sql := d.expand(text)
	if !st.Passing() {
		d.kept.Store(st, sql)
	}
	return sql
}

func (d dialect) expand(text string) string {
	return ownName.ReplaceAllStringFunc(number(macros.Replace(text)), func(name string) string {
		switch name[0] {
		case 'b':
			return d.schema + name
		case '\'': // within a literal
			return "'" + strings.ReplaceAll(d.schema, "'", "''") + name[1:]
		}
		return name
	})
}

// number gives each parameter its number.
func number(text string) string {
	if !strings.Contains(text, "?") {
		return text
	}
	var b strings.Builder
	n, quoted := 0, false
	for _, r := range text {
		switch {
		case r == '\'':
			quoted = !quoted
		case r == '?' && !quoted:
			n++
			b.WriteString("$" + strconv.Itoa(n))
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func (dialect) Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil { // the folder is compiled in
		panic(err)
	}
	return sub
}

// migrationLock is a number of our own among the advisory locks of a database.
const migrationLock = 0x62656c6c686f70 // "bellhop"

var lockSchema = sqlstore.Define("lock schema", `select pg_advisory_xact_lock(?)`)

// Lock takes an advisory lock, which ends with the transaction and so needs no
// session of its own.
func (dialect) Lock(ctx context.Context, tx sqlstore.Tx) error {
	return tx.Query(ctx, lockSchema, func(sqlstore.Row) error { return nil }, int64(migrationLock))
}

// hasTable reads the catalogue itself: to_regclass would answer from a cache that
// is not brought up to date by waiting for the lock.
var hasTable = sqlstore.Define("has table", `select exists (
	select 1 from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = ? and c.relname = ?)`)

// HasTable implements [sqlstore.Dialect].
func (d dialect) HasTable(ctx context.Context, tx sqlstore.Tx, name string) (there bool, err error) {
	err = tx.Query(ctx, hasTable, func(r sqlstore.Row) error { return r.Scan(&there) }, d.name, name)
	return there, err
}

var takeNumbers = sqlstore.Define("take numbers", `select nextval('bellhop_job_numbers') from generate_series(1, ?::int)`)

// Numbers takes them from the sequence.
func (dialect) Numbers(ctx context.Context, tx sqlstore.Tx, n int) ([]int64, error) {
	numbers := make([]int64, 0, n)
	err := tx.Query(ctx, takeNumbers, func(r sqlstore.Row) error {
		var number int64
		err := r.Scan(&number)
		numbers = append(numbers, number)
		return err
	}, n)
	return numbers, err
}
