// The Node side of the language of bench/internal/drill: carries out one order with a session that has
//   enqueue(number), enqueueBulk(first, n), work(run) -> stop, left(), check() -> [waiting, kept], close()
import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";

const base = 1_000_000_000;
export const argsOf = (number) => ({ n: base + number, text: "twenty-two characters-" });
export const numberOf = (args) => args.n - base;

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (reply) => new Promise((done) => process.stdout.write(JSON.stringify(reply) + "\n", done));

// The most memory that this process held at once, in bytes.
const peak = () => {
  try {
    return 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]);
  } catch {
    return 0;
  }
};

class Ledger {
  constructor(first, want) {
    Object.assign(this, { first, want, runs: new Map(), doubled: 0 });
    this.all = new Promise((done) => (this.done = done));
  }
  run(number) {
    if (this.runs.has(number)) {
      this.doubled++;
      return;
    }
    this.runs.set(number, true);
    if (this.runs.size === this.want) this.done();
  }
}

export async function child(open, bulk) {
  const order = JSON.parse(process.env.BELLHOP_BENCH_ORDER);
  let began, cpu, session;
  const reply = { jobs: 0, seconds: 0, cpu: 0, peak: 0, lost: 0, doubled: 0 };

  const start = async () => {
    await say({ ready: true });
    await lines.next();
    began = process.hrtime.bigint();
    cpu = process.cpuUsage();
  };
  const end = async (jobs) => {
    const used = process.cpuUsage(cpu);
    reply.jobs = jobs;
    reply.seconds = Number(process.hrtime.bigint() - began) / 1e9;
    reply.cpu = used.user + used.system;
    reply.peak = peak();
    await say({ mark: true });
    await lines.next();
  };
  const put = async () => {
    let next = 0;
    await crew(bulk.callers, async () => {
      while (next < order.jobs) {
        const from = next;
        next += bulk.size;
        await session.enqueueBulk(order.first + from, Math.min(bulk.size, order.jobs - from));
      }
    });
  };
  const produce = async (callers, size, pace) => {
    let next = 0;
    const deadline = Date.now() + order.seconds * 1000;
    await crew(callers, async () => {
      while (Date.now() < deadline) {
        if (pace) await pace(next);
        const first = order.first + next;
        next += size;
        await (size === 1 ? session.enqueue(first) : session.enqueueBulk(first, size));
      }
    });
    return next;
  };
  // Waits until all jobs have run, or the limit is over, or nothing more happens.
  const await_ = async (ledger, settle) => {
    let over = false;
    ledger.all.then(() => (over = true));
    const until = order.limit > 0 ? Date.now() + order.limit * 1000 : Infinity;
    for (let ran = -1, since = Date.now(); !over && Date.now() < until; ) {
      await Promise.race([ledger.all, sleep(Math.min(1000, Math.max(until - Date.now(), 1)))]);
      if (ledger.runs.size !== ran) [ran, since] = [ledger.runs.size, Date.now()];
      else if (Date.now() - since > 40_000) throw new Error(`stalled: ${ran} of ${ledger.want} jobs have run`);
    }
    for (let since = Date.now(); settle && (await session.left()) > 0; await sleep(1)) {
      if (Date.now() - since > 80_000) throw new Error("all jobs have run but are not finished in the store");
    }
  };
  const check = async (jobs) => {
    const [waiting, kept] = await session.check();
    if (waiting > 0) throw new Error(`${waiting} jobs are left in the store though each has run`);
    if (session.keeps && kept !== jobs) throw new Error(`the store keeps ${kept} finished jobs, want ${jobs}`);
  };
  const judge = (ledger, jobs) => {
    reply.lost = Math.max(jobs - ledger.runs.size, 0);
    reply.doubled = ledger.doubled;
  };

  const actions = {
    fill: async () => {
      await start();
      await put();
      await end(order.jobs);
    },
    enqueue: async () => measure(order.callers, 1),
    bulk: async () => measure(bulk.callers, bulk.size),
    drain: async () => {
      const ledger = new Ledger(order.first, order.jobs);
      await start();
      const stop = await session.work((number) => ledger.run(number));
      await await_(ledger, !order.limit);
      const jobs = order.limit ? Math.min(order.jobs, ledger.runs.size) : order.jobs;
      await end(jobs);
      await stop();
      judge(ledger, jobs);
      if (!order.limit) await check(jobs);
    },
    sustain: async () => {
      const ledger = new Ledger(order.first, Infinity);
      await start();
      const stop = await session.work((number) => ledger.run(number));
      const jobs = await produce(order.callers, 1, async (made) => {
        while (made - ledger.runs.size > 1000) await sleep(1);
      });
      while (ledger.runs.size < jobs) await sleep(1);
      ledger.done();
      await await_(ledger, true);
      await end(jobs);
      await stop();
      judge(ledger, jobs);
      await check(jobs);
    },
    latency: async () => {
      const ledger = new Ledger(order.first, order.jobs);
      const sent = [];
      const took = [];
      const stop = await session.work((number) => {
        took[number - order.first] ??= Math.max(1, Math.round((performance.now() - sent[number - order.first]) * 1000));
        ledger.run(number);
      });
      await sleep(500);
      await start();
      const calls = [];
      for (let i = 0, due = performance.now(); i < order.jobs; i++, due += 10) {
        await sleep(Math.max(due - performance.now(), 0));
        sent[i] = performance.now();
        calls.push(session.enqueue(order.first + i));
      }
      await Promise.all(calls);
      await await_(ledger, true);
      await end(order.jobs);
      await stop();
      reply.latencies = took;
      judge(ledger, order.jobs);
      await check(order.jobs);
    },
  };
  const measure = async (callers, size) => {
    await start();
    const made = await produce(callers, size);
    await end(made);
    const [waiting] = await session.check();
    reply.lost = Math.max(made - waiting, 0);
    reply.doubled = Math.max(waiting - made, 0);
  };

  try {
    session = await open(order);
    await actions[order.action]();
    await say(reply);
  } catch (error) {
    await say({ fault: String(error?.message ?? error).split("\n")[0] });
  }
  process.exit(0); // the products' own ways to end take seconds
}

function crew(n, fn) {
  return Promise.all(Array.from({ length: n }, fn));
}
