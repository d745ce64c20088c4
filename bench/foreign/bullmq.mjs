// BullMQ on Redis.
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { argsOf, child, numberOf } from "./child.mjs";

const keeps = process.argv[2] === "keep";
const concurrency = process.argv[2] === "default" ? 1 : 100;

child(
  async (order) => {
    const connection = new Redis(order.address, { maxRetriesPerRequest: null });
    const defaultJobOptions = process.argv[2] === "default" ? {} : { removeOnComplete: !keeps };
    const queue = new Queue("bench", { connection, defaultJobOptions });
    await queue.waitUntilReady();
    const waiting = async () => {
      const c = await queue.getJobCounts("waiting", "active", "prioritized");
      return c.waiting + c.active + c.prioritized;
    };
    return {
      keeps: keeps || process.argv[2] === "default",
      enqueue: (number) => queue.add("bench", argsOf(number)),
      enqueueBulk: (first, n) => queue.addBulk(Array.from({ length: n }, (_, i) => ({ name: "bench", data: argsOf(first + i) }))),
      work: async (ran) => {
        const worker = new Worker("bench", async (job) => ran(numberOf(job.data)), { connection, concurrency });
        worker.on("error", () => {});
        await worker.waitUntilReady();
        return () => worker.pause(true);
      },
      left: waiting,
      check: async () => [await waiting(), (await queue.getJobCounts("completed")).completed],
    };
  },
  { callers: 1, size: 1000 },
);
