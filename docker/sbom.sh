#!/usr/bin/env bash
# The bill of materials of our binaries as CycloneDX, from Cargo.lock by cargo-sbom (built on first use).
#   docker/sbom.sh FILE
set -euo pipefail
cd "$(dirname "$0")/.."
file=$1
cargo sbom --version > /dev/null 2>&1 || cargo install cargo-sbom --version 0.10.0 --locked --quiet
mkdir -p "$(dirname "$file")"
cargo sbom --output-format cyclone_dx_json_1_6 > "$file"
