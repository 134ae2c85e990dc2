#!/usr/bin/env bash
# Builds the image of every service; the compiling is done once. TAG, IMAGES (the prefix) and PROFILE as in docker/Dockerfile.
#   docker/images.sh [--sim]        the simulator of providers as well, for tests
#   BINARIES=target/ci              nothing is compiled: the images hold these, which were built on Debian 12
set -euo pipefail
cd "$(dirname "$0")/.."
tag=${TAG:-latest}
prefix=${IMAGES:-cashback}
# Pinned by docker/pin.sh.
[ ! -f .env ] || RUST_IMAGE=${RUST_IMAGE:-$(sed -n 's/^RUST_IMAGE=//p' .env | tail -1)}
revision=$(git rev-parse --short HEAD 2> /dev/null || echo unknown)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)

# BuildKit: by buildx where it is there, else by a client that still has it built in (Debian's).
docker=docker
if ! docker buildx version > /dev/null 2>&1 && [ -x /usr/bin/docker ]; then docker=/usr/bin/docker; fi
build() {
    DOCKER_BUILDKIT=1 $docker build -q -f docker/Dockerfile --build-arg BUILT="$built" --build-arg PROFILE="${PROFILE:-release}" \
        --build-arg CARGO_NET_OFFLINE="${CARGO_NET_OFFLINE:-false}" ${RUST_IMAGE:+--build-arg RUST_IMAGE="$RUST_IMAGE"} "$@" . > /dev/null
}
built=builder
if [ -n "${BINARIES:-}" ]; then
    built=$prefix/built:$tag
    out=$(mktemp -d)
    trap 'rm -rf "$out"' EXIT
    docker/assemble.sh "$BINARIES" "$out/out"
    tar -C "$out" -c out | docker import - "$built" > /dev/null
fi
names="redirector webhooks notifier cashback-sync cron admin"
for name in $names; do
    build --build-arg SERVICE="$name" --build-arg VERSION="$version" --build-arg REVISION="$revision" -t "$prefix/$name:$tag"
done
if [ "${1:-}" = --sim ]; then
    build --target provider-sim -t "$prefix/provider-sim:$tag"
    names="$names provider-sim"
fi
for name in $names; do
    docker image inspect -f "{{.Size}}" "$prefix/$name:$tag" | awk -v name="$prefix/$name:$tag" '{ printf "%-40s %6.1f MB\n", name, $1 / 1e6 }'
done
