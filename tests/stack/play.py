"""Plays the stack test in a folder that holds docker/ and docker-compose.prod.yml. Started by run.sh, which says what happens."""
import base64
import hashlib
import hmac
import http.client
import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

FOLDER, ROOT = Path(sys.argv[1]), Path(sys.argv[2])
PROJECT = "stacktest"
EDGE, SIM = 18080, 18090
SERVICES = ["redirector", "webhooks", "notifier", "cashback-sync", "cron", "admin"]
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
JWT = "a-session-secret-of-decent-length"
RAZORPAY = "razorpay-webhook-secret"
TOKEN = "0123456789abcdef0123456789"
ENV = {**os.environ, "EDGE_PORT": f"127.0.0.1:{EDGE}", "COMPOSE_PROJECT_NAME": PROJECT}
BEGIN = time.monotonic()

# Beside the production file, and nothing in its place: the simulator, at an address that the test reaches.
OVERRIDE = f"""
version: "3.8"
services:
  provider-sim:
    image: cashback/provider-sim:{os.environ.get("TAG", "latest")}
    command: ["--host", "0.0.0.0", "--port", "8080", "--inbox-limit", "50000", "--journal-limit", "50000"]
    networks: [app]
    ports: ["127.0.0.1:{SIM}:8080"]
    read_only: true
    cap_drop: [ALL]
"""


def say(text):
    print(f"[{time.monotonic() - BEGIN:6.1f} s] {text}", flush=True)


def run(*command, check=True, stdin=None, env=ENV, timeout=300):
    done = subprocess.run(command, cwd=FOLDER, env=env, input=stdin, capture_output=True, text=True, timeout=timeout)
    if check and done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


HAS_PLUGIN = subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0
COMPOSE = ["docker", "compose"] if HAS_PLUGIN else ["docker-compose"]


def compose(*arguments, **more):
    return run(*COMPOSE, "-f", "docker-compose.prod.yml", "-f", "sim.yml", *arguments, **more)


def containers(service, all=False):
    filters = ["--filter", f"label=com.docker.compose.project={PROJECT}", "--filter", f"label=com.docker.compose.service={service}"]
    return run("docker", "ps", "-q", *(["-a"] if all else []), *filters).split()


def eventually(what, ask, limit=120):
    end = time.monotonic() + limit
    while True:
        try:
            answer = ask()
            problem = answer
        except (OSError, http.client.HTTPException, subprocess.SubprocessError, SystemExit, ValueError) as error:
            answer, problem = None, error
        if answer:
            return answer
        if time.monotonic() > end:
            raise SystemExit(f"not seen within {limit} s: {what} (last: {problem!r})")
        time.sleep(0.25)


def require(holds, what):
    if not holds:
        raise SystemExit(f"failed: {what}")


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), Stay)


def fetch(port, path, body=None, headers=None, method=None, timeout=20):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers or {}, method=method)
    if data is not None:
        request.add_header("content-type", "application/json")
    try:
        with OPENER.open(request, timeout=timeout) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def sim(path, body=None):
    status, _, text = fetch(SIM, path, body)
    require(status < 300, f"the simulator answers {status} to {path}: {text[:200]}")
    return json.loads(text)


def sql(text):
    return run("docker", "exec", "-i", containers("postgres")[0], "psql", "-U", "shop", "-d", "shop", "-qtAX", "-v", "ON_ERROR_STOP=1", stdin=text)


def number(text):
    return int(sql(text) or 0)


def redis(*arguments):
    password = (FOLDER / "secrets/redis_auth").read_text().removeprefix("requirepass ")
    return run("docker", "exec", "-i", containers("redis")[0], "redis-cli", "--no-auth-warning", "-a", password, *arguments)


def push(queue, jobs):
    password = (FOLDER / "secrets/redis_auth").read_text().removeprefix("requirepass ")
    def resp(*words):
        return "".join([f"*{len(words)}\r\n"] + [f"${len(word.encode())}\r\n{word}\r\n" for word in words])
    commands = [resp("RPUSH", f"queue:{queue}", *map(json.dumps, jobs[at : at + 100])) for at in range(0, len(jobs), 100)]
    run("docker", "exec", "-i", containers("redis")[0], "redis-cli", "--no-auth-warning", "-a", password, "--pipe", stdin="".join(commands))


def session(user):
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")
    text = part({"alg": "HS256", "typ": "JWT"}) + b"." + part({"sub": user, "exp": int(time.time()) + 36000})
    return (text + b"." + base64.urlsafe_b64encode(hmac.new(JWT.encode(), text, hashlib.sha256).digest()).rstrip(b"=")).decode()


