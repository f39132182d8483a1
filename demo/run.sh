#!/usr/bin/env bash
# `make demo`: builds, compiles examples/we-fly into DEMO_DIR, and runs
# flights-api and the gateway on loopback until Ctrl-C.
#
#   DEMO_DIR   where everything is kept (default target/demo); a second start
#              finds its data, credentials, keys and tokens again
#   DEMO_PORT  the gateway's public port (default 8443); the other ports are the
#              usual ones, or the next free ones
#
# DEMO_DIR/demo.env is there exactly while the demo is ready.
#
# The dev profile: its dependencies are optimised, `make test` builds the same
# ones, and a first build with the release profile's LTO would take minutes more
# for speed that a demo does not show. `make bench` measures release builds.
set -euo pipefail
cd "$(dirname "$0")/.."

port="${DEMO_PORT:-8443}"
target="${CARGO_TARGET_DIR:-${FLIGHTGATE_CACHE:-$HOME/.cache/flightgate}/target}"
export CARGO_TARGET_DIR="$target"
example=examples/we-fly
sample=flights-api/tests/igc/aerofiles__tests_igc_data_xctrack-2020-09-04.igc
children=()
build=
ready=no

fail() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

# Whether somebody listens on this port of this machine.
is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

[[ "$port" =~ ^[1-9][0-9]{0,4}$ ]] && [ "$port" -le 65535 ] ||
    fail "DEMO_PORT is $port: expected a port from 1 to 65535"
if is_taken "$port"; then
    fail "port $port is taken by another process: stop that one, or choose another with DEMO_PORT=8444 make demo"
fi

scripts/install.sh cc certificates curl jq

dir="${DEMO_DIR:-target/demo}"
install -d -m 700 "$dir"
dir="$(cd "$dir" && pwd)"
umask 077

exec 8>"$dir/.lock"
flock -n 8 || fail "another demo runs in $dir: stop that one, or choose another folder with DEMO_DIR"

# With the end of this script, whatever the reason, everything ends.
stop() {
    trap '' INT TERM HUP
    rm -f "$dir/demo.env"
    # A group of its own: cargo does not pass a signal on to its compilers.
    [ -z "$build" ] || kill -TERM -- "-$build" 2>/dev/null || true
    [ ${#children[@]} -gt 0 ] || return 0
    kill -TERM "${children[@]}" 2>/dev/null || true
    local tries=50 child
    while [ "$tries" -gt 0 ] && kill -0 "${children[@]}" 2>/dev/null; do
        sleep 0.1
        tries=$((tries - 1))
    done
    # What was acknowledged is on disk: this loses requests under way at most.
    for child in "${children[@]}"; do
        if kill -KILL "$child" 2>/dev/null; then echo "demo: process $child did not end in 5 s and was killed" >&2; fi
    done
    wait "${children[@]}" 2>/dev/null || true
    rm -f "$dir/gateway.ready" "$dir/flights-api.ready"
}
interrupted() {
    if [ "$ready" = yes ]; then
        printf '\ndemo: stopped. Everything is kept in %s\n' "$dir"
        exit 0
    fi
    exit 130
}
trap stop EXIT
trap interrupted INT TERM HUP

rm -f "$dir/demo.env" "$dir/gateway.ready" "$dir/flights-api.ready"

echo "Building (the first time this takes some minutes) …"
# In the background, because bash hears signals only between commands.
setsid cargo build --locked -p flightgate-gateway -p flightgate-operator -p flights-api 8>&- &
build=$!
wait "$build" || fail "the build failed"
build=

# Two demos that start at once must not choose the same ports: whoever holds
# this lock chooses, and starts listening.
exec 9>"$target/demo-ports.lock"
flock 9 &
wait $!

chosen=("$port")
choose() {
    local candidate="$1"
    while is_taken "$candidate" || [[ " ${chosen[*]} " == *" $candidate "* ]]; do
        candidate=$((candidate + 1))
    done
    chosen+=("$candidate")
    found="$candidate"
}
choose 9900; admin="$found"
choose 9901; internal="$found"
choose 8080; flights="$found"

sed -E \
    -e "s#^issuer: .*#issuer: https://localhost:$port#" \
    -e "s#^( +public: 127\.0\.0\.1):[0-9]+#\1:$port#" \
    -e "s#^( +admin: 127\.0\.0\.1):[0-9]+#\1:$admin#" \
    -e "s#^( +internal: 127\.0\.0\.1):[0-9]+#\1:$internal#" \
    -e "s#^( +upstream: http://127\.0\.0\.1):[0-9]+#\1:$flights#" \
    "$example/gateway.yaml" >"$dir/gateway.yaml"

"$target/debug/flightgate-operator" compile --manifests "$example/manifests" \
    --config "$dir/gateway.yaml" --out "$dir/out" >"$dir/compile.log" 2>&1 ||
    { cat "$dir/compile.log" >&2; fail "the manifests were not compiled"; }

# Even a SIGKILL of this script ends them, where the kernel can promise that.
tied=()
if setpriv --pdeathsig TERM true 2>/dev/null; then tied=(setpriv --pdeathsig TERM); fi

start() {
    local name="$1"
    shift
    "${tied[@]}" "$target/debug/$name" "$@" >"$dir/$name.log" 2>&1 </dev/null 8>&- 9>&- &
    children+=($!)
}
start flights-api serve --listen "127.0.0.1:$flights" --data "$dir/flights" --issuer "https://localhost:$port" \
    --jwks-url "http://127.0.0.1:$internal/.well-known/jwks.json" --drain 3 --ready-file "$dir/flights-api.ready"
start flightgate-gateway serve --config "$dir/gateway.yaml" --resources "$dir/out/resources" \
    --ready-file "$dir/gateway.ready"

# Says which child has ended, with the end of its log.
report_the_dead() {
    local names=(flights-api flightgate-gateway) i status
    for i in 0 1; do
        kill -0 "${children[i]}" 2>/dev/null && continue
        status=0
        wait "${children[i]}" 2>/dev/null || status=$?
        printf '\ndemo: %s ended by itself (status %s). The end of %s:\n' \
            "${names[i]}" "$status" "$dir/${names[i]}.log" >&2
        tail -n 15 "$dir/${names[i]}.log" >&2
    done
    exit 1
}

tries=300
until [ -s "$dir/flights-api.ready" ] && [ -s "$dir/gateway.ready" ]; do
    kill -0 "${children[0]}" 2>/dev/null && kill -0 "${children[1]}" 2>/dev/null || report_the_dead
    [ "$tries" -gt 0 ] || fail "not ready after 30 s: see the logs in $dir"
    tries=$((tries - 1))
    sleep 0.1
done
exec 9>&-

# Somebody to sign in as. Her password is made once and kept beside her account;
# if it was lost between the two, she gets another one.
if [ ! -s "$dir/anna.password" ]; then
    user() { "$target/debug/flightgate-gateway" user "$@" --config "$dir/gateway.yaml" 2>>"$dir/users.log" </dev/null | sed -n 's/^password: //p'; }
    password="$(user add anna --subject pilot:anna || user reset anna)" ||
        fail "the user anna was not made: see $dir/users.log"
    printf '%s\n' "$password" >"$dir/anna.password"
fi
password="$(cat "$dir/anna.password")"

# As it is where no shell would look at it twice, else between single quotes.
quote() {
    case "$1" in
        *[!A-Za-z0-9_./:=@%+,-]*) printf "'%s'" "${1//\'/\'\\\'\'}" ;;
        *) printf '%s' "$1" ;;
    esac
}
credential() { sed -n "s/^$2=//p" "$dir/out/credentials/partners.$1-credentials.env"; }
client_id="$(credential acme CLIENT_ID)"
client_secret="$(credential acme CLIENT_SECRET)"
device_client="$(credential flight-computer CLIENT_ID)"

