// Package outbox enqueues jobs in a transaction of the user's database when the jobs themselves are kept elsewhere: data in SQL and
// jobs in Redis, or in another database. Where both are in one database, the store's own Within is simpler and better.
//
//	box, err := outbox.New(client, outbox.PostgreSQL)
//	receipt, err := SendWelcome.Enqueue(ctx, box.Within(tx), Welcome{UserID: 42}) // *sql.Tx; package pgxoutbox is for pgx.Tx
//	err = tx.Commit()
//
// and once in every deployment, beside a worker or as `bellhop relay`:
//
//	relay, err := outbox.NewRelay(box, db, outbox.Config{})
//	err = relay.Run(ctx)
//
// A job passes through here in two steps. Enqueue checks it as every enqueue does and writes it into a table of the user's database,
// in the user's transaction (within.go, format.go). When that has committed, a [Relay] reads the row, gives the job to the store,
// and deletes the row (move.go, rows.go). The job's options are those of the call; a delay counts from the call.
//
// # What is promised
//
// A job whose transaction was rolled back never reaches the store. One whose transaction has committed reaches it exactly once,
// whoever is killed, frozen or cut off in between, as long as neither database loses what it has committed: see [CursorSpace]. The
// relay moves jobs in the order of their rows; one whose transaction commits late comes later. A job that the store refuses is
// set aside in the table with the reason ([Outbox.Status], [Outbox.Asides], [Outbox.Retry]), and holds up no others.
//
// What only the store can know is not known at the enqueue: the receipt tells the id, and no state; a job that loses to the
// holder of its unique key does so when it is moved; and an id that is taken by other work is refused then.
//
// # The table
//
// [Schema] returns the statements that make it, [Outbox.Create] runs them. Who enqueues needs the right to insert, and no other;
// who relays those to select, insert, update and delete. This package knows SQL dialects and no driver.
package outbox
