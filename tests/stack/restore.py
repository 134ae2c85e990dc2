"""docs/operations/backup.md, done: both data stores are saved while the shop works, lost, and brought back."""
import subprocess
import time
from pathlib import Path

from stack import ENV, FOLDER, SERVICES, containers, eventually, number, redis, require, run, say, settle, sql

WHAT = (
    "SELECT (SELECT count(*) FROM affiliate_clicks), (SELECT sum(balance_paise) FROM wallet_balances), (SELECT count(*) FROM wallet_transactions),"
    " (SELECT count(*) FROM notifications), (SELECT count(*) FROM voucher_codes WHERE order_item_id IS NOT NULL)"
)
DUMP = FOLDER / "shop.dump"
AOF = FOLDER / "appendonlydir"


def timed(act, *arguments):
    begin = time.monotonic()
    answer = act(*arguments)
    return answer, time.monotonic() - begin


def save_redis():
    """The append-only files, while no rewrite runs."""
    redis("CONFIG", "SET", "auto-aof-rewrite-percentage", "0")
    eventually("no rewrite", lambda: "aof_rewrite_in_progress:0" in redis("INFO", "persistence"))
    run("docker", "cp", f"{containers('redis')[0]}:/data/appendonlydir", str(AOF))
    redis("CONFIG", "SET", "auto-aof-rewrite-percentage", "100")
    return sum(path.stat().st_size for path in AOF.iterdir())


def save_postgres():
    with DUMP.open("wb") as file:
        subprocess.run(["docker", "exec", containers("postgres")[0], "pg_dump", "-U", "shop", "-Fc", "shop"], stdout=file, env=ENV, check=True)
    return DUMP.stat().st_size


def lose_both():
    postgres = containers("postgres")[0]
    run("docker", "exec", postgres, "dropdb", "-U", "shop", "--force", "shop")
    require(subprocess.run(["docker", "exec", postgres, "psql", "-U", "shop", "-d", "shop", "-c", "SELECT 1"], env=ENV, capture_output=True).returncode, "the database is gone")
    redis("FLUSHALL")
    require(redis("DBSIZE") == "0", "Redis is empty")


def bring_back_postgres():
    postgres = containers("postgres")[0]
    run("docker", "exec", postgres, "createdb", "-U", "shop", "shop")
    with DUMP.open("rb") as file:
        subprocess.run(["docker", "exec", "-i", postgres, "pg_restore", "-U", "shop", "-d", "shop", "--exit-on-error", "--no-owner"], stdin=file, env=ENV, check=True)


def bring_back_redis():
    container = containers("redis")[0]
    image = run("docker", "inspect", "-f", "{{.Config.Image}}", container)
    run("docker", "stop", "-t", "30", container)
    # The volume, while nobody writes to it.
    run("docker", "run", "--rm", "--volumes-from", container, "--entrypoint", "rm", image, "-rf", "/data/appendonlydir")
    run("docker", "cp", str(AOF), f"{container}:/data/")
    run("docker", "start", container)
    eventually("Redis", lambda: redis("ping") == "PONG")


def restore(tally):
    """Jobs that were done after Redis was saved come back with it and are run again; nothing of them may happen twice."""
    tally.burst()
    aof, aof_s = timed(save_redis)
    waiting = int(redis("LLEN", "queue:email"))
    tally.all_mails()
    for service in SERVICES:
        for container in containers(service):
            run("docker", "stop", "-t", "40", container)
    dump, dump_s = timed(save_postgres)
    before = sql(WHAT)
    say(f"saved: Postgres {dump / 1e6:.1f} MB in {dump_s:.1f} s, Redis {aof / 1e6:.1f} MB in {aof_s:.1f} s, with {waiting} mails waiting")

    lose_both()
    _, postgres_s = timed(bring_back_postgres)
    _, redis_s = timed(bring_back_redis)
    require(sql(WHAT) == before, f"restored: {sql(WHAT)}, saved: {before}")
    again = int(redis("LLEN", "queue:email"))
    require(again > 0, "jobs that were waiting when Redis was saved wait again")
    begin = time.monotonic()
    for service in SERVICES:
        for container in containers(service, all=True):
            run("docker", "start", container)
        settle(service, len(containers(service, all=True)))
    eventually("no job waits", lambda: redis("LLEN", "queue:email") == "0")
    require("up to date" in run("docker", "exec", containers("admin")[0], "/service", "migrate"), "the schema is the restored one")
    run("docker", "exec", containers("admin")[0], "/service", "ledger", "verify")
    require(number("SELECT count(*) FROM notifications") == int(before.split("|")[3]), "no message was made anew")
    require(Path(DUMP).exists(), "the backup is kept")
    say(f"restored: Postgres in {postgres_s:.1f} s, Redis in {redis_s:.1f} s, services in {time.monotonic() - begin:.1f} s; {again} jobs ran again and did nothing; {before} as before")
