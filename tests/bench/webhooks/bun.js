// The same work as Bun does it best: its own server, Redis client and Postgres client, one INSERT a webhook.
import { createHmac, createHash, timingSafeEqual } from "node:crypto";
import { RedisClient, SQL } from "bun";

const [port, redis, url, secret] = process.argv.slice(2);
const list = new RedisClient(`redis://127.0.0.1:${redis}`);
await list.connect();
const sql = new SQL(url, { max: 20 });

Bun.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  async fetch(request) {
    const body = Buffer.from(await request.arrayBuffer());
    const signature = createHmac("sha256", secret).update(body).digest();
    const claimed = Buffer.from(request.headers.get("x-razorpay-signature") ?? "", "hex");
    if (claimed.length !== 32 || !timingSafeEqual(signature, claimed)) return new Response("no", { status: 401 });
    const { event } = JSON.parse(body.toString());
    const eventId = request.headers.get("x-razorpay-event-id");
    const hash = createHash("sha256").update(body).digest();
    const headers = JSON.stringify({ "content-type": request.headers.get("content-type") });
    const id = Bun.randomUUIDv7();
    const rows = await sql`INSERT INTO peer_webhooks (id, source, event_id, event, body, body_sha256, headers, received_at)
      VALUES (${id}, 'razorpay', ${eventId}, ${event}, ${body}, ${hash}, ${headers}, now())
      ON CONFLICT (source, event_id) DO NOTHING RETURNING id`;
    if (rows.length > 0) {
      await list.rpush("queue:payments", JSON.stringify({ id, kind: "payment.event", payload: { webhook_id: id } }));
    }
    return Response.json({ verdict: rows.length > 0 ? "accepted" : "duplicate" });
  },
});
