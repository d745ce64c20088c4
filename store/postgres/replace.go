package postgres

// replacements are the statements that read differently here, by name. Why is told in docs/adr/0007-postgresql.md.
var replacements = map[string]string{
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
