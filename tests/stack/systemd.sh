#!/usr/bin/env bash
# The units, run for real (`make systemd-test`): a Debian machine in a container with systemd as its first process and Debian's own Postgres and
# Redis; systemd/install.sh puts the binaries and units there and starts them. Checked: everything gets active and ready, a service that stands
# still is killed by the watchdog and started anew, wrong settings are not tried again, and the end is in order.
#   tests/stack/systemd.sh [FOLDER_WITH_BINARIES]       built on Debian 12; needs a Docker engine (DOCKER_HOST) and root
set -euo pipefail
cd "$(dirname "$0")/../.."
binaries=$(realpath "${1:-target/release}")
scratch=${STACK_SCRATCH:-/var/tmp/stack-test}
name=shop-machine

tests/stack/base-images.sh "$scratch" none none none none shop-machine
docker rm -f "$name" > /dev/null 2>&1 || true
# As privileged as this machine is itself: some hold back single capabilities, and then `--privileged` fails.
bounded=$((0x$(sed -n 's/^CapBnd:\t//p' /proc/self/status)))
caps=() number=0
for cap in CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW \
    IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE \
    AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG; do
    [ $((bounded >> number & 1)) = 0 ] || caps+=(--cap-add "$cap")
    number=$((number + 1))
done
docker run -d --name "$name" --cap-drop ALL "${caps[@]}" --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined \
    --device-cgroup-rule 'a *:* rwm' --cgroupns host -v /sys/fs/cgroup:/sys/fs/cgroup --tmpfs /run:exec --tmpfs /run/lock --tmpfs /tmp \
    -v "$PWD:/src:ro" -v "$binaries:/binaries:ro" shop-machine > /dev/null
trap '[ -n "${KEEP:-}" ] || docker rm -f "$name" > /dev/null' EXIT
inside() { docker exec -i "$name" "$@"; }
fail() { echo "failed: $1" >&2; inside journalctl --no-pager -n 40 -u 'shop*' >&2 || true; exit 1; }
eventually() { # what, seconds, command…
    local what=$1 end=$((SECONDS + $2)); shift 2
    until "$@" > /dev/null 2>&1; do [ $SECONDS -lt $end ] || fail "$what"; sleep 0.3; done
}
active() { [ "$(inside systemctl is-active "$1")" = active ]; }
property() { inside systemctl show -P "$2" "$1"; }

eventually "systemd is up" 60 inside systemctl is-active basic.target
# Debian's servers ask to be spared when memory runs out, which a machine without CAP_SYS_RESOURCE refuses.
inside sh -c 'for unit in postgresql@ redis-server; do mkdir -p /run/systemd/system/$unit.service.d; printf "[Service]\nOOMScoreAdjust=0\n" > /run/systemd/system/$unit.service.d/oom.conf; done; systemctl daemon-reload
    pg_lsclusters -h | grep -q main || pg_createcluster 15 main; systemctl reset-failed; systemctl start postgresql@15-main redis-server'
eventually "Postgres" 60 inside su postgres -c 'psql -c "SELECT 1"'
eventually "Redis" 60 inside redis-cli ping
inside su postgres -c "psql -q -c \"CREATE ROLE shop LOGIN PASSWORD 'try'\" -c 'CREATE DATABASE shop OWNER shop'"

inside /src/systemd/install.sh /binaries | grep -q "Fill in" || fail "the first time settings are asked for"
# shop.env is the example, filled in.
inside sh -c 'cat >> /etc/shop/shop.env' <<'ENV'
DATABASE_URL=postgres://shop:try@127.0.0.1:5432/shop
REDIS_URL=redis://127.0.0.1:6379/0
VOUCHER_KEY=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=
RAZORPAY_WEBHOOK_SECRET=a-secret-for-a-try
RAZORPAY_KEY_ID=rzp_test_try
RAZORPAY_KEY_SECRET=try
RAZORPAYX_ACCOUNT_NUMBER=7878780080316316
ADMITAD_POSTBACK_TOKEN=0123456789abcdef0123456789
VCOMMISSION_POSTBACK_TOKEN=0123456789abcdef0123456789
CUELINKS_POSTBACK_TOKEN=0123456789abcdef0123456789
MSG91_REPORT_TOKEN=0123456789abcdef0123456789
WEBHOOK_SOURCES=razorpay,admitad,vcommission,cuelinks,msg91
SENDGRID_API_KEY=SG.try
MSG91_AUTH_KEY=try
MSG91_SENDER_ID=DEMOCB
MSG91_TEMPLATE_ID_OTP=try
MSG91_TEMPLATE_ID_ORDER_CONFIRMATION=try
MSG91_TEMPLATE_ID_CASHBACK_CREDITED=try
MSG91_TEMPLATE_ID_WITHDRAWAL_PROCESSED=try
SHOP_URL=http://shop.example.in
FROM_EMAIL=hello@shop.example.in
ENV
inside /src/systemd/install.sh /binaries > /dev/null || fail "the second time everything is started"

