#!/bin/sh
# The part of the official image's entry point that we use: the data belongs to redis, and so does the process.
set -eu
if [ "$(id -u)" = 0 ]; then
    chown -R redis:redis /data
    exec setpriv --reuid=redis --regid=redis --init-groups "$@"
fi
exec "$@"
