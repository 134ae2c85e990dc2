"""The console over a million rows of each log: how long a page takes, when a browser paints it, which lists read more than they
show, and whether replaying 100,000 dead letters slows the pages down.

BENCH_ROWS (1000000), BENCH_LETTERS (100000). Chromium and its driver are used where they are installed."""
import http.cookiejar
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from stage import Stage, binary, free_port, listens, migrate, wait_for  # noqa: E402

ROWS = int(os.environ.get("BENCH_ROWS", "1000000"))
LETTERS = int(os.environ.get("BENCH_LETTERS", "100000"))
PASSWORD = "correct horse battery"

# The ids are UUIDv7 over the last 20 days, as they are in life.
FILL = f"""
CREATE FUNCTION made(n bigint) RETURNS uuid LANGUAGE sql AS $$
  SELECT (substr(lpad(to_hex(((extract(epoch FROM now()) - 1728000 + n * 1728000.0 / {ROWS}) * 1000)::bigint), 12, '0'), 1, 8) || '-' ||
          substr(lpad(to_hex(((extract(epoch FROM now()) - 1728000 + n * 1728000.0 / {ROWS}) * 1000)::bigint), 12, '0'), 9, 4) ||
          '-7' || lpad(to_hex(n & 4095), 3, '0') || '-8' || substr(md5(n::text), 1, 3) || '-' || substr(md5(n::text), 4, 12))::uuid $$;
INSERT INTO webhook_logs (id, source, event_id, event, body, body_sha256, headers, remote_address, verdict, received_at)
  SELECT made(n), (ARRAY['razorpay', 'admitad', 'sendgrid', 'msg91'])[1 + n % 4], 'evt_' || n, 'payment.captured',
         convert_to('{{"event":"payment.captured","n":' || n || '}}', 'UTF8'), sha256(n::text::bytea), '{{}}', '192.0.2.1',
         CASE WHEN n % 100000 = 0 THEN 'rejected' WHEN n % 50 = 0 THEN 'duplicate' ELSE 'accepted' END,
         now() - (({ROWS} - n) * interval '1.7 s') FROM generate_series(1, {ROWS}) n;
INSERT INTO webhook_effects (webhook_id, effect) SELECT id, 'order is paid' FROM webhook_logs WHERE verdict = 'accepted';
INSERT INTO audit_logs (id, actor, role, action, target, reason)
  SELECT made(n), 'person' || n % 50 || '@example.in', 'operator', 'dead.replay', 'dead:email:' || n, 'the provider is back'
  FROM generate_series(1, {ROWS}) n;
INSERT INTO notifications (id, event_key, channel, template, lang, category, recipient, address_hash, status, provider, queued_at, created_at)
  SELECT made(n), 'cashback:' || n || ':credited', 'email', 'cashback_credited', 'en', 'money', 'a•••@example.in', sha256(n::text::bytea),
         CASE WHEN n % 100000 = 0 THEN 'failed' ELSE 'delivered' END, 'sendgrid', now(), now() - (({ROWS} - n) * interval '1.7 s')
  FROM generate_series(1, {ROWS}) n;
ANALYZE;
"""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Person:
    """Somebody with a session."""

    def __init__(self, base):
        self.base = base
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar), NoRedirect)
        self.send("/admin/login", {"email": "operator@example.in", "password": PASSWORD})
        self.csrf = re.search(r'name="csrf" value="([^"]+)"', self.get("/admin/queues")[0])[1]

    def send(self, path, form):
        body = urllib.parse.urlencode(form).encode()
        request = urllib.request.Request(self.base + path, body, {"sec-fetch-site": "same-origin"})
        try:
            answer = self.opener.open(request, timeout=60)
            raise SystemExit(f"{path}: {answer.status} {answer.read().decode()[:300]}")
        except urllib.error.HTTPError as error:
            if error.code != 303:
                raise SystemExit(f"{path}: {error.code} {error.read().decode()[:600]}") from error

    def get(self, path):
        begin = time.perf_counter()
        with self.opener.open(self.base + path, timeout=60) as answer:
            text = answer.read().decode()
        return text, (time.perf_counter() - begin) * 1e3


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def painted(base, jar, paths):
    """First contentful paint by page in milliseconds, the median of five visits; nothing where there is no Chromium."""
    if not shutil.which("chromedriver"):
        return {}
    port = free_port()
    driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("chromedriver", lambda: listens(port))

        def call(method, path, body=None):
            data = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, {"content-type": "application/json"}, method=method)
            return json.load(urllib.request.urlopen(request, timeout=60))["value"]

        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe"]
        session = call("POST", "/session", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": arguments}}}})
        at = f"/session/{session['sessionId']}"
        call("POST", f"{at}/url", {"url": f"{base}/admin/login"})
        for cookie in jar:
            call("POST", f"{at}/cookie", {"cookie": {"name": cookie.name, "value": cookie.value, "path": "/"}})
        script = ("const done = arguments[0]; const look = () => { const found = performance.getEntriesByName('first-contentful-paint')[0];"
                  " found ? done(found.startTime) : setTimeout(look, 10); }; look();")
        found = {}
        for path in paths:
            times = []
            for _ in range(5):
                call("POST", f"{at}/url", {"url": base + path})
                times.append(call("POST", f"{at}/execute/async", {"script": script, "args": []}))
            found[path] = statistics.median(times)
        call("DELETE", at)
        return found
    finally:
        driver.terminate()
        driver.wait()


def plans(postgres):
    """Every list of the console that reads a whole log."""
    root = Path(__file__).resolve().parents[3] / "crates/store/sql"
    newest = "'ffffffff-ffff-7fff-bfff-ffffffffffff'"
    cases = [("webhooks/list.sql", values) for values in (
        [newest, 51, source, verdict, "NULL", "NULL", "NULL"]
        for source, verdict in (("NULL", "NULL"), ("'razorpay'", "NULL"), ("NULL", "'rejected'")))]
    cases += [("console/deliveries.sql", values) for values in ([newest, "''", 51], [newest, "'failed'", 51])]
    cases += [("audit/list.sql", values) for values in ([newest, "''", "''", 51], [newest, "'person7@example.in'", "''", 51],
                                                        [newest, "''", "'dead:email:77'", 51])]
    for name, values in cases:
        kinds = {"webhooks/list.sql": "uuid, bigint, text, text, timestamptz, timestamptz, boolean",
                 "console/deliveries.sql": "uuid, text, bigint"}
        kind = kinds.get(name, "uuid, text, text, bigint")
        shown = ", ".join(map(str, values))
        text = (root / name).read_text()
        said = postgres.sql(f"PREPARE q({kind}) AS {text}; EXPLAIN (ANALYZE, BUFFERS) EXECUTE q({shown});")
        took = float(re.search(r"Execution Time: ([\d.]+)", said)[1])
        whole = [line for line in said.splitlines() if "Seq Scan" in line and "(never executed)" not in line]
        removed = sum(map(int, re.findall(r"Rows Removed by Filter: (\d+)", said)))
        print(f"| {name} ({', '.join(map(str, values[1:]))}) | {took:.1f} | {removed} | {len(whole)} |")


def main():
    with Stage() as stage:
        postgres, redis, port = stage.postgres(), stage.redis(), free_port()
        migrate(postgres)
        begin = time.monotonic()
        postgres.sql(FILL)
        print(f"{ROWS} rows in each of webhook_logs, audit_logs, notifications; made in {time.monotonic() - begin:.0f} s")
        (stage.folder / "password").write_text(PASSWORD)
        environment = {"DATABASE_URL": postgres.url, "REDIS_URL": redis.url, "HTTP_ADDR": f"127.0.0.1:{port}",
                       "OPS_ADDR": "127.0.0.1:0", "CONSOLE_SECURE_COOKIES": "false", "LOG_FORMAT": "json"}
        subprocess.run([binary("admin"), "create-user", "operator@example.in", "--role", "operator", "--name", "Asha",
                        "--password-file", str(stage.folder / "password")], env={**os.environ, **environment}, check=True,
                       capture_output=True)
        stage.start([binary("admin")], port, environment, "admin.log")
        base = f"http://127.0.0.1:{port}"
        person = Person(base)
        middle = postgres.sql("SELECT id FROM webhook_logs ORDER BY id OFFSET 500 LIMIT 1")
        paths = ["/admin/workers", "/admin/webhooks", "/admin/webhooks?source=razorpay", "/admin/webhooks?verdict=rejected",
                 f"/admin/webhooks?cursor={middle}", "/admin/deliveries", "/admin/deliveries?status=failed", "/admin/audit",
                 "/admin/audit?actor=person7%40example.in", "/admin/audit?target=dead%3Aemail%3A77",
                 "/admin/timeline?q=cashback:77:credited", "/admin/timeline?q=evt_77", f"/admin/timeline?q={middle}",
                 "/admin/cron", "/admin/sync", "/admin/wallets", "/admin/withdrawals", "/admin/offers", "/admin/people"]
        taken = {path: [person.get(path)[1] for _ in range(20)] for path in paths}
        paints = painted(base, person.jar, paths)
        print("\n| page | answer p50 ms | worst of 20 ms | first paint ms |\n| --- | ---: | ---: | ---: |")
        for path in paths:
            paint = f"{paints[path]:.0f}" if path in paints else "–"
            print(f"| {path} | {statistics.median(taken[path]):.1f} | {max(taken[path]):.1f} | {paint} |")
        print("\n| list | ms | rows read in vain | whole tables read |\n| --- | ---: | ---: | ---: |")
        plans(postgres)

        # Jobs that nobody knows are dead letters at once; the console itself works off this queue.
        for _ in range(0, LETTERS, 1_000):
            redis.ask("EVAL", "for i = 1, 1000 do redis.call('RPUSH', KEYS[1], '{\"kind\":\"nobody.knows\",\"payload\":{}}') end", 1,
                      "queue:events")
        begin = time.monotonic()
        count = re.compile(r"/admin/queues/events/dead\"[^>]*>([\d,]+)<")

        def letters():
            found = count.search(person.get("/admin/workers/now")[0])
            return int(found[1].replace(",", "")) if found else 0

        wait_for("the dead letters", lambda: letters() >= LETTERS, 300)
        print(f"\n{LETTERS} dead letters, buried in {time.monotonic() - begin:.0f} s")
        pages = ["/admin/workers", "/admin/queues/events/dead", "/admin/queues/events"]
        quiet = {path: [person.get(path)[1] for _ in range(30)] for path in pages}
        person.send("/admin/queues/events/replays", {"csrf": person.csrf, "per_second": 5000, "reason": "a measurement", "kind": "",
                                                     "died_of": "", "text": ""})
        begin, busy, running = time.monotonic(), {path: [] for path in pages}, True
        while running and time.monotonic() - begin < 300:
            for path in pages:
                text, took = person.get(path)
                busy[path].append(took)
                if path.endswith("/dead"):
                    running = 'class="tag running"' in text
            time.sleep(0.1)
        replayed = re.search(r'class="tag (\w+)">\w+</span></td><td class="n">([\d,]+)', person.get(pages[1])[0])
        print(f"replay: {replayed[1]}, {replayed[2]} letters in {time.monotonic() - begin:.0f} s")
        print("\n| page | p50 before | p50 during | p99 during | worst |\n| --- | ---: | ---: | ---: | ---: |")
        for path in pages:
            print(f"| {path} | {statistics.median(quiet[path]):.1f} | {statistics.median(busy[path]):.1f} |"
                  f" {percentile(busy[path], 0.99):.1f} | {max(busy[path]):.1f} |")


main()