units="shop-redirector shop-webhooks shop-cashback-sync shop-cron shop-admin shop-notifier@1 shop-notifier@2 shop-notifier@3"
for unit in $units; do
    eventually "$unit is active" 60 active "$unit.service"
    [ "$(property "$unit" WatchdogUSec)" = 30s ] || fail "$unit has a watchdog"
    [ "$(property "$unit" NRestarts)" = 0 ] || fail "$unit was not restarted"
done
inside systemctl is-active --quiet shop-migrate.service || fail "the schema"
[ "$(property shop-notifier@2 Slice)" = shop-notifier.slice ] || fail "notifiers are in their slice"
# /readyz of every service, by the way that systemd's hardening leaves open.
for port in 9081 9082 9083 9085 9086 9091 9092 9093; do
    eventually "ready on $port" 60 inside bash -c "exec 3<>/dev/tcp/127.0.0.1/$port && printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3 && head -1 <&3 | grep -q 200"
done
echo "systemd: 8 services active and ready after systemd/install.sh"

# A service that stands still is no service.
inside mkdir -p /run/systemd/system/shop-cron.service.d
printf '[Service]\nWatchdogSec=3\n' | inside sh -c 'cat > /run/systemd/system/shop-cron.service.d/quick.conf'
inside systemctl daemon-reload
inside systemctl restart shop-cron
before=$(property shop-cron MainPID)
begin=$SECONDS
inside kill -STOP "$before"
eventually "the watchdog starts cron anew" 30 bash -c "[ \"\$(docker exec $name systemctl show -P NRestarts shop-cron)\" = 1 ] && [ \"\$(docker exec $name systemctl is-active shop-cron)\" = active ]"
[ "$(property shop-cron MainPID)" != "$before" ] || fail "another process"
echo "systemd: a service that stood still was started anew after $((SECONDS - begin)) s (WatchdogSec=3)"

# The outage of a data store is no standstill.
pids=$(for unit in $units; do property "$unit" MainPID; done)
inside systemctl stop redis-server postgresql@15-main
sleep 12
[ "$(for unit in $units; do property "$unit" MainPID; done)" = "$pids" ] || fail "nobody was restarted because Redis and Postgres were away"
inside systemctl start redis-server postgresql@15-main
echo "systemd: Redis and Postgres were away for 12 s, four times cron's watchdog, and nobody was restarted"

# Wrong settings.
inside sh -c 'echo CRON_DISABLED=nonsense-job > /etc/shop/cron.env; echo OPS_ADDR=nowhere >> /etc/shop/cron.env'
inside systemctl restart shop-cron || true
eventually "wrong settings end it" 20 inside systemctl is-failed shop-cron
[ "$(property shop-cron ExecMainStatus)" = 64 ] && [ "$(property shop-cron NRestarts)" = 0 ] || fail "wrong settings are not tried again"
inside rm /etc/shop/cron.env
inside systemctl restart shop-cron
echo "systemd: wrong settings ended with 64 and were not tried again"

begin=$SECONDS
inside systemctl stop shop.target
for unit in $units; do
    eventually "$unit ends" 45 bash -c "[ \"\$(docker exec $name systemctl is-active $unit)\" = inactive ]"
    [ "$(property "$unit" Result)" = success ] || fail "$unit ended with $(property "$unit" Result)"
done
echo "systemd: everything ended with success within $((SECONDS - begin)) s"
