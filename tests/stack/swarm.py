"""Plays the stack test on a Docker Swarm of one node. Started by run.sh with `swarm`, which says what happens."""
import json
import os
import subprocess
from pathlib import Path

from shop import mails, opening
from stack import ENV, FOLDER, OVERRIDE, PROJECT, SERVICES, SIM, containers, eventually, last_words, look_around, require, run, say, settings, settle
from tally import Tally

SUBNET = 'networks: { app: { ipam: { config: [{ subnet: 172.31.240.0/24 }] } } }\n'
FILES = ["-c", "docker-compose.swarm.yml", "-c", "swarm-sim.yml", "-c", "quick.yml"]


def write_files():
    """The simulator as a service of the stack, and a scaler that need not be waited for."""
    published = f'ports: [{{ target: 8080, published: {SIM}, mode: host }}]'
    (FOLDER / "swarm-sim.yml").write_text(OVERRIDE.replace(f'ports: ["127.0.0.1:{SIM}:8080"]', published).rstrip() + "\n    deploy: { endpoint_mode: dnsrr }\n" + SUBNET)
    quick = 'version: "3.8"\nservices:\n  scaler: { environment: { SCALE_POLL_S: "2", SCALE_DOWN_AFTER_S: "6" }, networks: [data] }\n'
    # Swarm's own load balancer needs IPVS, which not every kernel has: names then lead to the containers.
    if not Path("/proc/net/ip_vs").exists():
        quick += "".join(f"  {name}: {{ deploy: {{ endpoint_mode: dnsrr }} }}\n" for name in ("edge", "postgres", "redis", *SERVICES))
    (FOLDER / "quick.yml").write_text(quick)


def deploy(*files, stdin=None):
    socket = ENV.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    run("docker", "stack", "deploy", "--resolve-image", "never", *files, PROJECT, stdin=stdin, env={**ENV, "DOCKER_SOCKET": socket})


def prepare():
    write_files()
    (FOLDER / "secrets").mkdir()
    deploy("-c", "swarm-sim.yml")
    settings()


def up():
    lines = (FOLDER / "docker-compose.prod.yml").read_text().splitlines(keepends=True)
    deploy("-c", "-", *FILES, stdin="".join(line for line in lines if not line.startswith("    depends_on:")))
    # The scaler finds an empty queue.
    look_around(notifiers=2)


def decisions():
    logs = run("docker", "service", "logs", "--raw", f"{PROJECT}_scaler")
    return [line for line in logs.splitlines() if "scaling the notifier" in line]


def scaled_by_itself(tally):
    before = len(decisions())
    tally.burst()
    eventually("five notifiers by themselves", lambda: len(containers("notifier")) == 5)
    tally.all_mails()
    eventually("two notifiers by themselves", lambda: len(containers("notifier")) == 2, 180)
    require(len(decisions()) - before == 2, f"up once and down once: {decisions()}")
    settle("notifier", 2)


def kill_one_of_each(tally):
    """Nobody starts them again but the Swarm."""
    tally.push(600)
    killed = {service: containers(service)[0] for service in ("notifier", "cashback-sync", "webhooks", "redirector", "cron")}
    for container in killed.values():
        run("docker", "kill", container)
    for service, container in killed.items():
        eventually(f"{service} without the one that was killed", lambda: container not in containers(service))
        settle(service, 2)


def roll(tally):
    """As an upgrade does it: the new one first, and the old one goes when that is healthy."""
    tally.push(500)
    for service in SERVICES:
        before = set(containers(service))
        run("docker", "service", "update", "--force", "--detach=false", "--quiet", f"{PROJECT}_{service}")
        eventually(f"another {service}", lambda: not before & set(containers(service)))
        settle(service, len(before))
        how = lambda: json.loads(run("docker", "service", "inspect", f"{PROJECT}_{service}"))[0]["UpdateStatus"]["State"]
        eventually(f"the update of {service} is over", lambda: how() not in ("updating", "rollback_started"))
        require(how() == "completed", f"the update of {service} is {how()}")


def main():
    prepare()
    up()
    say("up: every container ready, none root, nothing published but the edge")
    _, shoppers = opening()
    tally = Tally(shoppers, mails)
    with tally.step("scaled 2 → 5 → 2 by itself"):
        scaled_by_itself(tally)
    with tally.step("kill -9 of one of each"):
        kill_one_of_each(tally)
    with tally.step("every service rolled"):
        roll(tally)
    shoppers.end()
    tally.nothing_is_left()
    tally.table()
    say(f"{len(tally.rows)} steps on a Swarm, nothing lost, nothing doubled")


swarm = subprocess.run(["docker", "info", "-f", "{{.Swarm.LocalNodeState}}"], env=ENV, capture_output=True, text=True).stdout.strip()
if swarm != "active":
    run("docker", "swarm", "init", "--advertise-addr", "127.0.0.1")
try:
    main()
except BaseException:
    last_words()
    raise
finally:
    if not os.environ.get("KEEP"):
        subprocess.run(["docker", "stack", "rm", PROJECT], env=ENV, capture_output=True)
        label = f"label=com.docker.stack.namespace={PROJECT}"
        eventually("the stack's end", lambda: not run("docker", "ps", "-aq", "--filter", label))
        run("docker", "volume", "rm", *run("docker", "volume", "ls", "-q", "--filter", label).split())
        if swarm != "active":
            subprocess.run(["docker", "swarm", "leave", "--force"], env=ENV, capture_output=True)
