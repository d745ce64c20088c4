package mysql

import (
	"context"
	"embed"
	"errors"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

//go:embed migrations/*.sql
var migrations embed.FS

// dialect is that of MySQL 8 and MariaDB. target names the database, for messages.
type dialect struct {
	target string
	known  sync.Map // *sqlstore.Stmt to *compiled
}

// Name implements [sqlstore.Dialect].
func (*dialect) Name() string { return "mysql" }

// compiled is a statement in this dialect.
type compiled struct {
	text string
	// order says which argument each question mark stands for, if they are not taken one after the other.
	order []int
	// before, row and after are the parts of a statement for many rows.
	before, row, after string
	// locking is the text that sees more than an old snapshot does, if the
	// statement has to when it runs in a transaction of the caller's.
	locking string
}

// arrange returns the arguments as the text wants them.
func (c *compiled) arrange(args []any) []any {
	if c.order == nil {
		return args
	}
	list := make([]any, len(c.order))
	for i, k := range c.order {
		list[i] = args[k]
	}
	return list
}

// numbers is a table v with one column, from one parameter.
const numbers = `json_table(?, '$[*]' columns (n bigint path '$')) v`

// A straight join goes through its tables in the order in which they are
// written. Whatever the optimizer would rather do, only the rows that are named
// are looked at, and so locked; but of a table with few rows it reads all at once,
// where nothing is deleted, unless it is told which index to go by.
var macros = strings.NewReplacer(
	"{list}", "select cast(v.t as binary) from json_table(?, '$[*]' columns (t varchar(1024) path '$')) v",
	"{numbers}", "select v.n from "+numbers,
	"{tag}", `locate(cast(concat('"', ?, '"') as binary), j.tags) > 0`, // names need no escape
	"{contains}", "locate(cast(? as binary), j.args) > 0",
	"{limit}", "limit ?",
	"{plain}", "",
	"{running}", "bellhop_running p", "{running jobs}", "bellhop_running p straight_join bellhop_jobs j on j.job = p.job",
	"{process}", "p.process", "{exchange}", "p.exchange",
	"{lock}", "for update",
	"{keep}", "for update",
	"{share}", "lock in share mode",
	"{skip}", "for update skip locked",
	"{now}", serverNow,
	" cross join ", " straight_join ",
)

var (
	deleteThese  = regexp.MustCompile(`^delete from (\w+) where job in \(\{numbers\}\)$`)
	rowsPattern  = regexp.MustCompile(`\(\?(, \?)*\)`)
	numbered     = regexp.MustCompile(`\?\d+`)
	among        = regexp.MustCompile(`(\w+\.\w+) (not )?in \(\{list\}\)`)
	noConflict   = regexp.MustCompile(`\s+on conflict do nothing$`)
	unionOfReads = regexp.MustCompile(`(?s)^select .* union all `)
)

// compile returns a statement in this dialect.
func (d *dialect) compile(st *sqlstore.Stmt) *compiled {
	if c, ok := d.known.Load(st); ok {
		return c.(*compiled)
	}
	c := translate(st)
	if slices.Contains(sqlstore.Statements(), st) {
		d.known.Store(st, c)
	}
	return c
}

func translate(st *sqlstore.Stmt) *compiled {
	text, replaced := replacements[st.Name]
	if !replaced {
		text = deleteThese.ReplaceAllString(st.Text, `delete p from `+strings.ReplaceAll(numbers, "$", "$$")+` straight_join $1 p where p.job = v.n`)
		if noConflict.MatchString(text) {
			// What is not inserted is not counted, whatever the session counts. Nothing
			// else is hidden by that: all that is inserted in this way has been checked.
			text = strings.Replace(noConflict.ReplaceAllString(text, ""), "insert into", "insert ignore into", 1)
		}
	}
	// As a subquery a list would be a join to optimize, in an order of its own, and its result had to be sorted. Names need no escape.
	text = among.ReplaceAllString(text, `${2}(locate(concat('"', $1, '"'), cast(? as binary)) > 0)`)
	c := &compiled{text: macros.Replace(text)}
	if at := numbered.FindAllString(c.text, -1); at != nil {
		for _, mark := range at {
			n, _ := strconv.Atoi(mark[1:])
			c.order = append(c.order, n-1)
		}
		c.text = numbered.ReplaceAllString(c.text, "?")
	}
	if at := rowsPattern.FindStringIndex(c.text); at != nil {
		c.before, c.row, c.after = c.text[:at[0]], c.text[at[0]:at[1]], c.text[at[1]:]
	}
	if newer[st.Name] {
		c.locking = c.text + " lock in share mode"
		if unionOfReads.MatchString(c.text) {
			c.locking = "(" + strings.ReplaceAll(c.text, " union all ", " lock in share mode) union all (") + " lock in share mode)"
		}
	}
	return c
}

// SQL implements [sqlstore.Dialect].
func (d *dialect) SQL(st *sqlstore.Stmt) string { return d.compile(st).text }

// Numbers implements [sqlstore.Dialect]. A number is the server's time and
// something random: MySQL has no sequences, a counter's row would let one enqueue
// through at a time, and what auto_increment gives is known too late and need not
// be without gaps. Should two calls ever get the same, the later one finds the
// number taken and tries again.
func (*dialect) Numbers(ctx context.Context, tx sqlstore.Tx, n int) ([]int64, error) {
	now, err := tx.Now(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]int64, n)
	first := (now-epoch)<<numberBits + rand.Int64N(1<<numberBits)
	for i := range list {
		list[i] = first + int64(i)
	}
	return list, nil
}

