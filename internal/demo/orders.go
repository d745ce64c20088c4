package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/sqlite"
)

// orderTable keeps orders in a table beside Bellhop's own, so that an order and its jobs are saved in one transaction: there is
// no order whose jobs were forgotten, and no job whose order was never saved.
type orderTable struct {
	write  *sql.DB
	read   *sql.DB
	client *bellhop.Client
	jobs   chan struct{} // holds an element for each job that saves
}

// savingJobs is how many jobs may wait for the one connection that writes, at the same time: as many as there are web workers, so
// that half of the turns are the customers', however many jobs there are. The other jobs wait for these.
const savingJobs = WebWorkers

const createOrders = `create table if not exists shop_orders (
	id     text primary key,
	email  text    not null,
	item   text    not null,
	amount integer not null,
	state  text    not null,
	placed integer not null,
	paid   integer not null
) strict, without rowid;
create index if not exists shop_orders_placed on shop_orders (placed)`

// newOrderTable creates the table if it is not there.
func newOrderTable(ctx context.Context, write, read *sql.DB, client *bellhop.Client) (*orderTable, error) {
	if _, err := write.ExecContext(ctx, createOrders); err != nil {
		return nil, fmt.Errorf("demo: cannot create the table of orders: %w", err)
	}
	return &orderTable{write: write, read: read, client: client, jobs: make(chan struct{}, savingJobs)}, nil
}

// Save implements [Store]: the order and its jobs in one transaction. An order that is in this state already is left alone, so
// that a job that runs again does not hand off twice.
func (o *orderTable) Save(ctx context.Context, order Order, handoff []string) error {
	if bellhop.FromContext(ctx) != nil { // a job, and no request
		select {
		case o.jobs <- struct{}{}:
			defer func() { <-o.jobs }()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	tx, err := o.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("saving order %s: %w", order.ID, err)
	}
	defer tx.Rollback() // after the commit it does nothing
	res, err := tx.ExecContext(ctx, `insert into shop_orders (id, email, item, amount, state, placed, paid) values (?, ?, ?, ?, ?, ?, ?)
		on conflict (id) do update set state = excluded.state, paid = excluded.paid where state <> excluded.state`,
		order.ID, order.Email, order.Item, order.Amount, order.State, micros(order.Placed), micros(order.Paid))
	if err != nil {
		return fmt.Errorf("saving order %s: %w", order.ID, err)
	}
	if changed, err := res.RowsAffected(); err != nil || changed == 0 {
		return err
	}
	if err := enqueue(ctx, sqlite.Within(o.client, tx), order, handoff...); err != nil {
		return fmt.Errorf("saving order %s: %w", order.ID, err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("saving order %s: %w", order.ID, err)
	}
	return nil
}

const selectOrders = `select id, email, item, amount, state, placed, paid from shop_orders `

// Order implements [Store].
func (o *orderTable) Order(ctx context.Context, id string) (Order, error) {
	order, err := scanOrder(o.read.QueryRowContext(ctx, selectOrders+`where id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return Order{}, ErrNoOrder
	}
	return order, err
}

// Orders implements [Store].
func (o *orderTable) Orders(ctx context.Context, limit int) ([]Order, error) {
	rows, err := o.read.QueryContext(ctx, selectOrders+`order by placed desc limit ?`, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var orders []Order
	for rows.Next() {
		order, err := scanOrder(rows)
		if err != nil {
			return nil, err
		}
		orders = append(orders, order)
	}
	return orders, rows.Err()
}

// scanOrder reads one row.
func scanOrder(row interface{ Scan(dest ...any) error }) (Order, error) {
	var order Order
	var placed, paid int64
	err := row.Scan(&order.ID, &order.Email, &order.Item, &order.Amount, &order.State, &placed, &paid)
	order.Placed, order.Paid = fromMicros(placed), fromMicros(paid)
	return order, err
}

// micros is a time in microseconds since 1970; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n)
}
