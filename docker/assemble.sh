#!/bin/sh
# Puts together what goes into the images, from a folder of built binaries:
#   docker/assemble.sh FOLDER OUT
# OUT/bin/<service> and OUT/sim/provider-sim, stripped of debugging tables; OUT/root, what all images have: the libraries that the binaries are
# linked to, certificates of public authorities, names, folders to write in. Run by docker/Dockerfile, and by docker/images.sh for binaries that
# were built elsewhere.
set -eu
folder=$1 out=$2
mkdir -p "$out/bin" "$out/sim" "$out/root/etc/ssl/certs" "$out/root/tmp" "$out/root/var/spool/redirector"
for name in redirector webhooks notifier cashback-sync cron admin; do strip -g -o "$out/bin/$name" "$folder/$name"; done
strip -g -o "$out/sim/provider-sim" "$folder/provider-sim"
for binary in "$out"/bin/* "$out"/sim/*; do ldd "$binary"; done | grep -o '/[^ ]*' | sort -u | xargs -I '{}' cp -L --parents '{}' "$out/root"
cp /etc/ssl/certs/ca-certificates.crt "$out/root/etc/ssl/certs/"
echo 'hosts: files dns' > "$out/root/etc/nsswitch.conf"
echo 'shop:x:65532:65532::/:/' > "$out/root/etc/passwd"
echo 'shop:x:65532:' > "$out/root/etc/group"
chmod 1777 "$out/root/tmp"
chown -R 65532:65532 "$out/root/var/spool/redirector"
