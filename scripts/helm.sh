#!/usr/bin/env bash
# Prints the path of the helm that the chart is tested with: the one on the PATH
# if it is of this version, else one that is built once, from its published
# module.
set -euo pipefail

version=v3.22.0
# Where the installer of go.dev puts it, for shells that do not look there.
PATH=$PATH:/usr/local/go/bin

say() { printf '%s\n' "$*" >&2; }

if found="$(command -v helm)" && [ "$(helm version --template '{{.Version}}' 2>/dev/null)" = "$version" ]; then
    echo "$found"
    exit
fi
folder="${FLIGHTGATE_CACHE:-$HOME/.cache/flightgate}/helm-$version"
if [ ! -x "$folder/helm" ]; then
    if ! command -v go >/dev/null; then
        say "The chart is tested with helm $version. Install that one, or Go 1.24 or newer (https://go.dev/dl) to have it built."
        exit 1
    fi
    mkdir -p "$folder"
    # One builds, others wait.
    exec 9>"$folder/.lock"
    flock 9
    if [ ! -x "$folder/helm" ]; then
        say "Building helm $version …"
        GOBIN="$folder" CGO_ENABLED=0 go install -trimpath -ldflags='-s -w' "helm.sh/helm/v3/cmd/helm@$version" 9>&- >&2
    fi
fi
echo "$folder/helm"
