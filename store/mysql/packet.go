package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	mysql "github.com/go-sql-driver/mysql"
)

// multi runs statements of one kind that are written one behind the other, in
// one round trip, and returns how many rows each has changed.
func (t *transaction) multi(ctx context.Context, text string, times int, args []any) (counts []int64, err error) {
	named := make([]driver.NamedValue, len(args))
	for i, arg := range args {
		value, err := driver.DefaultParameterConverter.ConvertValue(arg)
		if err != nil {
			return nil, err
		}
		named[i] = driver.NamedValue{Ordinal: i + 1, Value: value}
	}
	err = t.conn.Raw(func(conn any) error {
		result, err := conn.(driver.ExecerContext).ExecContext(ctx, text, named)
		if err != nil {
			return err
		}
		counts = result.(mysql.Result).AllRowsAffected()
		if len(counts) != times {
			return fmt.Errorf("%d results of %d statements", len(counts), times)
		}
		return nil
	})
	return counts, err
}

// escaped are the bytes that become two within a statement.
var escaped = func() (table [256]bool) {
	for _, b := range []byte("\x00\n\r\x1a\"'\\") {
		table[b] = true
	}
	return table
}()

// bytes returns how many bytes the arguments take within a statement, or some more.
func (t *transaction) bytes(args []any) int {
	n := 0
	for _, arg := range args {
		switch v := arg.(type) {
		case []byte:
			n += quoted(v)
		case string:
			n += quoted(v)
		default:
			n += 24
		}
	}
	return n
}

// quoted returns the size of a text or bytes as the driver writes them.
func quoted[T string | []byte](v T) int {
	n := len(v) + len(`_binary''`)
	if len(v) > 256 { // for the others a guess will do
		for i := range len(v) {
			if escaped[v[i]] {
				n++
			}
		}
		return n
	}
	return n + len(v)
}

// errTooLarge says that a statement is larger than the server takes.
var errTooLarge = errors.New("it is larger than the server takes")

// fits refuses a statement that the server would not take.
func (t *transaction) fits(text string, args []any) error {
	if n := len(text) + t.bytes(args); n > t.packet {
		return fmt.Errorf("%w: about %d bytes, where max_allowed_packet allows %d: raise it, or send less at once", errTooLarge, n, t.packet)
	}
	return nil
}
