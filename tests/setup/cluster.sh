#!/usr/bin/env bash
# cluster.sh PID FOLDER [OPTION…]: makes a Postgres cluster in FOLDER and starts it on a socket file there, so that no port can
# be taken. Prints its URL. When the process PID is gone, the server ends and the folder goes.
set -euo pipefail
owner=$1 folder=$2
shift 2

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || bin=$(dirname "$(command -v initdb || true)")
[ -x "$bin/initdb" ] || { echo "Postgres is not installed (Debian: apt-get install postgresql)" >&2; exit 1; }

mkdir -p "$folder"
chmod 755 "$folder"
run=()
if [ "$(id -u)" = 0 ]; then           # initdb refuses root
    run=(setpriv --reuid postgres --regid postgres --clear-groups)
    chown postgres: "$folder"
fi
cd /
# A folder that the server's user cannot enter, or whose name is too long for a socket: somewhere else, then.
if ! "${run[@]}" test -w "$folder" || [ ${#folder} -gt 80 ]; then
    place=$(mktemp -d /tmp/shop-pg.XXXXXX)
    echo "Postgres keeps its data in $place: its user cannot use $folder" >&2
    rm -rf "$folder"
    folder=$place
    chmod 755 "$folder"
    [ "$(id -u)" != 0 ] || chown postgres: "$folder"
fi
"${run[@]}" "$bin/initdb" -D "$folder/data" -U shop -A trust -E UTF8 --locale C.UTF-8 --no-sync >"$folder/initdb.log" 2>&1 ||
    { cat "$folder/initdb.log" >&2; exit 1; }
"${run[@]}" "$bin/pg_ctl" -D "$folder/data" -w -s -l "$folder/data/log" \
    -o "-c listen_addresses= -c unix_socket_directories=$folder $*" start >&2

setsid bash -c "
    while kill -0 $owner 2>/dev/null; do sleep 0.5; done
    ${run[*]} '$bin/pg_ctl' -D '$folder/data' -m immediate -s stop
    rm -rf '$folder'
" >/dev/null 2>&1 </dev/null &

echo "postgres://shop@${folder//\//%2F}"
