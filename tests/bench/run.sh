#!/usr/bin/env bash
# run.sh [redirector|webhooks|watched]…: the benches of the HTTP services, beside peers. Release binaries must be there (`make bench`).
set -euo pipefail
cd "$(dirname "$0")"
for needed in wrk nginx redis-server python3; do
    command -v "$needed" >/dev/null || { echo "Missing here: $needed (Debian: apt-get install wrk nginx-light redis-server python3)" >&2; exit 1; }
done
# Peers in JavaScript are left out where there is no npm.
[ $# -gt 0 ] || set -- redirector webhooks watched
for bench in "$@"; do
    echo "== $bench"
    PYTHONDONTWRITEBYTECODE=1 python3 "$bench/bench.py"
done
