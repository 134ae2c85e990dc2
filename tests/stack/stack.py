"""The stack under test: the production Compose file in a folder of its own, and the ways to look into it."""
import base64
import hashlib
import hmac
import http.client
import json
import os
import re
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

FOLDER, ROOT = Path(sys.argv[1]), Path(sys.argv[2])
PROJECT = "stacktest"
# Started by Compose, or deployed to a Swarm: what its containers are known by.
SWARM = len(sys.argv) > 3 and sys.argv[3] == "swarm"
EDGE, EDGE_TLS, SIM = 18080, 18443, 18090
SERVICES = ["redirector", "webhooks", "notifier", "cashback-sync", "cron", "admin"]
JWT = "a-session-secret-of-decent-length"
RAZORPAY = "razorpay-webhook-secret"
TOKEN = "0123456789abcdef0123456789"
# A Swarm publishes at all addresses of its node.
ADDRESS = "" if SWARM else "127.0.0.1:"
ENV = {**os.environ, "EDGE_PORT": f"{ADDRESS}{EDGE}", "EDGE_TLS_PORT": f"{ADDRESS}{EDGE_TLS}", "COMPOSE_PROJECT_NAME": PROJECT, "STACK": PROJECT}
BEGIN = time.monotonic()
# More for a machine that has much else to do.
PATIENCE = float(os.environ.get("PATIENCE", "1"))

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
    done = subprocess.run(command, cwd=FOLDER, env=env, input=stdin, capture_output=True, text=True, timeout=timeout * PATIENCE)
    if check and done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


HAS_PLUGIN = subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0
COMPOSE = ["docker", "compose"] if HAS_PLUGIN else ["docker-compose"]


def compose(*arguments, **more):
    return run(*COMPOSE, "-f", "docker-compose.prod.yml", "-f", "sim.yml", *arguments, **more)


def containers(service, all=False):
    labels = [f"com.docker.swarm.service.name={PROJECT}_{service}"] if SWARM else [f"com.docker.compose.project={PROJECT}", f"com.docker.compose.service={service}"]
    return run("docker", "ps", "-q", *(["-a"] if all else []), *[word for label in labels for word in ("--filter", f"label={label}")]).split()


def eventually(what, ask, limit=120):
    limit *= PATIENCE
    end = time.monotonic() + limit
    while True:
        try:
            answer = ask()
            problem = answer
        except (OSError, http.client.HTTPException, subprocess.SubprocessError, SystemExit, ValueError, IndexError) as error:
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
        with OPENER.open(request, timeout=timeout * PATIENCE) as answer:
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


def settle(service, count):
    eventually(f"{count} × {service}", lambda: len(containers(service)) == count)
    for container in containers(service):
        eventually(f"{service} ready", lambda: subprocess.run(["docker", "exec", container, "/service", "healthcheck"], env=ENV, capture_output=True).returncode == 0)


def prepare():
    """The simulator by Compose, and the settings that lead to it."""
    (FOLDER / "sim.yml").write_text(OVERRIDE)
    (FOLDER / "shop.env").write_text("")
    (FOLDER / "secrets").mkdir()
    for name in re.findall(r"file: \./(secrets/\S+) }", (FOLDER / "docker-compose.prod.yml").read_text()):
        (FOLDER / name).write_text("-")
    # What a run that was killed left.
    compose("down", "-v", "-t", "5")
    compose("up", "-d", "--no-deps", "provider-sim")
    settings()


def settings():
    """`.env` as an operator would fill it in, with what the simulator signs with."""
    eventually("the simulator", lambda: fetch(SIM, "/_sim/healthz")[0] == 200)
    key = sim("/_sim/keys")["sendgrid"]["public_key"]
    for path in (FOLDER / "secrets").glob("*"):
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
    look_around(notifiers=3)


def look_around(notifiers):
    """Everything is up and ready, nobody is root, nothing but the edge is published."""
    eventually("migrations", lambda: sql("SELECT to_regclass('cron_runs') IS NOT NULL") == "t")
    for service, count in [("redirector", 2), ("webhooks", 2), ("notifier", notifiers), ("cashback-sync", 2), ("cron", 2), ("admin", 1)]:
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


def with_tls():
    """The edge with docker-compose.tls.yml and a certificate of the day, and then without again."""
    folder = FOLDER / "docker/tls"
    files = ["-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem")]
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=localhost", *files)
    (folder / "privkey.pem").chmod(0o644)
    three = [*COMPOSE, "-f", "docker-compose.prod.yml", "-f", "docker-compose.tls.yml", "-f", "sim.yml"]
    run(*three, "up", "-d", "--no-deps", "edge")
    context = ssl.create_default_context(cafile=str(folder / "fullchain.pem"))
    context.check_hostname = False
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), Stay, urllib.request.HTTPSHandler(context=context))
    answer = eventually("HTTPS", lambda: opener.open(f"https://127.0.0.1:{EDGE_TLS}/edge-health", timeout=5))
    require(answer.headers["strict-transport-security"], "HSTS")
    status, headers, _ = fetch(EDGE, "/out/x?y=1")
    require(status == 308 and headers["location"] == "https://127.0.0.1/out/x?y=1", f"HTTP leads to HTTPS: {status} {headers['location']}")
    compose("up", "-d", "--no-deps", "edge")
    eventually("the edge", lambda: fetch(EDGE, "/edge-health")[0] == 200)


def last_words():
    for service in SERVICES:
        for container in containers(service, all=True):
            logs = subprocess.run(["docker", "logs", "--tail", "6", container], env=ENV, capture_output=True, text=True)
            print(f"--- {service} {container}\n{logs.stdout[-1500:]}{logs.stderr[-500:]}", file=sys.stderr)
