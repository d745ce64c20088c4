// Package bulk does an action to many jobs in the background: retry all that are dead, delete all of a kind.
//
// An operation is a record in the store. The process that accepted it works at it in bites: it lets the store act on up to
// [Bite] jobs that match, writes down how far it came, leaves the store alone for as long as the bite took, and goes on
// behind the last job. Who looks at the record sees its progress; who sets the stop in it ends it after the bite under way.
//
// The record also names its owner, who says at least every few seconds that it is alive. If that ceases, or the owner hands it
// back as it shuts down, another process that has a [Runner] takes the operation over when it looks ([Runner.Look]), and goes
// on at the place written last. All writes compare the record's version, so that one process owns an operation at a time, and each bite is fenced
// by it ([bellhop.Fence]): what a former owner, which stood still meanwhile, still sends does nothing; it notices and leaves the
// operation alone. A bite whose end was not written down is done again, which changes no job that is no longer in one of the action's
// states.
//
// A job passes through an operation at most once, in the order of a listing: newest first. Jobs that come to match behind that
// place, or are enqueued after the beginning, are left alone.
package bulk
