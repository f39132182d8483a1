#!/bin/bash
# Builds `kube`, the programs of a Kubernetes cluster in one file, unless it is
# in the cache, and prints its path. The name in the cache is a hash of what it
# is built from, so a change of a version never meets an old build.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"

# Where the installer of go.dev puts it, for shells that do not look there.
PATH=$PATH:/usr/local/go/bin

say() { echo "e2e/cluster: $*" >&2; }

# Without these, the API server's version is not a version, and clients refuse it.
version=v$(awk '$1 == "k8s.io/kubernetes" { sub("^v", "", $2); print $2; exit }' go.mod)
minor=${version#v1.}
minor=${minor%%.*}
package=k8s.io/component-base/version
flags="-s -w"
for pair in "gitVersion=$version" gitMajor=1 "gitMinor=$minor" gitTreeState=clean \
  gitCommit=0000000000000000000000000000000000000000 buildDate=1970-01-01T00:00:00Z; do
  flags+=" -X $package.$pair"
done

hash=$({ cat go.mod go.sum main.go; echo "$flags" "$(uname -sm)"; } | sha256sum | cut -c1-16)
folder=${FLIGHTGATE_CACHE:-$HOME/.cache/flightgate}/cluster/$hash
program=$folder/kube
if [ -x "$program" ]; then
  echo "$program"
  exit
fi

if ! command -v go >/dev/null; then
  say "the tests on a real API server build Kubernetes $version from source, and Go is missing." \
    "Install Go 1.24 or newer (https://go.dev/dl), or set FLIGHTGATE_E2E_KUBECONFIG to use a cluster that you have."
  exit 1
fi

mkdir -p "$folder"
exec 9>"$folder/lock"
if ! flock -n 9; then
  say "another build is under way; waiting for it"
  flock 9
fi
if [ -x "$program" ]; then
  echo "$program"
  exit
fi
# What killed builds left behind.
rm -f "$folder"/kube.new.*

started=$SECONDS
say "building Kubernetes $version once (a minute if Go has compiled it before, else about seven on two cores)"
export CGO_ENABLED=0
if ! go mod download 9>&-; then
  say "the modules could not be downloaded. They need Go 1.24 or newer (this is $(go env GOVERSION)) and a module proxy (GOPROXY is $(go env GOPROXY | sed 's#//[^/@]*@#//#g'))."
  exit 1
fi
packages=$(go list -deps . | wc -l)
new=$folder/kube.new.$$
trap 'rm -f "$new"' EXIT
go build -v -trimpath -buildvcs=false -ldflags "$flags" -o "$new" . 9>&- 2>&1 |
  awk -v all="$packages" '
    /^[^ #:]+$/ { if (++n % 100 == 0) print "e2e/cluster: compiled " n " packages (of at most " all ")"; next }
    { print }
    { fflush() }' >&2
mv "$new" "$program"
say "built in $((SECONDS - started)) s"
echo "$program"
