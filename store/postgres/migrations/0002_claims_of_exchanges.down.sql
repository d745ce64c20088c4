alter table bellhop_exchanges drop column process, drop column jobs;
