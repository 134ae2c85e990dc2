#!/usr/bin/env bash
# Starts one throw-away Postgres for a test run and tells its address to nextest. It ends with the nextest process that
# ran this script.
set -euo pipefail
url=$(bash "$(dirname "$0")/cluster.sh" $PPID "$(mktemp -d /tmp/shop-test-pg.XXXXXX)" -c fsync=off -c full_page_writes=off \
    -c max_connections=400 -c shared_buffers=256MB -c max_locks_per_transaction=256)
echo "TEST_DATABASE_SERVER=$url" >>"$NEXTEST_ENV"
