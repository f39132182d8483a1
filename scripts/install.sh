#!/usr/bin/env bash
# Installs what is missing of what was asked for, from Debian's packages:
#   scripts/install.sh cc certificates curl jq
# Where that is not possible it says what to install, and ends with 1.
set -euo pipefail

say() { printf '%s\n' "$*" >&2; }

is_there() {
    case "$1" in
        certificates) [ -s /etc/ssl/certs/ca-certificates.crt ] || [ -s /etc/ssl/cert.pem ] ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

package_of() {
    case "$1" in
        cc) echo build-essential ;;
        node) echo nodejs ;;
        certificates) echo ca-certificates ;;
        *) echo "$1" ;;
    esac
}

missing=()
for need in "$@"; do
    is_there "$need" || missing+=("$(package_of "$need")")
done

if [ ${#missing[@]} -gt 0 ]; then
    root=()
    if ! command -v apt-get >/dev/null; then
        say "Please install: ${missing[*]} (by these names on Debian; there is no apt-get here)."
        exit 1
    fi
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null; then
            say "Please run as root: apt-get install ${missing[*]}"
            exit 1
        fi
        root=(sudo)
    fi
    say "Installing ${missing[*]} …"
    if ! { "${root[@]}" apt-get update -qq &&
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >&2; then
        say "That failed. Please install: ${missing[*]}"
        exit 1
    fi
fi

# Rust is not taken from Debian: its version is too old.
wanted="$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$(dirname "$0")/../Cargo.toml")"
if ! command -v cargo >/dev/null; then
    say "Please install Rust $wanted or newer: https://rustup.rs"
    exit 1
fi
found="$(cargo --version | awk '{ print $2 }')"
if [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" != "$wanted" ]; then
    say "Rust $wanted or newer is needed, and this is $found. Please run: rustup update"
    exit 1
fi
