-- Each exchange lists the jobs that it has claimed, and goes when none of them is
-- running any more. So what is running is found without walking over the rows that
-- were deleted from bellhop_running, which stay as long as any snapshot could see them.
alter table bellhop_exchanges add column process uuid, add column jobs bigint[];
insert into bellhop_exchanges (id, made_at, process, jobs)
	select exchange, min(claimed_at), (array_agg(process))[1], array_agg(job) from bellhop_running group by exchange
	on conflict (id) do update set process = excluded.process, jobs = excluded.jobs;
create index bellhop_exchanges_process on bellhop_exchanges (process);
