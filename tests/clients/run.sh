#!/usr/bin/env bash
# Runs one of the scripts here, with what package-lock.json names. That is
# installed once, beside the builds:
#   run.sh flows.mjs <settings.json
# Ends with 77 where there is no npm, or no Node.js 20 or newer.
set -euo pipefail
cd "$(dirname "$0")"
here="$PWD"
for need in node npm; do
    command -v "$need" >/dev/null || exit 77
done
[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || exit 77
sum="$(sha256sum package-lock.json | cut -c 1-16)"
folder="${FLIGHTGATE_CACHE:-$HOME/.cache/flightgate}/clients/$sum"
mkdir -p "$folder"
# Tests start several at once; one installs.
exec 9>"$folder/lock"
flock 9
if [ ! -e "$folder/complete" ]; then
    cp package.json package-lock.json .npmrc "$folder"
    (cd "$folder" && npm ci --ignore-scripts --silent >&2 </dev/null)
    touch "$folder/complete"
fi
exec 9>&-
[ "${1:-}" != --install ] || exit 0
# Modules are found from the folder of the file that asks for them.
own="$(mktemp -d "$folder/run.XXXXXX")"
trap 'rm -rf "$own"' EXIT
cp "$here"/*.mjs "$own"
node "$own/$1"
