"""What a webhook costs: 1.5 KB of Razorpay's, signature, dedupe, commit, push. Beside it in the same run: pgbench with one such
INSERT a transaction, and Bun and Fastify doing the same with one INSERT each. Postgres syncs every commit.

Whoever is measured is asked by 64 connections. What becomes of the webhooks afterwards is not measured: the queue is paused."""
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from stage import (CONNECTIONS, PEERS, RUNS, SECONDS, Stage, Table, Targets, binary, children, free_port, machine, measured,
                   median, migrate, npm, paced, stop, undisturbed, version_of, wrk)

SECRET = "a-webhook-secret-of-decent-length"
WEBHOOK = HERE / "webhook.lua"
PEER_TABLE = """
    CREATE TABLE peer_webhooks (
        id uuid PRIMARY KEY, source text NOT NULL, event_id text NOT NULL, event text NOT NULL, body bytea NOT NULL,
        body_sha256 bytea NOT NULL, headers jsonb NOT NULL, received_at timestamptz NOT NULL, UNIQUE (source, event_id));"""
ROWS = "SELECT count(*) FROM {}"


def webhooks(stage, postgres, redis):
    port = free_port()
    env = {
        "DATABASE_URL": postgres.url, "REDIS_URL": redis.url, "HTTP_ADDR": f"127.0.0.1:{port}", "OPS_ADDR": "127.0.0.1:0",
        "WEBHOOK_SOURCES": "razorpay", "RAZORPAY_WEBHOOK_SECRET": SECRET, "RUST_LOG": "info", "LOG_FORMAT": "json",
        "QUEUE_MAX_BYTES": str(64 << 30),
    }
    return stage.start([binary("webhooks")], port, env, "webhooks.log"), port


def peer(stage, runner, name, redis, postgres):
    shutil.copy(HERE / name, PEERS / f"webhooks-{name}")
    port = free_port()
    command = [*runner, PEERS / f"webhooks-{name}", port, redis.port, postgres.url, SECRET]
    return stage.start(command, port, log=f"webhooks-{name}.log"), port


def turn_wal(postgres):
    """A server that runs for longer than some minutes writes its log into files that it has used before. One that is new makes a
    file for every 16 MB, and while it does nobody commits: a tenth of a second where the disk is slow."""
    for setting in ("min_wal_size = '2GB'", "max_wal_size = '4GB'"):
        postgres.sql(f"ALTER SYSTEM SET {setting}")
    postgres.sql("SELECT pg_reload_conf(); CREATE TABLE turned (n int);" + "INSERT INTO turned VALUES (1); SELECT pg_switch_wal();" * 120)
    postgres.sql("CHECKPOINT")


def pgbench(postgres, seconds):
    """Transactions a second of one INSERT each."""
    command = [postgres.tool("pgbench"), "-n", "-M", "prepared", "-c", CONNECTIONS, "-j", 2, "-T", seconds, "-f",
               HERE / "insert.sql", "-h", "127.0.0.1", "-p", postgres.port, "-U", "shop", "bench"]
    said = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if said.returncode != 0:
        raise SystemExit(f"pgbench failed: {said.stderr}")
    return float(said.stdout.split("tps = ")[1].split()[0])


def main():
    machine()
    targets = Targets()
    with Stage() as stage:
        redis, postgres = stage.redis(), stage.postgres()
        migrate(postgres)
        postgres.sql(PEER_TABLE)
        turn_wal(postgres)
        redis.ask("SET", "{queue:payments}:paused", "1")

        single = sorted(undisturbed(lambda: pgbench(postgres, SECONDS)) for _ in range(RUNS))[RUNS // 2]
        table = Table("webhook", "webhooks/s", "p50 / p99 ms", "server CPU ms/1,000", "Postgres CPU", "Redis CPU", "of pgbench")
        table.add("pgbench, one INSERT a transaction", f"{single:,.0f}", "-", "-", "-", "-", "1.00")
        seen, seeds = {}, iter(range(1_000_000))

        def run(name, server, port, rows):
            url = f"http://127.0.0.1:{port}"
            wrk(WEBHOOK, url, [SECRET, f"s{next(seeds)}"], seconds=2)
            watched = {"server": lambda: children(server.pid), "postgres": postgres.pids, "redis": lambda: [redis.pid]}

            def once():
                before = int(postgres.sql(ROWS.format(rows)))
                figures = measured(lambda: wrk(WEBHOOK, url, [SECRET, f"s{next(seeds)}"]), watched)
                stored = int(postgres.sql(ROWS.format(rows))) - before
                # What was under way at the end of the run may be stored without having been counted.
                if figures.bad or stored < figures.rate * SECONDS * 0.98:
                    raise SystemExit(f"{name}: {figures.bad} failed, {stored} stored")
                return figures

            runs = [undisturbed(once) for _ in range(RUNS)]
            figures = seen[name] = median(runs)
            figures.cpu = {of: sorted(run.cpu[of] for run in runs)[len(runs) // 2] for of in figures.cpu}
            table.add(name, f"{figures.rate:,.0f}", f"{figures.p50:.2f} / {figures.p99:.2f}", f"{figures.cpu['server']:.1f}",
                      f"{figures.cpu['postgres']:.1f}", f"{figures.cpu['redis']:.1f}", f"{figures.rate / single:.2f}")

        server, port = webhooks(stage, postgres, redis)
        run("webhooks", server, port, "webhook_receipts")
        half = undisturbed(lambda: paced(
            WEBHOOK, f"http://127.0.0.1:{port}", [SECRET, f"s{next(seeds)}"], seen["webhooks"].rate / 2, SECONDS))
        table.add("webhooks, half load", f"{half.rate:,.0f}", f"{half.p50 / 1e3:.2f} / {half.p99 / 1e3:.2f}", "-", "-", "-", "-")
        stop(server)
        folder, why = npm(["bun", "fastify", "ioredis", "pg"])
        if folder is None:
            print(f"… Bun and Fastify are left out: {why}")
        else:
            for name, runner, file in [(f"Bun {version_of('bun')}", [folder / "node_modules/.bin/bun"], "bun.js"),
                                       (f"Fastify {version_of('fastify')}", ["node"], "fastify.js")]:
                server, port = peer(stage, runner, file, redis, postgres)
                run(name, server, port, "peer_webhooks")
                stop(server)
        table.print()

    ours = seen["webhooks"]
    targets.check("rate, of pgbench's", ">= 0.70", f"{ours.rate / single:.2f}", ours.rate >= 0.7 * single)
    targets.check("p99 at half load, ms", "<= 15", f"{half.p99 / 1e3:.2f}", half.p99 <= 15_000 and not half.bad)
    for name, figures in seen.items():
        for peer_name, part in (("Bun", 1 / 2), ("Fastify", 1 / 3)):
            if name.startswith(peer_name):
                ratio = ours.cpu["server"] / figures.cpu["server"]
                targets.check(f"server CPU, of {peer_name}'s", f"<= {part:.2f}", f"{ratio:.2f}", ratio <= part)
    targets.finish()


if __name__ == "__main__":
    main()
