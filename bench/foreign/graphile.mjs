// graphile-worker on PostgreSQL. Its local queue and its batched completions are what its guide to performance names.
import pg from "pg";
import { Logger, makeWorkerUtils, run } from "graphile-worker";
import { argsOf, child, numberOf } from "./child.mjs";

const tuned = process.argv[2] !== "default";
const quiet = new Logger(() => () => {});
const preset = { worker: tuned ? { concurrentJobs: 24, maxPoolSize: 26, localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } : {} };

child(
  async (order) => {
    const pool = new pg.Pool({ connectionString: order.address, max: Math.min(Math.max(order.callers, 26), 70) });
    pool.on("error", () => {});
    const utils = await makeWorkerUtils({ pgPool: pool, logger: quiet });
    await utils.migrate();
    const count = async (sql) => Number((await pool.query(sql)).rows[0].count);
    const jobs = "select count(*) from graphile_worker.jobs";
    return {
      keeps: false,
      enqueue: (number) => utils.addJob("bench", argsOf(number)),
      enqueueBulk: (first, n) => utils.addJobs(Array.from({ length: n }, (_, i) => ({ identifier: "bench", payload: argsOf(first + i) }))),
      work: async (ran) => {
        const runner = await run({
          pgPool: pool, logger: quiet, noHandleSignals: true, preset, crontab: "",
          taskList: { bench: async (payload) => ran(numberOf(payload)) },
        });
        return () => runner.stop();
      },
      left: () => count(jobs),
      check: async () => [await count(jobs), 0],
    };
  },
  { callers: 2, size: 5000 },
);