def uuid7():
    value = (int(time.time() * 1000) << 80) | random.getrandbits(80)
    return str(uuid.UUID(int=(value & ~(0xF << 76) & ~(0x3 << 62)) | (7 << 76) | (2 << 62)))


def message(channel, words, to=""):
    query = urllib.parse.urlencode({"channel": channel, "contains": words, "to": to})
    found = lambda: (sim(f"/_sim/inbox.json?{query}")["messages"] or [None])[0]
    return eventually(f"{channel} with “{words}”", found)


def settle(service, count):
    eventually(f"{count} × {service}", lambda: len(containers(service)) == count)
    for container in containers(service):
        eventually(f"{service} ready", lambda: subprocess.run(["docker", "exec", container, "/service", "healthcheck"], env=ENV, capture_output=True).returncode == 0)


def prepare():
    (FOLDER / "sim.yml").write_text(OVERRIDE)
    (FOLDER / "shop.env").write_text("")
    (FOLDER / "secrets").mkdir()
    for name in re.findall(r"file: \./(secrets/\S+) }", (FOLDER / "docker-compose.prod.yml").read_text()):
        (FOLDER / name).write_text("-")
    compose("up", "-d", "--no-deps", "provider-sim")
    eventually("the simulator", lambda: fetch(SIM, "/_sim/healthz")[0] == 200)
    key = sim("/_sim/keys")["sendgrid"]["public_key"]
    for path in (FOLDER / "secrets").iterdir():
        path.unlink()
    (FOLDER / ".env").write_text(
        "\n".join(
            [
                f"JWT_SECRET={JWT}",
                f"RAZORPAY_WEBHOOK_SECRET={RAZORPAY}",
                "RAZORPAY_KEY_ID=rzp_test_stack",
                "RAZORPAY_KEY_SECRET=stack-secret",
                "RAZORPAYX_ACCOUNT_NUMBER=7878780080316316",
                *[f"{name}_POSTBACK_TOKEN={TOKEN}" for name in ("ADMITAD", "VCOMMISSION", "CUELINKS")],
                f"MSG91_REPORT_TOKEN={TOKEN}",
                f"SENDGRID_WEBHOOK_PUBLIC_KEY={key}",
                "SENDGRID_API_KEY=SG.stack",
                "MSG91_AUTH_KEY=stack-key",
                "MSG91_SENDER_ID=DEMOCB",
                *[f"MSG91_TEMPLATE_ID_{name}=flow-{name.lower()}" for name in ("OTP", "ORDER_CONFIRMATION", "CASHBACK_CREDITED", "WITHDRAWAL_PROCESSED")],
                "ADMITAD_CLIENT_ID=stack",
                "ADMITAD_CLIENT_SECRET=stack-secret",
                "ALERT_EMAILS=ops@example.in",
                "SHOP_URL=http://shop.example.in",
                "FROM_EMAIL=hello@shop.example.in",
                "CLICK_FLUSH_INTERVAL_MS=500",
                "CASHBACK_UPKEEP_INTERVAL_MS=1000",
                "REDIRECT_ALLOW_HTTP=true",
                "REDIRECT_SECURE_COOKIES=false",
                # The load comes from one address.
                "REDIRECT_LIMIT=1000000",
                "REDIRECT_REPEAT_SECONDS=0",
                "EMAIL_PER_HOUR=100000",
                *[f"{name}_BASE_URL=http://provider-sim:8080/{path}" for name, path in [("SENDGRID", "sendgrid"), ("MSG91", "msg91"), ("ADMITAD", "admitad"), ("RAZORPAY", "razorpay")]],
                "",
            ]
        )
    )
    say(run("docker/prepare.sh").splitlines()[0])


