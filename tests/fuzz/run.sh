#!/usr/bin/env bash
# run.sh [SECONDS [TARGET…]]: fuzzes each target for so long (60), one after the other, on one core. Needs neither nightly nor
# cargo-fuzz: coverage is asked of the compiler directly. With cargo-fuzz: RUSTC_BOOTSTRAP=1 cargo fuzz run -s none TARGET.
#
# What is found lies in target/fuzz/findings/TARGET and ends the run with an error; `run.sh 0 TARGET` only runs what is there.
# A run begins with what earlier runs found worth keeping (corpora/TARGET.tar.gz); `KEEP=1 run.sh …` packs it anew, minimised.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(basename -s .rs -a fuzz_targets/*.rs)
# libFuzzer is C++.
command -v c++ >/dev/null || { echo "Missing here: a C++ compiler (Debian: apt-get install g++)" >&2; exit 1; }

# With --target, build scripts and macros are built without what follows.
host=$(rustc -vV | sed -n 's/^host: //p')
place=$(cd ../.. && pwd)/target/fuzz
coverage="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
RUSTFLAGS="$(tr -s ' \n' ' ' <<<"$coverage")" CARGO_TARGET_DIR=$place cargo build --locked --quiet --release --target "$host"

# What earlier runs kept, beside what this machine has found since.
unpack() {
    [ ! -f "corpora/$1.tar.gz" ] || tar -xzf "corpora/$1.tar.gz" -C "$place/corpus/$1" --skip-old-files
}

# The least inputs that reach all that was reached; the same bytes for the same inputs.
pack() {
    local minimal
    minimal=$(mktemp -d)
    "$place/$host/release/$1" -set_cover_merge=1 -max_len=65536 "$minimal" "$place/corpus/$1" "seeds/$1" 2>/dev/null
    mkdir -p corpora
    tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=644 -cf - -C "$minimal" $(ls "$minimal") |
        gzip -n9 >"corpora/$1.tar.gz"
    rm -rf "$minimal"
}

found=0
for target in "${targets[@]}"; do
    corpus=$place/corpus/$target findings=$place/findings/$target
    mkdir -p "$corpus" "$findings"
    unpack "$target"
    length=(-max_total_time="$seconds")
    [ "$seconds" != 0 ] || length=(-runs=0)
    echo "$target for $seconds s"
    # Of a body of 1 MiB the first 64 KiB say enough; what takes longer than 5 s is a finding as well.
    "$place/$host/release/$target" "${length[@]}" -max_len=65536 -timeout=5 -rss_limit_mb=4096 -print_final_stats=1 \
        -artifact_prefix="$findings/" "$corpus" "seeds/$target" 2>"$findings/log" || { found=1; echo "  FOUND something: $findings"; }
    grep -hE "^(stat::number_of_executed_units|stat::slowest_unit|stat::peak_rss)|panicked|Assertion" "$findings/log" | sed 's/^/  /' || true
    [ -z "${KEEP:-}" ] || pack "$target"
done
exit $found
