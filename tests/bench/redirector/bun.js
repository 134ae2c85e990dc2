// The redirect as Bun does it best: its own server and Redis client, everything of a click in one pipeline.
import { RedisClient } from "bun";

const [port, redis] = process.argv.slice(2);
const client = new RedisClient(`redis://127.0.0.1:${redis}`);
await client.connect();

Bun.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  async fetch(request) {
    const offer = request.url.slice(request.url.lastIndexOf("/") + 1);
    const address = request.headers.get("x-forwarded-for");
    const limit = "ratelimit:redirect:" + address;
    const id = Bun.randomUUIDv7();
    const click = JSON.stringify({
      id,
      kind: "click.record",
      payload: {
        click_id: id,
        offer_id: offer,
        client: address,
        user_agent: request.headers.get("user-agent"),
        clicked_at: new Date().toISOString(),
      },
    });
    const [count, , url] = await Promise.all([
      client.incr(limit),
      client.expire(limit, 60),
      client.get("redirect:url:" + offer),
      client.rpush("queue:clicks", click),
    ]);
    if (count > 100) return new Response("Too many", { status: 429 });
    if (url === null) return new Response("Unknown", { status: 404 });
    return new Response(null, { status: 302, headers: { Location: url + id, "Cache-Control": "no-store" } });
  },
});
