// Package cli is the command bellhop: one file a command.
//
// A command line passes through like this. [Main] reads it with the grammar (grammar.go), fills in flags from the
// environment, and calls the Run method of the command that was chosen. A command that needs the store opens it (app.go),
// does its work through a [bellhop.Client] as any program would, and prints what came of it: text that is pleasant to look at
// on a terminal, or JSON. What it returns becomes one line on the standard error stream and an exit code (exit.go).
//
// A job comes in by `enqueue`, or over HTTP through `serve`, which is the API and a worker with the built-in kinds in one
// process; `work` is the worker alone. The other commands look after jobs: jobs, queues, migrate, doctor; and `relay` moves jobs in from a user's database.
//
// # Output
//
// The result goes to the standard output stream, everything else (hints, progress, questions, errors) to the standard error
// stream; an error is one line. Texts that come from jobs are cleaned of escape codes, except in JSON, which escapes them.
//
// With --json the result is JSON, on one line unless it goes to a terminal. The forms do not change, but for members that are
// added:
//
//	enqueue                         a receipt, with --ndjson an array of them, as POST /v1/jobs gives it
//	jobs list                       a page of jobs, as GET /v1/jobs gives it
//	jobs show                       a job, as GET /v1/jobs/{id} gives it
//	jobs wait                       {"jobs":[…]}, those that have ended, in that order
//	jobs retry, run, cancel, …      {"action":"retry","count":2,"changed":[ids],"signalled":[ids],"skipped":[{"id","state","holder"}]},
//	                                by filter without the lists
//	queues list                     {"queues":[…],"limit":10000}, as GET /v1/queues gives it, and with each queue's "slots"
//	queues concurrency              {"queue","concurrency"}
//	queues pause, resume            [{"queue":"mail","paused":true}]
//	processes list                  {"processes":[…],"gone":[…]}: those alive as GET /v1/processes gives them, and the newest that died with jobs in hand
//	processes drain, undrain        {"process","drained"}
//	audit                           a page of the audit, as GET /v1/audit gives it
//	migrate status, up, down        {"store","have","newest","steps":[{"version","name","down","took_ms"}]}
//	migrate print                   {"from","to","sql"}
//	relay                           when it is up: {"from","table","store","durability"}; with --once {"moved","existing","set_aside"}
//	relay status                    {"from","waiting","lag_ms","set_aside","kept","limit":10000,"asides":[{"seq","id","job","reason","at"}]}
//	relay retry, create, schema     {"count"}, {"from","table"}, {"sql"}
//	doctor                          {"store","findings":[{"level","subject","detail","advice"}]}
//	serve, work                     when it is up: {"listening","store","durability","queues":{"default":50},"kinds":[…]}
//	version                         {"version","revision","modified","go","platform"}
//
// # Secrets
//
// Secrets come from the environment or from files, never from flags. A password in the address of a store is accepted, since
// that is where such addresses carry it, and is masked in every message.
//
// Values in jobs that are known by their names as secrets are shown as [redacted], in JSON too, unless --reveal asks for them.
package cli
