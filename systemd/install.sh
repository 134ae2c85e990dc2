#!/usr/bin/env bash
# Puts binaries and units in their places and starts them. Run it again for an upgrade: new binaries, the schema, then one service after
# the other, each with its drain.
#   systemd/install.sh [FOLDER_WITH_BINARIES]       DESTDIR=/tmp/try only copies
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binaries=${1:-$here/../target/release}
root=${DESTDIR:-}
services="redirector webhooks cashback-sync cron admin"

for name in $services notifier; do
    [ -x "$binaries/$name" ] || { echo "$binaries/$name is not there: cargo build --release --locked --workspace --bins" >&2; exit 1; }
done
install -d -m 755 "$root/usr/lib/shop" "$root/etc/systemd/system"
install -d -m 750 "$root/etc/shop"
for name in $services notifier; do
    # Beside and renamed: a running binary is never written into.
    install -m 755 "$binaries/$name" "$root/usr/lib/shop/.$name.new"
    mv -f "$root/usr/lib/shop/.$name.new" "$root/usr/lib/shop/$name"
done
install -m 644 "$here"/*.service "$here"/*.target "$here"/*.slice "$root/etc/systemd/system/"
if [ ! -e "$root/etc/shop/shop.env" ]; then
    install -m 640 "$here/../.env.example" "$root/etc/shop/shop.env"
    echo "Fill in $root/etc/shop/shop.env, then run this again."
    exit 0
fi
[ -z "$root" ] || exit 0

systemctl daemon-reload
systemctl enable --quiet shop.target
systemctl restart shop-migrate.service
# What does not run yet is started by it; the target then starts the notifiers of a new machine.
for name in $services; do systemctl restart "shop-$name.service"; done
for instance in $(systemctl list-units --plain --no-legend 'shop-notifier@*' | cut -d' ' -f1); do systemctl restart "$instance"; done
systemctl start shop.target
systemctl --no-pager --lines=0 status 'shop-*' | grep -E '●|Active:'
