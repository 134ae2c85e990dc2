"""What a click costs: the redirector beside a bare actix, nginx, Bun and Fastify, in one run on this machine.

The figure to compare by is the server's CPU per 1,000 requests; rates of programs that share their cores with the load
are noisy. Parts of it alone: bench.py [rates] [latency] [memory]"""
import http.client
import shutil
import statistics
import subprocess
import sys
import threading
import uuid
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from stage import (CONNECTIONS, PEERS, RUNS, SECONDS, Load, Stage, Table, Targets, binary, children, free_port, machine,
                   measured, median, migrate, npm, rss_kb, stop, undisturbed, version_of, wrk)

OFFERS = 100_000
# So many that each clicks twice a minute at most, as people do.
CLIENTS = 2_097_152
# So few that each clicks more than five times a minute, and Redis counts them from then on; nobody comes near the limit of 100.
COUNTED_CLIENTS = 131_072
# Whoever clicked is remembered for a minute; where memory is watched it must soon hold everybody.
WATCHED_CLIENTS = 262_144
MERCHANT = uuid.UUID("01981b1e-7a4c-7cc2-8f3e-000000000001")
CLICK = HERE / "click.lua"


def catalogue(stage, postgres):
    """100,000 offers of one merchant; the ids in files for wrk."""
    postgres.sql(f"""
        INSERT INTO merchants (id, name, network, campaign_id, tracking_template, allowed_hosts, landing_url, cashback_bps)
        VALUES ('{MERCHANT}', 'Shop', 'admitad', '1',
                'https://ad.admitad.com/g/HASH/?ulp={{url}}&subid={{click_id}}&subid4={{click_id}}',
                '{{shop.in,*.shop.in}}', 'https://shop.in/', 5000);
        INSERT INTO offers (id, merchant_id, title, target_url)
        SELECT ('01981b1e-7a4c-7cc2-9000-' || lpad(to_hex(n), 12, '0'))::uuid, '{MERCHANT}', 'Offer ' || n,
               'https://www.shop.in/p/' || n || '?size=9&colour=red'
        FROM generate_series(1, {OFFERS}) AS n;
        VACUUM ANALYZE offers;""")
    ids = [f"01981b1e-7a4c-7cc2-9000-{n:012x}" for n in range(1, OFFERS + 1)]
    (stage.folder / "all").write_text("\n".join(ids))
    (stage.folder / "few").write_text("\n".join(ids[:100]))
    return ids


def redirector(stage, postgres, redis, workers):
    port = free_port()
    stage.runs = getattr(stage, "runs", 0) + 1
    spool = stage.folder / f"spool{stage.runs}"
    env = {
        "DATABASE_URL": postgres.url, "REDIS_URL": redis.url, "HTTP_ADDR": f"127.0.0.1:{port}", "OPS_ADDR": "127.0.0.1:0",
        "HTTP_WORKERS": str(workers), "TRUSTED_PROXIES": "127.0.0.0/8", "REDIRECT_SPOOL_DIR": str(spool),
        "JWT_SECRET": "a-session-secret-of-decent-length", "RUST_LOG": "info", "LOG_FORMAT": "json",
        # Nobody works the list off here, and the run must not end in back-pressure.
        "QUEUE_MAX_BYTES": str(64 << 30),
    }
    return stage.start([binary("redirector")], port, env, f"redirector{stage.runs}.log"), port