def up():
    compose("up", "-d", "--scale", "notifier=3", "--scale", "redirector=2", "--scale", "webhooks=2", "--scale", "cashback-sync=2", "--scale", "cron=2", timeout=600)
    eventually("migrations", lambda: "true" in sql("SELECT to_regclass('cron_runs') IS NOT NULL AS done").replace("t", "true"))
    for service, count in [("redirector", 2), ("webhooks", 2), ("notifier", 3), ("cashback-sync", 2), ("cron", 2), ("admin", 1)]:
        settle(service, count)
    code, _, body = fetch(EDGE, "/edge-health")
    require(code == 200, "the edge answers")
    require(fetch(EDGE, "/metrics")[0] == 404, "metrics are not published")
    for service in SERVICES:
        inspected = json.loads(run("docker", "inspect", containers(service)[0]))[0]
        require(inspected["Config"]["User"] == "65532:65532", f"{service} is not root")
        require(inspected["HostConfig"]["ReadonlyRootfs"], f"{service} writes nowhere")
    denied = subprocess.run(
        ["docker", "exec", "-i", containers("postgres")[0], "sh", "-c", "PGPASSWORD=$(cat /run/secrets/postgres_reader_password) psql -h 127.0.0.1 -U shop_reader -d shop -c 'DELETE FROM offers'"],
        env=ENV, capture_output=True, text=True,
    )
    require("read-only" in denied.stderr or "permission denied" in denied.stderr, f"the redirector's role writes nothing: {denied.stderr}")


def direct_the_world():
    webhook = lambda path: f"http://edge:8080/webhooks/{path}"
    texts = {}
    for text in json.loads((ROOT / "services/notifier/templates/sms.json").read_text()):
        if text["lang"] == "en":
            count = iter(range(1, 20))
            body = re.sub(r"\{#[^#]*#\}", lambda _: f"##VAR{next(count)}##", text["body"].replace("<brand>", "Demo Cashback"))
            texts[f"flow-{text['template']}"] = body
    sim("/_sim/config", {
        "sendgrid_event_url": webhook("sendgrid"),
        "msg91_report_url": webhook(f"msg91/{TOKEN}"),
        "admitad_postback_url": webhook(f"admitad/{TOKEN}?order_id=[[[order_id]]]&admitad_id=[[[admitad_id]]]&subid=[[[subid]]]&payment_status=[[[payment_status]]]"),
        "razorpay_webhook_url": webhook("razorpay"),
        "razorpay_webhook_secret": RAZORPAY,
        "msg91_templates": texts,
    })


def click(offer, user=None):
    """The sub-id when the shopper was sent on, else nothing."""
    headers = {"user-agent": BROWSER, **({"cookie": f"token={session(user)}"} if user else {})}
    status, answer, _ = fetch(EDGE, f"/out/{offer}", headers=headers, timeout=10)
    found = re.search(r"[?&]subid=([^&]+)", answer.get("location") or "")
    return found[1] if status == 302 and found else None


def story(cast):
    """One shopper through the whole main job."""
    user, offer, product = cast["users"][0], cast["merchants"][0]["offers"][0], cast["products"][0]
    sub_id = click(offer, user["id"])
    require(sub_id, "a click is sent on")
    eventually("the click in Postgres", lambda: number(f"SELECT count(*) FROM affiliate_clicks WHERE user_id = '{user['id']}'") >= 1)
    say("click: 302 through nginx, in Postgres")
    made = sim("/_sim/transactions", {
        "network": "admitad", "sub_id": sub_id, "campaign_id": 10001, "order_id": f"OD-{random.randrange(10**8)}", "sale_amount": "2499.00",
        "commission": "200.00", "currency": "INR", "status": "pending", "postback": True,
    })
    eventually("pending cashback", lambda: number("SELECT count(*) FROM cashback_events WHERE status = 'pending'") == 1)
    message("email", "cashback tracked")
    say("commission pending: cashback, mail")
    sim(f"/_sim/transactions/admitad/{made['id']}", {"status": "approved", "postback": True})
    balance = f"SELECT balance_paise FROM wallet_balances WHERE user_id = '{user['id']}'"
    eventually("money in the wallet", lambda: number(balance) > 0)
    message("email", "is in your wallet")
    message("sms", "cashback from")
    say(f"approved: {number(balance) / 100} rupees in the wallet, mail, text")
    order = uuid7()
    total = number(
        f"INSERT INTO orders (id, user_id, total_paise, provider_order_id) SELECT '{order}', '{user['id']}', 2 * price_paise, 'order_stack1' FROM products WHERE id = '{product['id']}';"
        f"INSERT INTO order_items (id, order_id, product_id, quantity, unit_price_paise) SELECT '{uuid7()}', '{order}', id, 2, price_paise FROM products WHERE id = '{product['id']}';"
        f"SELECT total_paise FROM orders WHERE id = '{order}'"
    )
    sim("/_sim/payments", {"amount_paise": total, "order_id": "order_stack1", "email": user["email"]})
    codes = f"SELECT count(*) FROM voucher_codes JOIN order_items ON order_items.id = order_item_id WHERE order_id = '{order}'"
    eventually("the vouchers", lambda: number(codes) == 2)
    message("email", "order is confirmed")
    say("payment: two vouchers allocated, mail with codes")
    sql(f"SELECT request_withdrawal('{uuid7()}', '{user['id']}', 10000, 'fa_stack00000001', 'stack-1')")
    eventually("the withdrawal", lambda: number("SELECT count(*) FROM withdrawals WHERE processed_at IS NOT NULL") == 1)
    message("email", "is on its way")
    say("withdrawal: processed, mail")


