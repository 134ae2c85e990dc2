#!/usr/bin/env bash
# Fetches axe-core (MPL-2.0), with which the browser tests judge every page, into target/axe. It is used there and shipped nowhere.
set -euo pipefail
version=4.14.1
cd "$(dirname "$0")/../.."
[ "$(cat target/axe/version 2>/dev/null)" = "$version" ] && exit 0
mkdir -p target/axe
cd target/axe
echo "Fetching axe-core $version…"
npm pack --silent "axe-core@$version" >/dev/null
tar xzf "axe-core-$version.tgz" --strip-components=1 package/axe.min.js
rm "axe-core-$version.tgz"
echo "$version" >version
