#!/usr/bin/env bash
# Makes stand-ins for the base images that docker/Dockerfile and docker-compose.prod.yml name, for machines that cannot pull them:
# Debian by debootstrap, with Debian's own postgres, redis and nginx, and the Rust toolchain and crates of this machine.
# What they have in common with the originals is what we use of them: paths, users, entry points, variables.
#   tests/stack/base-images.sh SCRATCH RUST POSTGRES REDIS NGINX [MACHINE]       (tags; one that exists is left alone, and so is `none`)
# MACHINE is a Debian with systemd, Postgres and Redis, for the units.
set -euo pipefail

scratch=$1 rust=$2 postgres=$3 redis=$4 nginx=$5 machine=${6:-none}
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
suite=bookworm
here=$(cd "$(dirname "$0")" && pwd)

missing() { [ "$1" != none ] && ! docker image inspect "$1" > /dev/null 2>&1; }

base() {
    [ -f "$scratch/base/.complete" ] && return
    echo "debootstrap $suite ..." >&2
    rm -rf "$scratch/base"
    debootstrap --variant=minbase --include=ca-certificates "$suite" "$scratch/base" "$mirror" > "$scratch/debootstrap.log"
    printf '#!/bin/sh\nexit 101\n' > "$scratch/base/usr/sbin/policy-rc.d"
    chmod +x "$scratch/base/usr/sbin/policy-rc.d"
    touch "$scratch/base/.complete"
}

# A copy of the base with packages; prints its folder.
with() {
    local name=$1; shift
    local root=$scratch/$name
    rm -rf "$root"
    cp -a "$scratch/base" "$root"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" > "$scratch/$name.log" 2>&1
    rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*
    echo "$root"
}

import() {
    local root=$1 tag=$2; shift 2
    tar -C "$root" --one-file-system -c . | docker import "$@" --change 'LABEL stand-in=debian' - "$tag" > /dev/null
    rm -rf "$root"
    echo "made a stand-in for $tag" >&2
}

mkdir -p "$scratch"

if missing "$rust"; then
    base
    root=$(with rust gcc libc6-dev)
    toolchain=$(rustc --print sysroot)
    mkdir -p "$root/usr/local/rustup" "$root/usr/local/cargo"
    cp -a "$toolchain/." "$root/usr/local/rustup/"
    rm -rf "$root/usr/local/rustup/share"
    [ ! -d "${CARGO_HOME:-$HOME/.cargo}/registry" ] || cp -a "${CARGO_HOME:-$HOME/.cargo}/registry" "$root/usr/local/cargo/registry"
    import "$root" "$rust" --change 'ENV PATH=/usr/local/rustup/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin CARGO_HOME=/usr/local/cargo'
fi

# The crates of today's lock file, where the stand-in is older.
if docker image inspect -f '{{index .Config.Labels "stand-in"}}' "$rust" 2> /dev/null | grep -q debian; then
    cargo fetch --locked --quiet
    container=$(docker create "$rust" true)
    awk '/^name = /{ n = $3 } /^version = /{ v = $3 } /^source = /{ gsub(/"/, "", n); gsub(/"/, "", v); print n "-" v ".crate" }' Cargo.lock | sort > "$scratch/crates.here"
    docker export "$container" | tar -t | sed -n 's#^usr/local/cargo/registry/cache/[^/]*/\(.*\.crate\)$#\1#p' | sort > "$scratch/crates.there"
    if [ -n "$(comm -23 "$scratch/crates.here" "$scratch/crates.there")" ]; then
        docker cp "${CARGO_HOME:-$HOME/.cargo}/registry" "$container":/usr/local/cargo/ > /dev/null
        docker commit "$container" "$rust" > /dev/null
    fi
    docker rm "$container" > /dev/null
fi

if missing "$postgres"; then
    base
    root=$(with postgres postgresql postgresql-contrib)
    mkdir -p "$root/docker-entrypoint-initdb.d"
    install -m 755 "$here/stand-in/postgres.sh" "$root/usr/local/bin/docker-entrypoint.sh"
    import "$root" "$postgres" --change 'ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/bin:/bin PGDATA=/var/lib/postgresql/data' \
        --change 'ENTRYPOINT ["docker-entrypoint.sh"]' --change 'CMD ["postgres"]'
fi

if missing "$redis"; then
    base
    root=$(with redis redis-server)
    mkdir -p "$root/data"
    install -m 755 "$here/stand-in/redis.sh" "$root/usr/local/bin/docker-entrypoint.sh"
    import "$root" "$redis" --change 'WORKDIR /data' --change 'ENTRYPOINT ["docker-entrypoint.sh"]' --change 'CMD ["redis-server"]'
fi

if missing "$nginx"; then
    base
    root=$(with nginx nginx-light curl)
    import "$root" "$nginx" --change 'CMD ["nginx", "-g", "daemon off;"]'
fi

if missing "$machine"; then
    base
    root=$(with machine systemd systemd-sysv dbus postgresql redis-server procps)
    import "$root" "$machine" --change 'CMD ["/sbin/init"]'
fi
