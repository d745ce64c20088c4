package cli

import "github.com/alecthomas/kong"

// defaultStore is where the jobs are if nobody says otherwise.
const defaultStore = "sqlite:bellhop.db"

// groups are the headings of flags in the help.
var groups = []kong.Group{
	{Key: "filter", Title: "Which jobs:"},
	{Key: "entries", Title: "Which entries:"},
	{Key: "job", Title: "The job:"},
	{Key: "door", Title: "Where it listens, and who may come in:"},
	{Key: "worker", Title: "Work:"},
	{Key: "kinds", Title: "Kinds of jobs:"},
	{Key: "outbox", Title: "The outbox:"},
	{Key: "log", Title: "Log:"},
	{Key: "all", Title: "Everywhere:"},
}

// grammar is the command line. The tag "from" names environment variables, the first that is set wins; flags win over all.
type grammar struct {
	Store string `help:"Where the jobs are: an address such as sqlite:jobs.db. Default: ${store}." placeholder:"ADDRESS" default:"${store}" from:"BELLHOP_STORE,DATABASE_URL" group:"all"`
	JSON  bool   `name:"json" help:"Print the result as JSON." group:"all"`

	Serve     serveCmd     `cmd:"" help:"Serve the HTTP API and the dashboard, and work the built-in kinds of jobs."`
	UI        uiCmd        `cmd:"" name:"ui" help:"Serve the dashboard alone, for any store."`
	Work      workCmd      `cmd:"" help:"Work the built-in kinds of jobs, without the API."`
	Demo      demoCmd      `cmd:"" help:"Show in one and a half minutes what jobs change."`
	Enqueue   enqueueCmd   `cmd:"" help:"Enqueue jobs."`
	Jobs      jobsCmd      `cmd:"" help:"Look at jobs and act on them."`
	Queues    queuesCmd    `cmd:"" help:"Look at queues, pause and resume them."`
	Processes processesCmd `cmd:"" help:"Look at workers, drain them."`
	Metrics   metricsCmd   `cmd:"" help:"Tell how jobs went: counts, times, failures."`
	Mark      markCmd      `cmd:"" help:"Note in charts that something happens now."`
	Relay     relayCmd     `cmd:"" help:"Move jobs from a database's outbox into the store."`
	Audit     auditCmd     `cmd:"" help:"Show who did what, newest first; also what was refused."`
	Migrate   migrateCmd   `cmd:"" help:"Look at the store's schema and change it."`
	Health    healthCmd    `cmd:"" help:"Ask a running process whether it lives and can work, for probes that start a program."`
	Doctor    doctorCmd    `cmd:"" help:"Look for what is wrong, and say what to do."`
	Explain   explainCmd   `cmd:"" help:"Tell what an error means and what to do."`
	Version   versionCmd   `cmd:"" help:"Print the version."`
}

// jobsCmd holds what is done to jobs.
type jobsCmd struct {
	List    jobsListCmd    `cmd:"" help:"List jobs, newest first."`
	Show    jobsShowCmd    `cmd:"" help:"Show a job with its arguments and its history."`
	Retry   jobsRetryCmd   `cmd:"" help:"Run finished jobs again; their history is kept."`
	Run     jobsRunCmd     `cmd:"" help:"Make scheduled jobs ready at once."`
	Cancel  jobsCancelCmd  `cmd:"" help:"Stop jobs: waiting ones at once, running ones soon."`
	Discard jobsDiscardCmd `cmd:"" help:"Give up waiting or dead jobs as no longer needed."`
	Delete  jobsDeleteCmd  `cmd:"" help:"Remove jobs that do not run, with their history."`
	Wait    jobsWaitCmd    `cmd:"" help:"Wait until jobs have ended."`
}
