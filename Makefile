# `make` lists what there is. Builds go to one cache outside of the clone, so
# that a second clone, a test and a demo share their dependencies; set
# CARGO_TARGET_DIR to build elsewhere.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

FLIGHTGATE_CACHE ?= $(HOME)/.cache/flightgate
CARGO_TARGET_DIR ?= $(FLIGHTGATE_CACHE)/target
export FLIGHTGATE_CACHE CARGO_TARGET_DIR
# Where rustup puts cargo, for shells that have not read its profile yet.
export PATH := $(PATH):$(HOME)/.cargo/bin

.PHONY: help demo test e2e bench lint format clippy drift charts deny doc crds install claim

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Two clones that share a target folder would run each other's programs: cargo
# tells a member's state by its path within the workspace and by file times.

claim: install
	@mkdir -p "$(CARGO_TARGET_DIR)"; mark="$(CARGO_TARGET_DIR)/clone"; \
	if [ "$$(cat "$$mark" 2>/dev/null)" != "$(CURDIR)" ]; then \
		cargo clean --quiet --locked --workspace; echo "$(CURDIR)" >"$$mark"; \
	fi

# `exec`, so that a signal to make reaches the script.
demo: claim ## run gateway and flights-api on loopback until Ctrl-C (DEMO_DIR, DEMO_PORT)
	@exec demo/run.sh

# The tests in tests/ and e2e/ drive the binaries, so those come first. Both
# steps name the tests: they share one set of features, and nothing is built
# twice.
test: export FLIGHTGATE_E2E_BINARIES = $(CARGO_TARGET_DIR)/debug
test: install claim ## build everything and run every test, on a real API server too
	@[ -n "$${FLIGHTGATE_E2E_KUBECONFIG:-$${KUBECONFIG:-}}" ] || e2e/cluster/build.sh >/dev/null
	if scripts/install.sh node npm; then \
		for each in providers clients; do tests/$$each/run.sh --install || [ $$? = 77 ]; done; \
	fi
	scripts/install.sh chromium || true
	cargo build --locked --workspace --bins --tests
	cargo test --locked --workspace

e2e: export FLIGHTGATE_E2E_BINARIES = $(CARGO_TARGET_DIR)/debug
e2e: install claim ## the tests on an API server alone (KUBECONFIG: on that cluster)
	cargo build --locked --workspace --bins --tests
	cargo test --locked -p flightgate-e2e

bench: ## measure side by side with nginx, haproxy and Envoy (ARGS="--help")
	@bench/run.sh $(ARGS)
	$(if $(ARGS),,cargo bench --locked -p flightgate-gateway)

lint: format clippy drift charts deny doc ## format, clippy, CRD drift, chart, dependencies, docs

format: ## is everything formatted?
	cargo fmt --all --check

clippy: claim ## clippy, with warnings as errors
	cargo clippy --locked --workspace --all-targets -- -D warnings

# Built as for the tests, for `-p crds` alone would build kube a second time with
# other features. `make crds` does that: it must work while others do not compile.
drift: claim ## do the CRDs in crds/yaml match the types?
	cargo build --locked --workspace --bins --tests
	@fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	"$$CARGO_TARGET_DIR/debug/crdgen" "$$fresh"; \
	diff -r "$$fresh" crds/yaml || { echo "crds/yaml is not what the types say: run make crds" >&2; exit 1; }

charts: ## lint and render the Helm chart
	@exec scripts/charts.sh

deny: ## licences, sources, duplicates, advisories of the dependencies
	@exec scripts/deny.sh

doc: claim ## the API documentation, with warnings as errors
	RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" cargo doc --locked --workspace --no-deps --document-private-items

crds: claim ## write the CRDs into crds/yaml and the chart
	cargo run --locked --quiet -p crds --bin crdgen -- crds/yaml
	cp crds/yaml/*.yaml charts/flightgate/crds/

install:
	@scripts/install.sh cc certificates
