# One verb a line; `make help` lists them. Always the whole workspace: a build of one member selects other features and
# compiles its dependencies anew.

# What tests may do and production code may not.
IN_TESTS = $(addprefix -A clippy::,unwrap_used expect_used panic indexing_slicing as_conversions cast_possible_truncation format_push_string needless_range_loop unit_arg items_after_statements semicolon_if_nothing_returned print_stdout \
	print_stderr disallowed_methods missing_panics_doc too_many_lines duration_suboptimal_units unnecessary_get_then_check type_complexity)

.PHONY: help setup demo test build lint generate bench bench-http chaos growth load soak fuzz fmt check-contracts check-deploy images \
	stack-test swarm-test systemd-test deny sbom doc clean

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:
	@bash tests/setup/prerequisites.sh

PORT ?= 8400

demo: setup ## The whole system on this machine, with a story played through it (CHECK=1: end by itself; PORT=8400)
	@echo "Building (the first time takes some minutes)…"
	@cargo build --workspace --bins
	@target/debug/demo --port $(PORT) $(if $(CHECK),--check)

test: ## Every test, on private servers that are started for the run
	@bash tests/setup/prerequisites.sh tests
	cargo build --workspace --bins
	cargo nextest run --workspace --no-tests=fail

build: ## All binaries, for development
	cargo build --workspace --bins

lint: ## Format, lints and documentation, with warnings denied
	cargo fmt --all --check
	cargo clippy --workspace --lib --bins -- -D warnings
	cargo clippy --workspace --all-targets -- -D warnings $(IN_TESTS)
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --quiet

generate: ## Write the files that are made from the code: .env.example, the reference of settings, the contracts
	cargo build --workspace --bins
	target/debug/generate .

bench: setup ## What the queue, the ledger and the outbox cost, beside peers and bare Redis and Postgres (builds in release, takes minutes)
	cargo bench --workspace --bench queue --bench ledger --bench relay

bench-http: setup ## What redirects and webhooks cost, beside nginx, actix, Bun and Fastify (builds in release, takes a quarter of an hour)
	cargo build --workspace --bins --release
	bash tests/bench/run.sh

chaos: setup ## The whole system under load while Redis, Postgres, the network, providers and services break (needs root; minutes)
	cargo build --workspace --bins
	cargo bench --workspace --profile dev --bench chaos

# What ships, unless BINARIES names a folder of binaries that are built already.
BINS_OF_RELEASE = $(if $(BINARIES),@true,cargo build --workspace --bins --release)

growth: setup ## What each hot operation costs while jobs, clicks, entries and offers grow a thousandfold (release, a quarter of an hour, 8 GB of disk)
	$(BINS_OF_RELEASE)
	cargo bench --workspace --bench performance -- growth

load: setup ## Bursts of LOAD_JOBS (10000) through 1, 2 and 4 notifiers, redirectors and cashback-syncs, beside paced runs (release; needs nginx and wrk)
	$(BINS_OF_RELEASE)
	cargo bench --workspace --bench performance -- load

soak: setup ## The whole system under steady load for SOAK_MINUTES (30): memory, files, connections and Redis' keys must stay flat (release)
	$(BINS_OF_RELEASE)
	cargo bench --workspace --bench performance -- soak

fuzz: ## Every fuzz target for SECONDS each (60); what is found ends the run
	bash tests/fuzz/run.sh $(or $(SECONDS),60)

fmt: ## Format everything
	cargo fmt --all

check-contracts: ## Whether the description of the API is valid OpenAPI
	bash tests/static/openapi.sh

check-deploy: ## What can be known of images, Compose, Kubernetes and systemd without running them
	bash tests/static/run.sh

images: ## The container image of every service
	bash docker/images.sh

stack-test: ## The production Compose file, run for real: story, scaling, kills, outages, a rolling upgrade, backup and restore (BINARIES=target/ci: what is built already)
	bash tests/stack/run.sh

swarm-test: ## The same files on a Docker Swarm of one node: story, the scaler, kills, a rolling upgrade (BINARIES=target/ci)
	bash tests/stack/run.sh swarm

systemd-test: ## The units, run for real in a container with systemd: install, watchdog, wrong settings, end (BINARIES=target/ci)
	bash tests/stack/systemd.sh $(or $(BINARIES),target/release)

deny: ## Bans, licences and sources of every crate by cargo-deny, which is built on first use (advisories: cargo deny check advisories)
	@cargo deny --version > /dev/null 2>&1 || cargo install cargo-deny --version 0.20.2 --locked --quiet
	cargo deny check bans licenses sources

sbom: ## What our binaries are made of (CycloneDX), in target/sbom.cdx.json
	bash docker/sbom.sh target/sbom.cdx.json

doc: ## The documentation of all crates, in a browser
	cargo doc --workspace --no-deps --open

clean: ## Remove what was built and what the demo left
	cargo clean
	rm -rf .local