{
    echo "FLIGHTGATE_URL=https://localhost:$port"
    echo "FLIGHTGATE_CA=$(quote "$dir/keys/ca.crt")"
    echo "FLIGHTGATE_ADMIN_URL=http://127.0.0.1:$admin"
    echo "CLIENT_ID=$client_id"
    echo "CLIENT_SECRET=$client_secret"
    echo "DEVICE_CLIENT_ID=$device_client"
    echo "SAMPLE_IGC=$(quote "$PWD/$sample")"
} >"$dir/demo.env.new"
mv "$dir/demo.env.new" "$dir/demo.env"
ready=yes

cat <<EOF

Flightgate is ready: https://localhost:$port

The partner "Acme Soaring" of $example has
  client id      $client_id
  client secret  $client_secret

Paste this into another terminal. Get a token, upload a flight, list the flights, download the file:

  set -a; . $(quote "$dir/demo.env"); set +a
  TOKEN=\$(curl -sS --cacert "\$FLIGHTGATE_CA" -u "\$CLIENT_ID:\$CLIENT_SECRET" -d grant_type=client_credentials "\$FLIGHTGATE_URL/api/oauth/token" | jq -r .access_token)
  ID=\$(curl -sS --cacert "\$FLIGHTGATE_CA" -H "Authorization: Bearer \$TOKEN" -F "file=@\$SAMPLE_IGC" "\$FLIGHTGATE_URL/api/v1/flights" | jq -r .id)
  curl -sS --cacert "\$FLIGHTGATE_CA" -H "Authorization: Bearer \$TOKEN" "\$FLIGHTGATE_URL/api/v1/flights" | jq .
  curl -sS --cacert "\$FLIGHTGATE_CA" -H "Authorization: Bearer \$TOKEN" "\$FLIGHTGATE_URL/api/v1/flights/\$ID.igc" | cmp - "\$SAMPLE_IGC" && echo "the same file, byte for byte"

The "Flight Computer X1" has no keyboard, so its pilot allows it in a browser. Get its link:

  DEVICE=\$(curl -sS --cacert "\$FLIGHTGATE_CA" -d "client_id=\$DEVICE_CLIENT_ID" "\$FLIGHTGATE_URL/api/oauth/device_authorization")
  echo "\$DEVICE" | jq -r .verification_uri_complete

Open it (the browser warns: the certificate is the demo's own), sign in as anna with the password $password, and allow it. Then the computer gets a token, and uploads a flight for her:

  TOKEN=\$(curl -sS --cacert "\$FLIGHTGATE_CA" -d "client_id=\$DEVICE_CLIENT_ID" -d grant_type=urn:ietf:params:oauth:grant-type:device_code -d "device_code=\$(echo "\$DEVICE" | jq -r .device_code)" "\$FLIGHTGATE_URL/api/oauth/token" | jq -r .access_token)
  curl -sS --cacert "\$FLIGHTGATE_CA" -H "Authorization: Bearer \$TOKEN" -F "file=@\$SAMPLE_IGC" "\$FLIGHTGATE_URL/api/v1/flights" | jq .

What anna has allowed: https://localhost:$port/account
More to try, a web application too:
                       $example/README.md
Metrics: curl http://127.0.0.1:$admin/metrics
Logs:    $dir/*.log
Ctrl-C stops everything; the next make demo finds it again.
EOF

wait -n "${children[@]}" 2>/dev/null || true
report_the_dead