def location(port, offer):
    """One click, to see that the server does what is measured."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", f"/out/{offer}", headers={"X-Forwarded-For": "192.0.2.1", "User-Agent": "Mozilla/5.0 (X11)"})
    answer = connection.getresponse()
    answer.read()
    if answer.status != 302:
        raise SystemExit(f"port {port} answered {answer.status} to a click")
    return answer.headers["Location"]


def bare_actix(stage):
    folder = PEERS / "actix"
    shutil.copytree(HERE / "actix", folder, dirs_exist_ok=True)
    built = subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=folder, capture_output=True, text=True)
    if built.returncode != 0:
        raise SystemExit(f"the bare actix does not build: {built.stderr}")
    port = free_port()
    return stage.start([folder / "target/release/bare-actix", port, 1], port), port


def pacer():
    """The program that keeps to a rate."""
    program = PEERS / "pace"
    PEERS.mkdir(parents=True, exist_ok=True)
    built = subprocess.run(
        ["rustc", "-O", "--edition", "2024", HERE / "pace.rs", "-o", program], capture_output=True, text=True)
    if built.returncode != 0:
        raise SystemExit(f"pace does not build: {built.stderr}")
    return program


def paced(port, offers, rate, seconds):
    """Clicks at `rate`, each due at a time of its own: what waits behind a slow answer counts as slow too."""
    words = [pacer(), port, offers, CLIENTS, rate, seconds, CONNECTIONS]
    said = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if said.returncode != 0:
        raise SystemExit(f"pace failed: {said.stderr}")
    return Load(said.stdout)


def nginx(stage):
    port = free_port()
    conf = stage.folder / "nginx.conf"
    conf.write_text((HERE / "nginx.conf").read_text().replace("PORT", str(port)))
    return stage.start(["nginx", "-p", stage.folder, "-c", conf], port, log="nginx.log"), port


def script(stage, runner, name, redis):
    """A peer in JavaScript, run beside the packages that it needs."""
    shutil.copy(HERE / name, PEERS / name)
    port = free_port()
    return stage.start([*runner, PEERS / name, port, redis.port], port, log=f"{name}.log"), port


@dataclass
class Contestant:
    """Whoever answers clicks, and what was seen of it in each round."""
    name: str
    server: subprocess.Popen
    port: int
    uses_redis: bool = True
    clients: int = CLIENTS
    # What Redis is given before a turn.
    pipe: str = ""
    runs: list = field(default_factory=list)

    def turn(self, stage, redis, offer):
        redis.forget()
        redis.take(self.pipe)
        location(self.port, offer)
        watched = {"server": lambda: children(self.server.pid), "redis": lambda: [redis.pid]}

        def clicks(seconds):
            return wrk(CLICK, f"http://127.0.0.1:{self.port}", [stage.folder / "few", self.clients], seconds=seconds)

        def once():
            redis.ask("UNLINK", "queue:clicks")
            return measured(lambda: clicks(SECONDS), watched)

        clicks(2)
        figures = undisturbed(once)
        if figures.bad:
            raise SystemExit(f"{self.name}: {figures.bad} requests failed")
        self.runs.append(figures)

    def figures(self):
        figures = copy(median(self.runs))
        # CPU hardly varies; its own median is the noise-free figure.
        figures.cpu = {of: sorted(run.cpu[of] for run in self.runs)[len(self.runs) // 2] for of in figures.cpu}
        return figures

    def rate_of(self, other):
        """How many clicks it answers for one of the other's: the median of the rounds, in each of which both had the same minute."""
        return statistics.median(mine.rate / theirs.rate for mine, theirs in zip(self.runs, other.runs))


def contestants(stage, postgres, redis, ids):
    """All of them, up and idle; the bare actix and nginx first."""
    yield Contestant("bare actix, 1 worker", *bare_actix(stage), uses_redis=False)
    yield Contestant("nginx return 302", *nginx(stage), uses_redis=False)
    for workers in ("1 worker", "2 workers"):
        yield Contestant(f"redirector, {workers}", *redirector(stage, postgres, redis, int(workers[0])))
    yield Contestant("redirector, 1 worker, all counted in Redis", *redirector(stage, postgres, redis, 1), clients=COUNTED_CLIENTS)
    folder, why = npm(["bun", "fastify", "ioredis"])
    if folder is None:
        print(f"… Bun and Fastify are left out: {why}")
        return
    pipe = "\n".join(f"SET redirect:url:{offer} https://shop.test/?subid=" for offer in ids[:100])
    for name, runner, file in [(f"Bun {version_of('bun')}, pipelined", [folder / "node_modules/.bin/bun"], "bun.js"),
                               (f"Fastify {version_of('fastify')} + ioredis", ["node"], "fastify.js")]:
        yield Contestant(name, *script(stage, runner, file, redis), pipe=pipe)


def rates(stage, postgres, redis, ids, targets):
    """By turns, so that what the host does to a minute it does to all of them."""
    everybody = list(contestants(stage, postgres, redis, ids))
    for turn in range(RUNS):
        for one in everybody:
            one.turn(stage, redis, ids[0])
            print(f"… round {turn + 1} of {RUNS}  {one.name}  {one.runs[-1].rate:,.0f}", flush=True)
    for one in everybody:
        stop(one.server)
    redis.forget()

    bare, proxy = everybody[:2]
    table = Table("redirect", "requests/s", "of nginx's", "p50 / p99 ms", "server CPU ms/1,000", "Redis CPU us/request", "of bare actix's CPU")
    bare_cpu = bare.figures().cpu["server"]
    for one in everybody:
        figures = one.figures()
        table.add(one.name, f"{figures.rate:,.0f}", f"{one.rate_of(proxy):.2f}", f"{figures.p50:.2f} / {figures.p99:.2f}",
                  f"{figures.cpu['server']:.1f}", f"{figures.cpu['redis']:.2f}" if one.uses_redis else "-",
                  f"{figures.cpu['server'] / bare_cpu:.2f}")
    table.print()

    plain = [one for one in everybody if one.name in ("redirector, 1 worker", "redirector, 2 workers")]
    ours = max(plain, key=lambda one: one.figures().rate)
    cpu = min(one.figures().cpu["server"] for one in plain) / bare_cpu
    targets.check("server CPU, of bare actix's", "<= 1.6", f"{cpu:.2f}", cpu <= 1.6)
    on_redis = ours.figures().cpu["redis"]
    targets.check("Redis CPU a request, us", "<= 2.5", f"{on_redis:.2f}", on_redis <= 2.5)
    for peer, times in (("nginx", 0.7), ("Bun", 1.5), ("Fastify", 3.0)):
        for other in everybody:
            if other.name.startswith(peer):
                ratio = ours.rate_of(other)
                targets.check(f"rate, of {peer}'s", f">= {times}", f"{ratio:.2f}", ratio >= times)


