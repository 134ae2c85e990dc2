"""Plays the stack test in a folder that holds docker/ and docker-compose.prod.yml. Started by run.sh, which says what happens."""
import json
import os
import subprocess
import time

from restore import restore
from shop import click, mails, opening
from stack import COMPOSE, ENV, FOLDER, PROJECT, SERVICES, compose, containers, eventually, last_words, number, prepare, redis, require, run, say, settle, sql, up, with_tls
from tally import Tally

# Longer than any loop's patience: who takes an outage for a standstill shows it.
OUTAGE_S = 35


def scale(count):
    compose("up", "-d", "--no-deps", "--no-recreate", "--scale", f"notifier={count}", "notifier")
    settle("notifier", count)


def autoscale(tally):
    """`admin autoscale` at this engine: more than a thousand jobs make it five, an empty queue two."""
    socket = ENV.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    image = run("docker", "inspect", "-f", "{{.Config.Image}}", containers("admin")[0])
    thresholds = ["--env-file", str(FOLDER / "docker/notifier-scaling.env"), "-e", "SCALE_POLL_S=2", "-e", "SCALE_DOWN_AFTER_S=6"]
    database = ["-e", f"DATABASE_URL={(FOLDER / 'secrets/database_url').read_text()}", "-e", f"REDIS_URL={(FOLDER / 'secrets/redis_url').read_text()}"]
    scaler = run("docker", "run", "-d", "--user", "0", "--network", f"{PROJECT}_data", "-v", f"{socket}:/var/run/docker.sock", *thresholds, *database, image, "autoscale", "--compose", f"{PROJECT}/notifier")
    try:
        tally.burst()
        eventually("five notifiers by themselves", lambda: len(containers("notifier")) == 5)
        tally.all_mails()
        eventually("two notifiers by themselves", lambda: len(containers("notifier")) == 2, 180)
        logs = subprocess.run(["docker", "logs", scaler], env=ENV, capture_output=True, text=True)
        decisions = [line for line in (logs.stdout + logs.stderr).splitlines() if "scaling the notifier" in line]
        require(len(decisions) == 2, f"up once and down once: {decisions}")
    finally:
        run("docker", "rm", "-f", scaler)
    settle("notifier", 2)


def kill_one_of_each(tally):
    tally.push(600)
    for service in ("notifier", "cashback-sync", "webhooks", "redirector", "cron"):
        run("docker", "kill", containers(service)[0])
    for service in ("notifier", "cashback-sync", "webhooks", "redirector", "cron"):
        for container in set(containers(service, all=True)) - set(containers(service)):
            run("docker", "start", container)
        settle(service, 2)


def starts():
    """When every container of ours was started: one that was restarted shows it."""
    return {c: run("docker", "inspect", "-f", "{{.State.StartedAt}}", c) for service in SERVICES for c in containers(service)}


def alive():
    for service in SERVICES:
        for container in containers(service):
            told = subprocess.run(["docker", "exec", container, "/service", "healthcheck", "--alive"], env=ENV, capture_output=True, text=True)
            require(told.returncode == 0, f"{service} is alive although a data store is away: {told.stderr}")


def outage(tally, store, ready):
    """A data store is away for longer than any patience, and comes back: everybody lives through it."""
    tally.push(250)
    before = starts()
    container = containers(store)[0]
    run("docker", "stop", "-t", "30", container)
    time.sleep(OUTAGE_S)
    alive()
    run("docker", "start", container)
    eventually(store, ready)
    for service in SERVICES:
        settle(service, len(containers(service)))
    require(starts() == before, "no service was restarted for it")


def roll(tally):
    """One container after the other: asked to end, waited for, started; the others of its kind serve meanwhile."""
    tally.push(500)
    for service in SERVICES:
        for container in containers(service):
            begin = time.monotonic()
            run("docker", "stop", "-t", "40", container)
            code = json.loads(run("docker", "inspect", container))[0]["State"]["ExitCode"]
            require(code == 0, f"{service} ends with 0 after SIGTERM, not {code}")
            require(time.monotonic() - begin < 32, f"{service} ends within its drain")
            run("docker", "start", container)
            settle(service, len(containers(service)))
            # nginx looks names up every two seconds; the next one must not end before it knows this one.
            time.sleep(3)


def measures():
    """What capacity is planned with: memory of every service, bytes of a click and of a mail."""
    for service in ("edge", "postgres", "redis", *SERVICES):
        used = run("docker", "stats", "--no-stream", "--format", "{{.MemUsage}}", *containers(service)).splitlines()
        say(f"memory of {service}: {', '.join(line.split(' / ')[0] for line in used)}")
    for what, tables, rows in (("click", "affiliate_clicks%", "affiliate_clicks"), ("message", "notifications%", "notifications")):
        size = number(f"SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relname LIKE '{tables}'")
        say(f"a {what} takes {size / number(f'SELECT count(*) FROM {rows}'):.0f} bytes in Postgres, indexes included")


def main():
    prepare()
    up()
    say("up: every container ready, none root, nothing published but the edge")
    with_tls()
    say("TLS at the edge: HTTPS, and HTTP leads to it")
    cast, shoppers = opening()
    tally = Tally(shoppers, mails)
    with tally.step("scaled 3 → 5 → 2 by hand"):
        tally.push(1500)
        scale(5)
        tally.push(1500)
        scale(2)
    with tally.step("scaled 2 → 5 → 2 by itself"):
        autoscale(tally)
    with tally.step("kill -9 of one of each"):
        kill_one_of_each(tally)
    with tally.step(f"Redis away for {OUTAGE_S} s"):
        outage(tally, "redis", lambda: redis("ping") == "PONG")
    with tally.step(f"Postgres away for {OUTAGE_S} s"):
        outage(tally, "postgres", lambda: sql("SELECT 1") == "1")
    with tally.step("every container rolled"):
        roll(tally)
    shoppers.end()
    tally.nothing_is_left()
    measures()
    say("no dead letter, no job waits, wallets add up, the ledger's chain holds")

    with tally.step("Postgres and Redis restored"):
        restore(tally)
    user, offer = cast["users"][0]["id"], cast["merchants"][0]["offers"][0]
    clicks = number("SELECT count(*) FROM affiliate_clicks")
    require(click(offer, user), "a click after the restore")
    eventually("the click after the restore", lambda: number("SELECT count(*) FROM affiliate_clicks") == clicks + 1)
    tally.table()
    say(f"{len(tally.rows)} steps, nothing lost, nothing doubled")


try:
    main()
except BaseException:
    last_words()
    raise
finally:
    if not os.environ.get("KEEP"):
        subprocess.run([*COMPOSE, "-f", "docker-compose.prod.yml", "-f", "sim.yml", "down", "-v", "-t", "5"], cwd=FOLDER, env=ENV, capture_output=True)
