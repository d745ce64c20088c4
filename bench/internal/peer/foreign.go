package peer

// Contenders of other languages. Their programs are in bench/foreign and speak package drill.

func init() {
	graphile := Contender{
		Name: "graphile", Store: "postgres", Title: "graphile-worker", Family: "graphile-worker", Version: "0.17.3 (npm)",
		Settings:    "24 jobs at once, localQueue 500, completeJobBatchDelay 0, pool of 26; it deletes finished jobs; bulk: addJobs of 5000, two at once",
		BulkCallers: 2, BulkSize: 5000, Program: "graphile.mjs",
	}
	graphileDefault := graphile
	graphileDefault.Name, graphileDefault.Title, graphileDefault.Default = "graphile-default", "graphile-worker, defaults", true
	graphileDefault.Settings, graphileDefault.Program = "one job at once, no local queue, no batched completions", "graphile.mjs default"

	bull := Contender{
		Name: "bullmq", Store: "redis", Title: "BullMQ", Family: "bullmq", Version: "6.7.0 (npm)", Keeps: true,
		Settings:    "concurrency 100, removeOnComplete false; bulk: addBulk of 1000",
		BulkCallers: 1, BulkSize: 1000, Program: "bullmq.mjs keep",
	}
	bullDrop := bull
	bullDrop.Name, bullDrop.Title, bullDrop.Keeps = "bullmq-drop", "BullMQ, finished jobs dropped", false
	bullDrop.Settings, bullDrop.Program = "concurrency 100, removeOnComplete; bulk: addBulk of 1000", "bullmq.mjs drop"
	bullDefault := bull
	bullDefault.Name, bullDefault.Title, bullDefault.Default = "bullmq-default", "BullMQ, defaults", true
	bullDefault.Settings, bullDefault.Program = "concurrency 1, finished jobs kept", "bullmq.mjs default"

	sidekiq := Contender{
		Name: "sidekiq", Store: "redis", Title: "Sidekiq", Family: "sidekiq", Version: "6.4.1 (Debian)",
		Settings:    "25 threads; it does not keep finished jobs, and a killed process loses those at work; beside work it enqueues from 16 threads; bulk: push_bulk of 1000",
		BulkCallers: 1, BulkSize: 1000, Program: "sidekiq.rb",
	}
	sidekiqDefault := sidekiq
	sidekiqDefault.Name, sidekiqDefault.Title, sidekiqDefault.Default = "sidekiq-default", "Sidekiq, defaults", true
	sidekiqDefault.Settings, sidekiqDefault.Program = "10 threads", "sidekiq.rb default"
	add(graphile, graphileDefault, bull, bullDrop, bullDefault, sidekiq, sidekiqDefault)
}
