#!/usr/bin/env bash
# Sees to it that what the demo needs is on this machine: cargo with nextest, Redis, Postgres; with the word `tests`, also what
# only tests need: Chromium with its driver, axe-core, openssl, and the checker of alert rules.
# Installs what is missing where it can (Debian and root), and else says what to do. Running it again costs nothing.
set -euo pipefail

missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || missing+=(postgresql)
command -v cc >/dev/null || missing+=(gcc)
command -v setpriv >/dev/null || missing+=(util-linux)
# The shell has a kill of its own; the tests need the program.
type -P kill >/dev/null || missing+=(procps)
if [ "${1:-}" = tests ]; then
    command -v chromium >/dev/null || missing+=(chromium)
    command -v chromedriver >/dev/null || missing+=(chromium-driver)
    command -v npm >/dev/null || missing+=(npm)
    command -v openssl >/dev/null || missing+=(openssl)
    # Its server is not started: only the checker of its rules is needed.
    command -v promtool >/dev/null || missing+=(prometheus)
fi

if [ ${#missing[@]} -gt 0 ]; then
    if ! command -v apt-get >/dev/null; then
        echo "Missing here: ${missing[*]}. Install them with your package manager, then run this again." >&2
        exit 1
    fi
    as_root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || { echo "Missing here: ${missing[*]}. As root: apt-get install ${missing[*]}" >&2; exit 1; }
        as_root=(sudo)
    fi
    echo "Installing ${missing[*]} (Debian packages)…"
    "${as_root[@]}" apt-get update -qq
    # The servers are started by us, privately; the package must not start its own.
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

command -v cargo >/dev/null || { echo "Missing here: Rust. Install the toolchain that Cargo.toml's rust-version names, with clippy and rustfmt." >&2; exit 1; }
if ! cargo nextest --version >/dev/null 2>&1; then
    echo "Installing cargo-nextest (built from source, some minutes, once)…"
    cargo install cargo-nextest --locked --quiet
fi
[ "${1:-}" != tests ] || bash "$(dirname "$0")/axe.sh"
