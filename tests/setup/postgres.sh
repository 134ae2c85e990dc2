#!/usr/bin/env bash
# Starts one throw-away Postgres for a test run and tells its address to nextest. It ends with the nextest process that
# ran this script. It listens on a socket file only, so no port can be taken.
set -euo pipefail

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || bin=$(dirname "$(command -v initdb || true)")
[ -x "$bin/initdb" ] || { echo "Postgres is not installed (Debian: apt-get install postgresql)"; exit 1; }

folder=$(mktemp -d /tmp/shop-test-pg.XXXXXX)
run=()
if [ "$(id -u)" = 0 ]; then           # initdb refuses root
    chown postgres: "$folder"
    run=(setpriv --reuid postgres --regid postgres --clear-groups)
fi
chmod 755 "$folder"
cd /
"${run[@]}" "$bin/initdb" -D "$folder/data" -U shop -A trust -E UTF8 --locale C.UTF-8 --no-sync >"$folder/initdb.log" 2>&1 ||
    { cat "$folder/initdb.log"; exit 1; }
"${run[@]}" "$bin/pg_ctl" -D "$folder/data" -w -s -l "$folder/data/log" \
    -o "-c listen_addresses= -c unix_socket_directories=$folder -c fsync=off -c full_page_writes=off -c max_connections=400 -c shared_buffers=256MB -c max_locks_per_transaction=256" \
    start

# The guard: when nextest is gone, so is the server.
setsid bash -c "
    while kill -0 $PPID 2>/dev/null; do sleep 0.5; done
    ${run[*]} '$bin/pg_ctl' -D '$folder/data' -m immediate -s stop
    rm -rf '$folder'
" >/dev/null 2>&1 </dev/null &

echo "TEST_DATABASE_SERVER=postgres://shop@${folder//\//%2F}" >>"$NEXTEST_ENV"