def latency(stage, postgres, redis, ids, targets):
    """At half of the highest rate, with known offers and with offers that neither memory nor Redis knows."""
    table = Table("half load", "requests/s", "p50 / p99 ms", "longest ms")

    def show(what, load):
        table.add(what, f"{load.rate:,.0f}", f"{load.p50 / 1e3:.2f} / {load.p99 / 1e3:.2f}", f"{load.longest / 1e3:.1f}")

    def check(what, load, limit):
        targets.check(f"p99 {what}, ms", f"<= {limit:.0f}", f"{load.p99 / 1e3:.2f}", load.p99 / 1e3 <= limit and not load.bad)

    def fresh():
        redis.forget()
        server, port = redirector(stage, postgres, redis, 2)
        location(port, ids[0])
        return server, port

    server, port = fresh()
    top = undisturbed(lambda: wrk(CLICK, f"http://127.0.0.1:{port}", [stage.folder / "few", CLIENTS], seconds=4)).rate
    warm = undisturbed(lambda: paced(port, stage.folder / "few", top / 2, SECONDS))
    stop(server)
    show(f"warm, highest {top:,.0f}", warm)
    # What the load itself and this machine add: the same rate, and nothing done for it.
    server, port = bare_actix(stage)
    show("bare actix at that rate", undisturbed(lambda: paced(port, stage.folder / "few", top / 2, SECONDS)))
    stop(server)
    check("warm", warm, 5.0)

    # Every offer once, so what the first look-up of each can reach, and each try begins anew.
    def first_looks(run):
        server, port = fresh()
        try:
            return run(port)
        finally:
            stop(server)

    top = undisturbed(lambda: first_looks(
        lambda port: wrk(CLICK, f"http://127.0.0.1:{port}", [stage.folder / "all", CLIENTS], seconds=2))).rate
    # No longer than new offers last.
    seconds = max(2, min(SECONDS, int(OFFERS / (top / 2))))
    cold = undisturbed(lambda: first_looks(lambda port: paced(port, stage.folder / "all", top / 2, seconds)))
    show(f"cold, highest {top:,.0f}", cold)
    check("cold", cold, 25.0)
    redis.forget()
    table.print()


def memory(stage, postgres, redis, targets, wanted=5_000_000):
    """5,000,000 clicks on 100,000 offers by 262,144 clients: the memory after the first million must be the memory at the end."""
    table = Table("clicks so far", "redirector's memory MiB")
    server, port = redirector(stage, postgres, redis, 2)
    done, stages, over = 0, [], threading.Event()

    def trim():
        # The list would grow to gigabytes here; in life it is worked off.
        while not over.wait(0.5):
            redis.ask("UNLINK", "queue:clicks")

    trimming = threading.Thread(target=trim)
    trimming.start()
    try:
        while done < wanted:
            load = wrk(CLICK, f"http://127.0.0.1:{port}", [stage.folder / "all", WATCHED_CLIENTS], seconds=6)
            done += load.requests
            stages.append((done, rss_kb(server.pid) / 1024))
            table.add(f"{done:,}", f"{stages[-1][1]:.1f}")
            if load.bad:
                raise SystemExit(f"{load.bad} requests failed")
    finally:
        over.set()
        trimming.join()
    stop(server)
    first = next(size for clicks, size in stages if clicks >= 1_000_000)
    growth = stages[-1][1] / first
    targets.check(f"memory after {done:,} clicks, of the first million's", "<= 1.10", f"{growth:.3f}", growth <= 1.10)


def main():
    parts = set(sys.argv[1:]) or {"rates", "latency", "memory"}
    machine()
    targets = Targets()
    with Stage() as stage:
        redis, postgres = stage.redis(), stage.postgres()
        migrate(postgres)
        ids = catalogue(stage, postgres)
        if "rates" in parts:
            rates(stage, postgres, redis, ids, targets)
        if "latency" in parts:
            latency(stage, postgres, redis, ids, targets)
        if "memory" in parts:
            memory(stage, postgres, redis, targets)
    targets.finish()


if __name__ == "__main__":
    main()
