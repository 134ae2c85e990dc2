// The same work on Fastify with ioredis and pg, one INSERT a webhook.
const { createHmac, createHash, randomUUID, timingSafeEqual } = require("node:crypto");
const fastify = require("fastify")({ logger: false });
const { Pool } = require("pg");
const Redis = require("ioredis");

const [port, redis, url, secret] = process.argv.slice(2);
const list = new (Redis.Redis ?? Redis)(Number(redis), "127.0.0.1");
const pool = new Pool({ connectionString: url, max: 20 });

fastify.addContentTypeParser("application/json", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
fastify.post("/webhooks/razorpay", async (request, reply) => {
  const body = request.body;
  const signature = createHmac("sha256", secret).update(body).digest();
  const claimed = Buffer.from(request.headers["x-razorpay-signature"] ?? "", "hex");
  if (claimed.length !== 32 || !timingSafeEqual(signature, claimed)) return reply.code(401).send("no");
  const { event } = JSON.parse(body.toString());
  const id = randomUUID();
  const stored = await pool.query({
    name: "insert",
    text: `INSERT INTO peer_webhooks (id, source, event_id, event, body, body_sha256, headers, received_at)
      VALUES ($1, 'razorpay', $2, $3, $4, $5, $6, now()) ON CONFLICT (source, event_id) DO NOTHING`,
    values: [
      id,
      request.headers["x-razorpay-event-id"],
      event,
      body,
      createHash("sha256").update(body).digest(),
      JSON.stringify({ "content-type": request.headers["content-type"] }),
    ],
  });
  if (stored.rowCount > 0) {
    await list.rpush("queue:payments", JSON.stringify({ id, kind: "payment.event", payload: { webhook_id: id } }));
  }
  return { verdict: stored.rowCount > 0 ? "accepted" : "duplicate" };
});

fastify.listen({ host: "127.0.0.1", port: Number(port) });
