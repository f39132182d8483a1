#!/usr/bin/env bash
# Checks the dependencies by deny.toml. Installs cargo-deny if it is missing.
#
# Licences, bans and sources need nothing but Cargo.lock. Advisories need the
# RustSec database, a git repository; where it cannot be fetched, that is said
# and the others still count.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
tools="${FLIGHTGATE_CACHE:-$HOME/.cache/flightgate}/tools"
export PATH="$tools/bin:$PATH" GIT_TERMINAL_PROMPT=0

if ! command -v cargo-deny >/dev/null; then
    printf 'Installing cargo-deny %s …\n' "$version" >&2
    # Its speed does not matter here, the time to build it does.
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
        cargo install --quiet --locked --root "$tools" --version "$version" cargo-deny
fi

cargo deny --log-level error check licenses bans sources

if timeout 60 cargo deny --log-level off fetch db </dev/null >/dev/null 2>&1; then
    cargo deny --log-level error check --disable-fetch advisories
else
    echo "advisories not checked: the RustSec database cannot be fetched from here"
fi
