#!/usr/bin/env bash
# Pins base images: looks up what their tags are now and writes tag and digest into .env, where Compose and docker/images.sh read them.
# Run it again to take what has been mended upstream since, look at the change, and try it (`make stack-test`).
#   docker/pin.sh [.env]        BASE_REGISTRY=mirror.example.in/ where images come from a mirror
set -euo pipefail
cd "$(dirname "$0")/.."
file=${1:-.env}
touch "$file"
while read -r name image; do
    image=${BASE_REGISTRY:-}$image
    docker pull -q "$image" > /dev/null
    digest=$(docker image inspect -f '{{range .RepoDigests}}{{println .}}{{end}}' "$image" | sed -n "s#^${image%:*}@##p" | head -1)
    [ -n "$digest" ] || { echo "$image has no digest" >&2; exit 1; }
    sed -i "/^$name=/d" "$file"
    echo "$name=$image@$digest" >> "$file"
    echo "$name=$image@$digest"
done <<'IMAGES'
RUST_IMAGE rust:1.95-slim-bookworm
POSTGRES_IMAGE postgres:15-bookworm
REDIS_IMAGE redis:7-bookworm
NGINX_IMAGE nginx:1.28-bookworm
IMAGES
