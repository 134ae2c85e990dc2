#!/usr/bin/env bash
# The committed description of the API is valid OpenAPI. That it is the served one, `generate --check` and the console's tests see.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=target/static-checks
[ -x $venv/bin/pip ] || python3 -m venv $venv
[ -x $venv/bin/openapi-spec-validator ] || $venv/bin/pip install -q openapi-spec-validator
$venv/bin/openapi-spec-validator docs/contracts/openapi.json