class Clicks(threading.Thread):
    """Shoppers who click all the time, whatever happens inside."""

    def __init__(self, offers):
        super().__init__(daemon=True)
        self.offers, self.going, self.sent, self.refused = offers, True, [], []

    def run(self):
        while self.going:
            begin = time.monotonic()
            try:
                sub_id = click(random.choice(self.offers))
                (self.sent if sub_id else self.refused).append(sub_id or "no 302")
            except (OSError, http.client.HTTPException) as error:
                self.refused.append(repr(error))
            time.sleep(max(0, 0.03 - (time.monotonic() - begin)))

    def end(self):
        self.going = False
        self.join()


def mails(first, count):
    return [
        {"kind": "email.send", "payload": {"event_key": f"load:{n}", "to": f"load{n}@example.in", "message": {"template": "cashback_tracked", "merchant": "Demo", "amount": 100}}}
        for n in range(first, first + count)
    ]


def scale(count):
    compose("up", "-d", "--no-deps", "--no-recreate", "--scale", f"notifier={count}", "notifier")
    settle("notifier", count)


def sent_mails():
    """Mails that are decided: taken by the provider, or asked for when the process was killed, so that nobody knows."""
    return number("SELECT count(*) FROM notifications WHERE event_key LIKE 'load:%' AND (sent_at IS NOT NULL OR status = 'unknown')")


def restart(service, how):
    for container in containers(service):
        if how == "kill":
            run("docker", "kill", container)
        else:
            begin = time.monotonic()
            run("docker", "stop", "-t", "40", container)
            code = json.loads(run("docker", "inspect", container))[0]["State"]["ExitCode"]
            require(code == 0, f"{service} ends with 0 after SIGTERM, not {code}")
            require(time.monotonic() - begin < 32, f"{service} ends within its drain")
        run("docker", "start", container)
        # The others of its kind serve meanwhile; the next is not touched before this one can.
        settle(service, len(containers(service)))


def restore():
    """The backup of docs/operations/backup.md, tried: what was in Postgres is there again, and the shop goes on."""
    what = "SELECT (SELECT count(*) FROM affiliate_clicks), (SELECT sum(balance_paise) FROM wallet_balances), (SELECT count(*) FROM notifications)"
    for service in SERVICES:
        for container in containers(service):
            run("docker", "stop", "-t", "40", container)
    before = sql(what)
    postgres = containers("postgres")[0]
    run("docker", "exec", postgres, "sh", "-c", "pg_dump -U shop -Fc shop > /tmp/shop.dump")
    run("docker", "exec", postgres, "dropdb", "-U", "shop", "--force", "shop")
    run("docker", "exec", postgres, "createdb", "-U", "shop", "shop")
    run("docker", "exec", postgres, "pg_restore", "-U", "shop", "-d", "shop", "--exit-on-error", "--no-owner", "/tmp/shop.dump")
    require(sql(what) == before, f"restored: {sql(what)}, saved: {before}")
    for service in SERVICES:
        for container in containers(service, all=True):
            run("docker", "start", container)
        settle(service, len(containers(service, all=True)))
    require("up to date" in run("docker", "exec", containers("admin")[0], "/service", "migrate"), "the schema is the restored one")
    return before


