# What the end-to-end tests share: an app of its own for each test (or file), the real programs,
# and nothing left behind.
#
# $app is the app's directory, $up the process of `paranoid up`, $up_log what it says.

: "${PARANOID_BIN:=$BATS_TEST_DIRNAME/../../build/bin}"
export PARANOID_BIN
source_directory=$BATS_TEST_DIRNAME/../..
tools=$source_directory/build/release/tests  # of this folder's C sources

paranoid() { "$PARANOID_BIN/paranoid" "$@"; }
client() { python3 "$BATS_TEST_DIRNAME/client.py" "$@"; }

# No verdict is about time: so long a machine may stand still, or be busy with others.
patience_s=120

# until_true COMMAND...: wait for a condition. Fails when it does not come true.
until_true() {
    local deadline=$((SECONDS + patience_s))
    until "$@"; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            echo "waited in vain for: $*" >&2
            return 1
        fi
        sleep 0.02
    done
}

# copy_running FROM TO: of an app that runs; a file of its may go before it is copied.
copy_running() {
    rm -rf "$2"
    cp -r "$1" "$2"
}

# ---- processes ----

children_of() { cat /proc/"$1"/task/*/children 2>/dev/null || true; }

# The process, and all that descend from it.
family_of() {  # PID
    local child
    echo "$1"
    for child in $(children_of "$1"); do
        family_of "$child"
    done
}

is_gone() {  # PID...: neither runs nor waits to be buried by us
    local pid state
    for pid in "$@"; do
        state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$pid/status" 2>/dev/null) || true
        if [ -n "$state" ] && [ "$state" != Z ]; then
            return 1
        fi
    done
}

# ---- the app ----

make_app() {  # DIR
    app=$1
    up_log=$1.log
    paranoid init "$app" --name e2e >"$1.init" || return 1
}

# Start it and wait until each worker answers. Options are those of `paranoid up`.
start_app() {
    launch_app "$@"
    client ready --app "$app" --pid "$up" || {
        tail -n 50 "$up_log" >&2
        return 1
    }
}

launch_app() {
    rm -f "$app/host/host.json"  # of one that was killed
    "$PARANOID_BIN/paranoid" up --app "$app" --port 0 "$@" >>"$up_log" 2>&1 </dev/null 3>&- &
    up=$!
}

# Stop it as Ctrl-C does. The status is that of `paranoid up`.
stop_app() {
    local family
    family=$(family_of "$up")
    kill -INT "$up"
    local status=0
    wait "$up" || status=$?
    # shellcheck disable=SC2086
    until_true is_gone $family || return 99
    up=
    return $status
}

kill_app() {
    local family
    if [ -n "${up-}" ]; then
        family=$(family_of "$up")
        # shellcheck disable=SC2086
        kill -9 $family 2>/dev/null || true
        wait "$up" 2>/dev/null || true
        # shellcheck disable=SC2086
        until_true is_gone $family
        up=
    fi
}

# Numbers of host.json, which is one line.
host_number() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" "$app/host/host.json"; }
base_port() { host_number base_port; }
worker_port() { sed -n 's/.*"worker_ports":\[\([^]]*\)\].*/\1/p' "$app/host/host.json" | cut -d, -f$(($1 + 1)); }

# A page of the host's own numbers: /status, /metrics.
host_page() { curl -sS --noproxy '*' --max-time 30 "http://127.0.0.1:$(host_number metrics_port)$1"; }

# One line for each enclave: role, index, state, process, restarts.
enclaves() {
    host_page /status | python3 -c '
import json, sys
for e in json.load(sys.stdin)["enclaves"]:
    print(e["role"], e["index"], e["state"], e["pid"], e["restarts"])'
}

# The process of an enclave that runs.
enclave_pid() {  # ROLE INDEX
    enclaves | sed -n "s/^$1 $2 [a-z]* \([0-9]*\) .*/\1/p"
}

# What a restarted enclave has to show: another process, ready again.
is_replaced() {  # ROLE INDEX OLD_PID
    local line
    line=$(enclaves 2>/dev/null | grep "^$1 $2 ready ") || return 1
    [ "$(echo "$line" | cut -d' ' -f4)" != "$3" ]
}

# curl to a worker (or "base"), as anybody would; the token is in $app.auth.
worker_url() {  # WORKER PATH
    local port
    if [ "$1" = base ]; then port=$(base_port); else port=$(worker_port "$1"); fi
    echo "https://localhost:$port$2"
}

# request WORKER PATH [CURL OPTION]...: with the owner's token.
request() {
    local url
    url=$(worker_url "$1" "$2")
    shift 2
    curl -sS --noproxy '*' --max-time 30 --cacert "$app/tls-root.pem" -H "@$(auth_file)" "$@" "$url"
}

# The same; prints the status. The body and the headers are in $body and $headers, which are files.
body=${BATS_TEST_TMPDIR-}/body
headers=${BATS_TEST_TMPDIR-}/headers
request_status() {
    : >"$body"
    request "$@" -o "$body" -D "$headers" -w '%{http_code}'
}

auth_file() {
    if [ ! -s "$app.auth" ]; then
        (umask 077 && printf 'Authorization: Bearer %s\n' "$(paranoid token --app "$app")" >"$app.auth")
    fi
    echo "$app.auth"
}

header() {  # NAME: from $headers
    tr -d '\r' <"$headers" | sed -n "s/^$1: //Ip"
}

error_code() {  # of $body
    python3 -c 'import json,sys; e = json.load(open(sys.argv[1])); assert set(e) == {"error"} and set(e["error"]) == {"code", "message"}, e; print(e["error"]["code"])' "$body"
}

# deploy NAME [OPTION]... <SOURCE
deploy() {
    local name=$1
    shift
    cat >"$BATS_TEST_TMPDIR/$name.js"
    paranoid deploy "$BATS_TEST_TMPDIR/$name.js" --name "$name" --app "$app" "$@"
}

# Wait until each worker serves the function, and with it all that were deployed before.
wait_for_function() {  # NAME
    client known --app "$app" --function "$1"
}
