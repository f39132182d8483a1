#!/usr/bin/env bash
# Does `make demo` keep its word? Starts it in a fresh folder on a free port,
# runs the lines that it prints exactly as they stand there, stops it, starts it
# again, and looks at what is left.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    printf 'demo/check: %s\n' "$*" >&2
    [ ! -s "$work/out" ] || tail -n 30 "$work/out" >&2
    exit 1
}
work="$(mktemp -d)"
demo=
cleanup() {
    [ -z "$demo" ] || kill -TERM "$demo" 2>/dev/null || true
    [ -z "$demo" ] || wait "$demo" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

port=18443
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
# A name that a shell would take apart, if it were not quoted.
export DEMO_PORT="$port" DEMO_DIR="$work/a demo's folder"
env="$DEMO_DIR/demo.env"

start() {
    make --no-print-directory demo >"$work/out" 2>&1 &
    demo=$!
    # The first time it builds.
    local tries=9000
    until [ -e "$env" ]; do
        kill -0 "$demo" 2>/dev/null || { demo=; fail "it ended before it was ready"; }
        [ "$tries" -gt 0 ] || fail "not ready after 30 minutes"
        tries=$((tries - 1))
        sleep 0.2
    done
}
# The processes of the demo, by what they run and in which folder.
survivors() {
    local file arguments
    for file in /proc/[0-9]*/cmdline; do
        mapfile -d '' arguments 2>/dev/null <"$file" || continue
        case "${arguments[0]:-}" in
            */flightgate-gateway | */flights-api) ;;
            *) continue ;;
        esac
        if [[ "${arguments[*]}" == *"$DEMO_DIR"* ]]; then printf '%s ' "$file"; fi
    done 2>/dev/null
}
stop() {
    local began=$SECONDS
    kill -TERM "$demo"
    wait "$demo" || true
    demo=
    [ $((SECONDS - began)) -le 8 ] || fail "it took $((SECONDS - began)) s to stop"
    [ ! -e "$env" ] || fail "demo.env outlived the demo"
    local left
    left="$(survivors)"
    [ -z "$left" ] || fail "still running: $left"
}
# The lines between `set -a` and the next empty one.
printed() { sed -n '/^  set -a;/,/^$/p' "$work/out"; }

start
[ "$(stat -c %a "$env")" = 600 ] || fail "others can read demo.env"
first_id="$(bash -c '. "$1"; echo "$CLIENT_ID"' - "$env")"
printed >"$work/paste"
bash -euo pipefail "$work/paste" >"$work/pasted" 2>&1 || fail "the printed lines failed: $(cat "$work/pasted")"
grep -q '"flights"' "$work/pasted" || fail "no list of flights: $(cat "$work/pasted")"
grep -q 'byte for byte' "$work/pasted" || fail "no file came back: $(cat "$work/pasted")"
{ printed | head -n 2; echo 'echo "$TOKEN"'; } >"$work/paste-token"
token="$(bash -euo pipefail "$work/paste-token")"

# A device's pilot, as far as it goes without a browser.
{ printed | head -n 1; sed -n '/^  DEVICE=/,/^$/p' "$work/out"; } >"$work/paste"
link="$(bash -euo pipefail "$work/paste")"
[[ "$link" == "https://localhost:$port/device?user_code="* ]] || fail "no link for the device: $link"
password="$(sed -n 's/.*as anna with the password \([^,]*\),.*/\1/p' "$work/out")"
[ ${#password} = 20 ] || fail "no password for anna: $password"

if DEMO_DIR="$work/second" demo/run.sh >"$work/taken" 2>&1; then fail "a taken port went unnoticed"; fi
[ "$(wc -l <"$work/taken")" = 1 ] || fail "more than one sentence on a taken port: $(cat "$work/taken")"
[ ! -e "$work/second" ] || fail "a demo that could not start left a folder"
stop

start
[ "$(bash -c '. "$1"; echo "$CLIENT_ID"' - "$env")" = "$first_id" ] || fail "a second start changed the client id"
grep -qF "$password" "$work/out" || fail "a second start changed the password"
kept="$(bash -c '. "$1"; curl -sS --cacert "$FLIGHTGATE_CA" -H "Authorization: Bearer $2" "$FLIGHTGATE_URL/api/v1/flights" | jq ".flights | length"' - "$env" "$token")"
[ "$kept" = 1 ] || fail "after a restart the token and the flight should still be there, and the answer was $kept"
stop
echo "demo/check: ok"
