// Package rollup keeps what happened to jobs as numbers: how many ended how, how long they waited and ran, and of what
// they failed, by queue and kind, minute by minute for two weeks. Pages, metrics and commands read it instead of jobs, so
// that a chart costs the same whether a thousand jobs ran or a billion.
//
// A job passes through once, when its attempt has ended and the store has taken the outcome: the worker tells its
// [Recorder], which adds it to the counts of the minute (recorder.go). Every few seconds the worker's [Writer] writes the
// minute so far as records of its own, a handful however many jobs there were, and nothing if nothing happened (writer.go).
// Ten minutes later the minutes of all processes are merged into one window by whichever process comes first, and six of
// those into an hour, and those into a day (merge.go). A [Reader] puts them together again (reader.go).
//
// Nothing is counted twice and nothing is lost when a process dies between, because a merged window is nothing but a
// function of the records that it is made from: these stay where they are until they expire, whoever merges them again gets
// the same, and whoever writes one of them late merges its window again. Writes of merged windows compare the version, so
// that of two that merge at once the one that has not seen the other's sources begins again.
//
// Times are held in a [Sketch]: buckets that grow by four percent, so that each quantile is right to two percent however
// many sketches were merged, in whatever order.
//
// Enqueueing happens in processes without a worker too; so clients count it themselves, as records of their own for each minute
// ([bellhop.EnqueuedSpace]), and whoever reads a minute here adds theirs (enqueued.go).
//
// What is read together is kept together: see [Space]. A page reads records that are small, or few, or known by name. A table of those queues
// that matter most finds out from counts which they are, and reads the sketches of these alone (table.go); of failures it reads the
// numbers, and the texts of those that it shows (failures.go).
//
// All else is kept in records of the space "rollup" (keys.go), under the store's clock as workers reckon it. What is not counted:
// what people do to waiting jobs, and jobs that reach the store through an outbox.
package rollup
