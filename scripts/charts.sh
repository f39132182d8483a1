#!/usr/bin/env bash
# Lints and renders the chart with each file of values in its folder ci, and
# checks that it brings the definitions of crds and refuses what it must.
set -euo pipefail
cd "$(dirname "$0")/.."

helm="$(scripts/helm.sh)"
chart=charts/flightgate
kube=(--kube-version 1.34)

fail() { printf '%s\n' "$*" >&2; exit 1; }

diff -r crds/yaml "$chart/crds" || fail "the chart's definitions are not those of crds: run make crds"
for values in "$chart"/ci/*.yaml; do
    "$helm" lint --strict --quiet "${kube[@]}" --values "$values" "$chart"
    objects="$("$helm" template fg "$chart" "${kube[@]}" --values "$values" | grep -c '^kind: ')"
    printf '%s: %s objects\n' "$values" "$objects"
done
# Where namespaces are left out, where a key is unknown, where a type is another.
for bad in --set=operator.replicas=2 --set=namespaces={a},gatway.enabled=true --set=namespaces={a},gateway.service.port=x --set=namespaces={}; do
    if said="$("$helm" template fg "$chart" "${kube[@]}" "$bad" 2>&1)"; then
        fail "helm accepts $bad"
    fi
    printf 'refused: %s\n' "$(tail -n +2 <<<"$said" | grep -E '^(- |  )' | head -n 1)"
done