const (
	epoch      = 1_704_067_200_000_000 // 2024-01-01, in microseconds: no job is older
	numberBits = 11                    // so the numbers last for 142 years
)

// LockKeys implements [sqlstore.KeyLocker].
func (*dialect) LockKeys(ctx context.Context, tx sqlstore.Tx, keys []string) error {
	slots := make(sqlstore.Numbers, len(keys))
	for i, key := range keys {
		h := fnv.New32a()
		_, _ = h.Write([]byte(key))
		slots[i] = int64(h.Sum32() % keySlots)
	}
	slices.Sort(slots)
	return tx.Query(ctx, lockKeys, func(r sqlstore.Row) error { return r.Scan(new(int64)) }, slices.Compact(slots))
}

// keySlots is how many rows bellhop_key_locks has.
const keySlots = 1000

var lockKeys = sqlstore.Compose("lock unique keys", `select k.slot from `+numbers+` straight_join bellhop_key_locks k force index (primary) where k.slot = v.n {lock}`)

// Migrations implements [sqlstore.Dialect].
func (*dialect) Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil { // the folder is compiled in
		panic(err)
	}
	return sub
}

var (
	hasTable = sqlstore.Compose("has table", `select count(*) from information_schema.tables where table_schema = database() and table_name = ?`)
	getLock  = sqlstore.Compose("lock schema", `select coalesce(get_lock(concat('bellhop/', left(sha1(database()), 40)), 600), 0)`)
)

// HasTable implements [sqlstore.Dialect].
func (*dialect) HasTable(ctx context.Context, tx sqlstore.Tx, name string) (bool, error) {
	var n int64
	err := tx.Query(ctx, hasTable, func(r sqlstore.Row) error { return r.Scan(&n) }, name)
	return n > 0, err
}

// Lock implements [sqlstore.Dialect]. The lock is the session's: it is freed by
// schemaDatabase, which keeps the session to itself.
func (*dialect) Lock(ctx context.Context, tx sqlstore.Tx) error {
	var got int64
	err := tx.Query(ctx, getLock, func(r sqlstore.Row) error { return r.Scan(&got) })
	if err == nil && got != 1 {
		err = errors.New("another program has been changing the schema for ten minutes: wait for it, or end it")
	}
	return err
}
