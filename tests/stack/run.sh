#!/usr/bin/env bash
# The production Compose file, run for real (`make stack-test`): images are built, the stack is brought up with the simulator of providers beside
# it, a shopper's story is played through nginx, notifiers are scaled 3 → 5 → 2 under load by hand and by themselves, containers are killed, Redis
# and Postgres are away for a while, every service is rolled, both data stores are lost and restored; after each step nothing may be missing. Root on Debian; half an hour with cold caches. STACK_SCRATCH keeps everything.
# With `swarm` as its argument the same on a Docker Swarm of one node: deployed, scaled and healed by the Swarm itself.
#   PROFILE=ci (default here) or release       KEEP=1 leaves the stack up
#   PATIENCE=3                                 three times the patience, on a machine that is busy with other things
#   BINARIES=target/ci                         images of these, which this machine (Debian 12) built; nothing is compiled in a container
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
scratch=${STACK_SCRATCH:-/var/tmp/stack-test}
mkdir -p "$scratch"

need() { command -v "$1" > /dev/null || { apt-get install -y -qq --no-install-recommends "$2" > /dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$2" > /dev/null; }; }; }
need python3 python3

# A Docker engine of our own when none runs here.
if ! docker info > /dev/null 2>&1; then
    need dockerd docker.io
    need iptables iptables
    export DOCKER_HOST=unix://$scratch/docker.sock
    if ! docker info > /dev/null 2>&1; then
        setsid dockerd --data-root "$scratch/docker" --exec-root "$scratch/exec" --pidfile "$scratch/docker.pid" -H "$DOCKER_HOST" > "$scratch/dockerd.log" 2>&1 &
        engine=$!
        trap '[ -n "${KEEP:-}" ] || kill "$engine"' EXIT
        for _ in $(seq 60); do docker info > /dev/null 2>&1 && break; sleep 1; done
        docker info > /dev/null || { tail -20 "$scratch/dockerd.log" >&2; exit 1; }
    fi
fi
docker compose version > /dev/null 2>&1 || need docker-compose docker-compose

# Base images: pulled where a registry of images is reached, made here where not.
rust=rust:1.95-slim-bookworm postgres=postgres:15-bookworm redis=redis:7-bookworm nginx=nginx:1.28-bookworm
[ -z "${BINARIES:-}" ] || rust=none
for image in $rust $postgres $redis $nginx; do
    [ "$image" = none ] || docker image inspect "$image" > /dev/null 2>&1 || timeout 60 docker pull -q "$image" > /dev/null 2>&1 || true
done
need debootstrap debootstrap
tests/stack/base-images.sh "$scratch" $rust $postgres $redis $nginx
# Every crate is in a stand-in already.
if docker image inspect -f '{{index .Config.Labels "stand-in"}}' $rust 2> /dev/null | grep -q debian; then export CARGO_NET_OFFLINE=true; fi

PROFILE=${PROFILE:-ci} docker/images.sh --sim
python3 tests/stack/layers.py --bites
python3 tests/stack/layers.py cashback/{redirector,webhooks,notifier,cashback-sync,cron,admin}:"${TAG:-latest}"

rm -rf "$scratch/stack"
mkdir -p "$scratch/stack"
cp -r docker docker-compose.*.yml "$scratch/stack/"
case ${1:-compose} in
    compose) python3 tests/stack/play.py "$scratch/stack" "$root" ;;
    swarm) python3 tests/stack/swarm.py "$scratch/stack" "$root" swarm ;;
    *) echo "compose or swarm, not $1" >&2; exit 2 ;;
esac
