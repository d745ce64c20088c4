package mysql

import "strings"

// replacements are the statements that read differently here, by name. A number
// behind a question mark says which of the arguments is meant. Why each of them
// differs is told in docs/adr/0008-mysql.md.
var replacements = map[string]string{
	// MariaDB lets no derived table look at the row outside: the count up to a limit
	// is the limit where there is one row more, and else a count. See queuesIn.
	"queues in ready":     queuesIn("ready"),
	"queues in scheduled": queuesIn("scheduled"),
	"queues in blocked":   queuesIn("blocked"),
	"queues in dead":      queuesIn("dead"),
	"queues with blocked": `select queue from bellhop_blocked group by queue`,
	"queues with dead":    `select queue from bellhop_dead group by queue`,
	"oldest ready":        `select queue, min(due) from bellhop_ready group by queue, priority`,
	"next due by queue":   `select queue, min(due) from bellhop_scheduled group by queue`,

	// The optimizer finds no range in a comparison of rows, and no primary key
	// behind a subquery; and an index hint keeps it from sorting a lane.
	"claimable":              `select ` + claimColumns + ` from (` + nextReady("") + `) r straight_join bellhop_jobs j where j.job = r.job`,
	"claimable, known kinds": `select ` + claimColumns + ` from (` + nextReady(known) + `) r straight_join bellhop_jobs j where j.job = r.job`,
	"first of known kinds": `select r.due, r.job from bellhop_ready r force index (primary) where ` + behind + known + `
		order by r.due, r.job limit 1`,
	"these to running": `insert into bellhop_running (job, queue, exchange, process, claimed_at, claim, due, generation, attempt, failures, crashes, suspect, cancel)
		select r.job, r.queue, ?1, ?2, ?3, r.claim + 1, r.due, r.generation, r.attempt, r.failures, r.crashes, r.suspect, r.cancel
		from json_table(?4, '$[*]' columns (n bigint path '$')) v straight_join bellhop_ready r force index (bellhop_ready_job) where r.job = v.n`,
	"hold running":          holdThese + ` {lock}`,
	"hold unlocked running": holdThese + ` {skip}`,
	"unlocked unique keys":  `select k.job from ` + numbers + ` straight_join bellhop_unique_keys k force index (bellhop_unique_keys_job) where k.job = v.n {skip}`,
	"scheduled to ready": `insert into bellhop_ready
		(queue, priority, due, job, kind, generation, claim, attempt, failures, crashes, suspect, cancel, reason, progress)
		select j.queue, j.priority, p.due, p.job, j.kind, p.generation, p.claim, p.attempt, p.failures, p.crashes, p.suspect, p.cancel, p.reason, p.progress
		from ` + numbers + ` straight_join bellhop_scheduled p force index (primary) straight_join bellhop_jobs j force index (primary) where p.job = v.n and j.job = v.n`,
	"records by key": `select r.name, r.value, r.version, r.expires_at
		from json_table(?2, '$[*]' columns (t varchar(2048) path '$')) v straight_join bellhop_records r force index (primary)
		where r.space = ?1 and r.name = cast(v.t as binary) and (r.expires_at is null or r.expires_at > ?3)`,

	// No statement may change a table and look at it in a subquery.
	"prune exchanges": `delete e from (select x.id from bellhop_exchanges x
			where x.made_at < ? and x.id not in (select exchange from bellhop_running) order by x.id {limit}) v
		straight_join bellhop_exchanges e where e.id = v.id`,
	"prune records": `delete r from (select space, name from bellhop_records where expires_at <= ? order by expires_at {limit}) v
		straight_join bellhop_records r where r.space = v.space and r.name = v.name`,

	// A row that is set to what it is already counts as not changed, unless the
	// session asks for another way of counting. The column touched always changes.
	"report": `update bellhop_running set started = case when ? = 1 then 1 else started end, progress = coalesce(?, progress), touched = touched + 1
		where job = ? and claim = ? and exchange = ?`,
}

// queuesIn counts in each queue of a table up to a limit, for which it has to be looked at twice. The queues come by a loose scan of the index,
// which the optimizer makes of a grouping and which takes less than what a list of them would have to be read for.
func queuesIn(table string) string {
	return strings.ReplaceAll(`select q.queue, case when (select 1 from TABLE c where c.queue = q.queue limit 1 offset ?2) = 1 then ?2
			else (select count(*) from TABLE c where c.queue = q.queue) end
		from (select queue from TABLE group by queue) q`, "TABLE", "bellhop_"+table)
}

// holdThese reads the rows of claims.
const holdThese = `select r.job, r.claim, r.exchange, r.process, r.queue, r.claimed_at, r.due, r.generation, r.cancel, r.reason, r.progress
	from ` + numbers + ` straight_join bellhop_running r force index (primary) where r.job = v.n`

// claimColumns are what the statements of a claim return.
const claimColumns = `j.job, j.id, j.kind, j.queue, j.priority, j.args, j.run_at, j.attempts, j.timeout_ns, j.retention_ns, j.unique_key, j.tags, j.meta, j.enqueued_at,
	r.due, r.generation, r.claim, r.attempt, r.failures, r.crashes, r.suspect, r.cancel`

// behind is the part of a lane that comes after a position: arguments 1 to 4.
const behind = `r.queue = ?1 and r.priority = ?2 and r.due >= ?3 and (r.due > ?3 or r.job > ?4)`

// known is the condition that argument 5, a JSON array, has the kind in it. Kinds
// are names, which need no escape. As a subquery it would be a join to optimize.
const known = ` and locate(concat('"', r.kind, '"'), cast(?5 as binary)) > 0`

// nextReady selects and locks the next rows of a lane.
func nextReady(where string) string {
	limit := "?5"
	if where != "" {
		limit = "?6"
	}
	return `select r.job, r.due, r.generation, r.claim, r.attempt, r.failures, r.crashes, r.suspect, r.cancel
		from bellhop_ready r force index (primary) where ` + behind + where + ` order by r.due, r.job limit ` + limit + ` {skip}`
}

// newer are the reads that must see what others have committed since the
// caller's own transaction took its snapshot.
var newer = map[string]bool{"job by id": true, "key holder": true, "state by job": true, "recorded outcome": true}
