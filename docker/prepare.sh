#!/usr/bin/env bash
# Splits .env into what docker-compose.prod.yml reads: secrets/<name> for each of its secrets, shop.env for the rest. What can be made up is
# made up once and kept: passwords of Postgres and Redis, tokens of postback paths, keys. Run it again after changing .env.
#   docker/prepare.sh [.env]
set -euo pipefail
cd "$(dirname "$0")/.."
source=${1:-.env}
[ -f "$source" ] || { echo "$source is not there: cp .env.example .env, and fill it in" >&2; exit 1; }

umask 077
mkdir -p secrets
names=$(sed -n '/^secrets:/,$ s/^  \([a-z0-9_]*\): .*/\1/p' docker-compose.prod.yml)

# Readable inside a container, whose user is another one; outside, the folder is closed.
put() { printf '%s' "$2" > "secrets/$1"; chmod 444 "secrets/$1"; }
filled() { [ -e "secrets/$1" ] && [ -n "$(cat "secrets/$1")" ]; }
keep() { filled "$1" || put "$1" "$2"; }
random() { head -c 512 /dev/urandom | LC_ALL=C tr -dc 'A-Za-z0-9' | head -c "$1"; }

chmod 700 secrets
: > shop.env
chmod 644 shop.env
while IFS= read -r line || [ -n "$line" ]; do
    case $line in '#'* | '') continue ;; esac
    key=${line%%=*} value=${line#*=}
    name=$(printf %s "$key" | tr 'A-Z' 'a-z')
    # Where the servers are is not for .env to say: they are in the same file.
    case $key in DATABASE_URL | REDIS_URL | TRUSTED_PROXIES) continue ;; esac
    # What Compose itself reads.
    case $key in *_IMAGE | IMAGES | TAG | EDGE_PORT) continue ;; esac
    if printf '%s\n' "$names" | grep -qx "$name"; then
        [ -z "$value" ] || put "$name" "$value"
    elif [ -n "$value" ]; then
        printf '%s=%s\n' "$key" "$value" >> shop.env
    fi
done < "$source"

keep postgres_password "$(random 40)"
keep postgres_reader_password "$(random 40)"
filled redis_auth || put redis_auth "requirepass $(random 40)"
put database_url "postgres://shop:$(cat secrets/postgres_password)@postgres:5432/shop"
put database_reader_url "postgres://shop_reader:$(cat secrets/postgres_reader_password)@postgres:5432/shop"
put redis_url "redis://:$(sed 's/^requirepass //' secrets/redis_auth)@redis:6379/0"
keep voucher_key "$(head -c 32 /dev/urandom | base64 | tr -d '\n')"
keep client_hash_key "$(random 40)"
# For Grafana, which is in docker/observability/compose.yml.
keep grafana_password "$(random 24)"
for token in admitad_postback_token vcommission_postback_token cuelinks_postback_token msg91_report_token redirect_stats_token; do
    keep "$token" "$(random 32)"
done

empty=""
for name in $names; do
    filled "$name" && continue
    # A line without words: a Swarm takes no secret of no bytes, and services take this one for none.
    put "$name" "
"
    empty="$empty $name"
done
echo "secrets/ and shop.env are written."
[ -z "$empty" ] || echo "Empty, so what they are for is off, or will not start:$empty"
grep -q '^ALERT_EMAILS=' shop.env || echo "ALERT_EMAILS is not set: what a person must look at is only logged."
if filled cuelinks_api_key && ! grep -q '^CUELINKS_PUBLISHER_ID=' shop.env; then
    echo "CUELINKS_PUBLISHER_ID is not set: a key of another account would not be noticed."
fi
