// BullMQ, measured as the queue is: `node bullmq.js push|drain|latency PORT JOBS`. Prints one line of JSON.
const { Queue, Worker } = require('bullmq');

const [mode, port, count] = process.argv.slice(2);
const jobs = Number(count);
const connection = { host: '127.0.0.1', port: Number(port), maxRetriesPerRequest: null };
const data = (id, ts) => ({ id, ts, user: `user-${String(id).padStart(8, '0')}`, pad: 'x'.repeat(120) });
const opts = { removeOnComplete: true };

async function push() {
  const queue = new Queue('bench', { connection });
  await queue.waitUntilReady();
  const begin = process.hrtime.bigint();
  for (let from = 0; from < jobs; from += 1000) {
    const chunk = [];
    for (let id = from; id < Math.min(from + 1000, jobs); id++) chunk.push({ name: 'idle', data: data(id, 0), opts });
    await queue.addBulk(chunk);
  }
  const seconds = Number(process.hrtime.bigint() - begin) / 1e9;
  await queue.close();
  return { seconds };
}

// The time from the first job to the last; with `latency` also from push to handler, 500 jobs a second from this process.
async function work(latency) {
  let seen = 0, begun, cpu, finished;
  const waits = [];
  const all = new Promise((resolve) => { finished = resolve; });
  const worker = new Worker('bench', async (job) => {
    if (seen === 0) { begun = process.hrtime.bigint(); cpu = process.cpuUsage(); }
    if (latency) waits.push(Math.round((performance.timeOrigin + performance.now() - job.data.ts) * 1000));
    seen += 1;
    if (seen === jobs) {
      const used = process.cpuUsage(cpu);
      finished({ seconds: Number(process.hrtime.bigint() - begun) / 1e9, cpu_us: used.user + used.system, waits_us: waits });
    }
  }, { connection, concurrency: latency ? 50 : 200, removeOnComplete: { count: 0 } });
  await worker.waitUntilReady();
  console.log('ready');
  const told = await all;
  await worker.close();
  return told;
}

async function offer() {
  const queue = new Queue('bench', { connection });
  await queue.waitUntilReady();
  const begin = performance.now();
  for (let id = 0; id < jobs; id++) {
    const wait = begin + id * 2 - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    await queue.add('idle', data(id, performance.timeOrigin + performance.now()), opts);
  }
  await queue.close();
  return {};
}

const run = { push, offer, drain: () => work(false), latency: () => work(true) }[mode];
run().then((told) => { console.log('told ' + JSON.stringify(told)); process.exit(0); });
