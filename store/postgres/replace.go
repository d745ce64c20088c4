package postgres

import "strings"

// replacements are the statements that read differently here, by name. Why is told in docs/adr/0007-postgresql.md.
var replacements = map[string]string{
	// What claims have deleted lies at the beginning of a queue, until a vacuum: walked from the end, the index leads to jobs that are there.
	"queues in ready":     queuesIn("ready", "priority desc, c.due desc, c.job desc"),
	"queues in scheduled": queuesIn("scheduled", "due desc"),

	// What an exchange has claimed is looked up by its list, once: as an array the rows cannot be
	// looked for anew for each exchange. A row that another is about to change stays.
	"prune exchanges": `delete from bellhop_exchanges where id = any(array(
		select e.id from bellhop_exchanges e where e.made_at < ? and not exists (` + leadsTo + `) order by e.id {limit} {skip}))`,

	// A lane's first row has its earliest due time, and its queue and priority too: one look into the index for each lane.
	"oldest ready": `with recursive l (queue, priority, due) as (
		(select f.queue, f.priority, f.due from bellhop_ready f order by f.queue, f.priority, f.due limit 1)
		union all select n.queue, n.priority, n.due from l cross join lateral (
			select r.queue, r.priority, r.due from bellhop_ready r where (r.queue, r.priority) > (l.queue, l.priority)
			order by r.queue, r.priority, r.due limit 1) n)
		select queue, due from l`,
	"next due by queue": `with recursive l (queue, due) as (
		(select f.queue, f.due from bellhop_scheduled f order by f.queue, f.due limit 1)
		union all select n.queue, n.due from l cross join lateral (
			select r.queue, r.due from bellhop_scheduled r where r.queue > l.queue order by r.queue, r.due limit 1) n)
		select queue, due from l`,
}

// queuesIn counts in queues of a table up to a limit, from the end of the table's index on queues, whose further columns are order.
func queuesIn(table, order string) string {
	return strings.ReplaceAll(`with q (queue) as ({list})
		select q.queue, (select count(*) from (select 1 from TABLE c where c.queue = q.queue order by c.`+order+` {limit}) b) from q`, "TABLE", "bellhop_"+table)
}