def main():
    prepare()
    up()
    say("up: every container ready, none root, nothing published but the edge")
    seeded = run("docker", "exec", containers("admin")[0], "/service", "seed", "--json", "--links-base", "http://provider-sim:8080")
    cast = json.loads(seeded[seeded.index("{") :])
    direct_the_world()
    story(cast)

    offers = [offer for merchant in cast["merchants"] if merchant["network"] == "admitad" for offer in merchant["offers"]]
    shoppers = Clicks(offers)
    shoppers.start()
    total = 0

    push("email", mails(total, 2500)); total += 2500
    begin = time.monotonic()
    scale(5)
    push("email", mails(total, 1500)); total += 1500
    scale(2)
    eventually("all mails", lambda: sent_mails() == total, 300)
    say(f"scaled 3 → 5 → 2 under load: {total} mails in {time.monotonic() - begin:.0f} s")

    push("email", mails(total, 1000)); total += 1000
    for service in ("notifier", "cashback-sync", "webhooks", "redirector", "cron"):
        run("docker", "kill", containers(service)[0])
        say(f"killed one {service}")
    for service, count in [("notifier", 2), ("cashback-sync", 2), ("webhooks", 2), ("redirector", 2), ("cron", 2)]:
        for container in set(containers(service, all=True)) - set(containers(service)):
            run("docker", "start", container)
        settle(service, count)
    eventually("all mails", lambda: sent_mails() == total, 300)
    say("after kill -9 of one of each: all mails sent")

    push("email", mails(total, 500)); total += 500
    run("docker", "restart", "-t", "30", containers("redis")[0])
    eventually("Redis", lambda: redis("ping") == "PONG")
    run("docker", "restart", "-t", "30", containers("postgres")[0])
    eventually("Postgres", lambda: sql("SELECT 1") == "1")
    for service in SERVICES:
        settle(service, len(containers(service)))
    eventually("all mails", lambda: sent_mails() == total, 300)
    say("after restarts of Redis and Postgres: all mails sent, no service was restarted for it")

    push("email", mails(total, 500)); total += 500
    for service in SERVICES:
        restart(service, "roll")
    eventually("all mails", lambda: sent_mails() == total, 300)
    say("every service rolled, one container after the other, each ended with 0")

    shoppers.end()
    # Every click that was answered with a 302 is in Postgres once.
    known = lambda: number("SELECT count(*) FROM affiliate_clicks WHERE user_id IS NULL")
    eventually("all clicks", lambda: known() >= len(shoppers.sent), 120)
    require(known() - len(shoppers.sent) <= len(shoppers.refused), f"{known()} clicks of {len(shoppers.sent)}")
    ids = number("SELECT count(DISTINCT id) FROM affiliate_clicks WHERE user_id IS NULL")
    require(ids == known(), "no click is there twice")
    # Every mail was sent once.
    unknown = number("SELECT count(*) FROM notifications WHERE event_key LIKE 'load:%' AND status = 'unknown'")
    require(unknown <= 40, f"{unknown} mails of which nobody knows, more than two processes can have in hand")
    distinct = number("SELECT count(DISTINCT event_key) FROM notifications WHERE event_key LIKE 'load:%'")
    require(distinct == total == sent_mails(), f"{distinct} and {sent_mails()} of {total} mails")
    dead = sum(int(redis("HLEN", f"{{queue:{queue}}}:dead") or 0) for queue in ("clicks", "email", "sms", "cashback", "payments", "receipts"))
    waiting = sum(int(redis("LLEN", f"queue:{queue}") or 0) for queue in ("clicks", "email", "sms", "cashback", "payments"))
    require(dead == 0, f"{dead} dead letters")
    require(waiting == 0, f"{waiting} jobs wait")
    drift = number("SELECT count(*) FROM wallet_balances b WHERE balance_paise <> (SELECT coalesce(sum(CASE WHEN credit_account = b.account_id THEN amount_paise ELSE -amount_paise END), 0) FROM wallet_transactions WHERE b.account_id IN (credit_account, debit_account))")
    require(drift == 0, f"{drift} wallets do not add up")
    say(f"nothing lost: {len(shoppers.sent)} clicks answered, {known()} recorded ({len(shoppers.refused)} not answered), {total} mails once each ({unknown} in doubt after kill -9), no dead letter, wallets add up")
    before = restore()
    offer = cast["merchants"][0]["offers"][0]
    clicks = number("SELECT count(*) FROM affiliate_clicks")
    require(click(offer, cast["users"][0]["id"]), "a click after the restore")
    eventually("the click after the restore", lambda: number("SELECT count(*) FROM affiliate_clicks") == clicks + 1)
    say(f"backup restored: {before} as before, and the next click is recorded")
    say("1 passed, 0 failed")


try:
    main()
except BaseException:
    for service in SERVICES:
        for container in containers(service, all=True):
            logs = subprocess.run(["docker", "logs", "--tail", "6", container], env=ENV, capture_output=True, text=True)
            print(f"--- {service} {container}\n{logs.stdout[-1500:]}{logs.stderr[-500:]}", file=sys.stderr)
    raise
finally:
    if not os.environ.get("KEEP"):
        subprocess.run([*COMPOSE, "-f", "docker-compose.prod.yml", "-f", "sim.yml", "down", "-v", "-t", "5"], cwd=FOLDER, env=ENV, capture_output=True)
