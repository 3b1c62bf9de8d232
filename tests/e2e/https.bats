#!/usr/bin/env bats
# What a client sees: TLS, HTTP, tokens, versions. Two workers, and a second app as a stranger.
load helpers

setup_file() {
    load helpers
    make_app "$BATS_FILE_TMPDIR/app"
    start_app --workers 2
    BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR
    deploy open --public <<<"exports.handler = (event) => ({ method: event.method, body: event.body });"
    deploy echo <<<"exports.handler = (event) => event.body;"
    wait_for_function echo
    export app up up_log
}

teardown_file() {
    load helpers
    kill_app
}

raw() { python3 "$BATS_TEST_DIRNAME/raw_http.py" "$app" "$1"; }

@test "curl calls a function, puts, gets, lists and deletes keys, on the balancing port too" {
    [ "$(request 0 /function/echo --data-binary hello)" = hello ]
    [ "$(request base /function/echo --data-binary 'through the front door')" = 'through the front door' ]
    [ "$(request_status 0 /kv/curl%2Fkey -X PUT --data-binary 'a value')" = 204 ]
    [ "$(request 0 /kv/curl%2Fkey)" = 'a value' ]
    [ "$(request_status 0 /kv/curl%2Fkey)" = 200 ]
    [ -n "$(header etag)" ]
    [ -n "$(header x-paranoid-worker)" ]
    [ -n "$(header x-paranoid-version)" ]
    request 0 '/kv?prefix=curl%2F' | grep -q '"curl/key"'
    [ "$(request_status 0 /kv/curl%2Fkey -X DELETE)" = 204 ]
    [ "$(request_status 0 /kv/curl%2Fkey)" = 404 ]
    [ "$(error_code)" = not_found ]
}

@test "healthz and evidence are open to everybody" {
    local url
    url=$(worker_url 0 /healthz)
    curl -sS --noproxy '*' --cacert "$app/tls-root.pem" "$url" | grep -q '"tee":"simulated"'
    url=$(worker_url 0 "/evidence?nonce=00112233445566778899aabbccddeeff")
    [ "$(curl -sS --noproxy '*' --cacert "$app/tls-root.pem" "$url" | head -c 4)" = PVO2 ]
}

@test "no token is 401, a wrong one 403, and a public function needs none" {
    local url path code
    for path in /kv/x '/kv?prefix=' /function/echo /logs; do
        url=$(worker_url 0 "$path")
        code=$(curl -sS --noproxy '*' --cacert "$app/tls-root.pem" -o "$body" -w '%{http_code}' \
            $([ "$path" = /function/echo ] && echo -d x) "$url")
        echo "$path without a token: $code $(cat "$body")"
        [ "$code" = 401 ]
        [ -n "$(error_code)" ]
        code=$(curl -sS --noproxy '*' --cacert "$app/tls-root.pem" -o "$body" -w '%{http_code}' \
            -H "Authorization: Bearer 0000000000000000000000000000000000000000000000000000000000000000" \
            $([ "$path" = /function/echo ] && echo -d x) "$url")
        echo "$path with a wrong token: $code $(cat "$body")"
        [ "$code" = 403 ]
        [ -n "$(error_code)" ]
    done
    url=$(worker_url 0 /function/open)
    [ "$(curl -sS --noproxy '*' --cacert "$app/tls-root.pem" -d hi "$url")" = '{"method":"POST","body":"hi"}' ]
}

@test "only TLS 1.3, and only under the app's own root" {
    run curl -sS --noproxy '*' --cacert "$app/tls-root.pem" --tls-max 1.2 "$(worker_url 0 /healthz)"
    echo "$output"
    [ "$status" != 0 ]
    run curl -sS --noproxy '*' "$(worker_url 0 /healthz)"
    [ "$status" = 60 ]  # not signed by anybody this machine trusts
    run openssl s_client -connect "127.0.0.1:$(worker_port 0)" -tls1_3 -CAfile "$app/tls-root.pem" -verify_return_error </dev/null
    [[ $output == *"TLSv1.3"* ]]
    [[ $output == *"Verify return code: 0 (ok)"* ]]

    # Another app's root does not know this one's workers.
    paranoid init "$BATS_TEST_TMPDIR/other" --name other >/dev/null
    run curl -sS --noproxy '*' --cacert "$BATS_TEST_TMPDIR/other/tls-root.pem" "$(worker_url 0 /healthz)"
    echo "$output"
    [ "$status" = 60 ]
    run paranoid attest verify --app "$BATS_TEST_TMPDIR/other" --url "https://localhost:$(worker_port 0)"
    echo "$output"
    [ "$status" = 1 ]
}

@test "attest verify ties each worker's certificate to its evidence" {
    local worker
    for worker in 0 1 base; do
        run paranoid attest verify --app "$app" --url "$(worker_url $worker '')"
        echo "$output"
        [ "$status" = 0 ]
        [[ $output == *simulated* ]]
    done
}

@test "p6 a version handed to the other worker reads at least that state" {
    local i version
    for i in $(seq 1 20); do
        [ "$(request_status $((i % 2)) /kv/session -X PUT --data-binary "write $i")" = 204 ]
        version=$(header x-paranoid-version)
        run request $(((i + 1) % 2)) /kv/session -H "X-Paranoid-After: $version"
        echo "$i: $output"
        [ "$output" = "write $i" ]
    done
    [ "$(request_status 0 /kv/session -H 'X-Paranoid-After: nonsense')" = 400 ]
    [ "$(error_code)" = bad_version ]
}

@test "conditions on a key's version hold" {
    [ "$(request_status 0 /kv/tagged -X PUT -H 'If-None-Match: *' --data-binary one)" = 204 ]
    [ "$(request_status 0 /kv/tagged -X PUT -H 'If-None-Match: *' --data-binary two)" = 412 ]
    [ "$(request_status 0 /kv/tagged)" = 200 ]
    local etag
    etag=$(header etag)
    [ "$(request_status 0 /kv/tagged -H "If-None-Match: $etag")" = 304 ]
    [ "$(request_status 0 /kv/tagged -X PUT -H "If-Match: $etag" --data-binary two)" = 204 ]
    [ "$(request_status 0 /kv/tagged -X PUT -H "If-Match: $etag" --data-binary three)" = 412 ]
    [ "$(request 0 /kv/tagged)" = two ]
}

@test "a connection is kept, requests are pipelined, and answered in their order" {
    raw keep_alive
    raw pipelined
    raw pipelined_at_once
}

@test "chunked bodies arrive whole, and HEAD has no body" {
    raw chunked
    raw head
    [ "$(head -c 800000 /dev/zero | request 0 /function/echo -H 'Transfer-Encoding: chunked' -H 'Expect: 100-continue' --data-binary @- | wc -c)" = 800000 ]
}

@test "what is too large is refused: 413 for a body, 431 for a head" {
    head -c 9000000 /dev/zero >"$BATS_TEST_TMPDIR/large"
    [ "$(request_status 0 /function/echo --data-binary "@$BATS_TEST_TMPDIR/large")" = 413 ]
    [ -n "$(error_code)" ]
    head -c 1048577 /dev/zero >"$BATS_TEST_TMPDIR/large"
    [ "$(request_status 0 /kv/large -X PUT --data-binary "@$BATS_TEST_TMPDIR/large")" = 413 ]
    [ "$(request_status 0 /healthz -H "X-Long: $(head -c 20000 /dev/zero | tr '\0' x)")" = 431 ]
    [ "$(request_status 0 /healthz)" = 200 ]
}

@test "a slow client is served, a silent one told 408, and neither holds up the others" {
    raw slow
    raw silent
}

@test "what can be read in two ways is refused" {
    raw ambiguous
}

@test "certificates name the hosts that the owner names, from the next one on" {
    local app=$BATS_TEST_TMPDIR/app up=  # another than this file's
    paranoid init "$app" --name hosts --host paranoid.example,127.8.9.1 >/dev/null
    for wrong in '*.example' 'a,,b' 'a..b' '1.2.3'; do
        run paranoid init "$BATS_TEST_TMPDIR/wrong" --host "$wrong"
        [ "$status" = 2 ]
    done
    up_log=$app.log
    start_app --workers 1
    ask() { curl -sS --noproxy '*' --cacert "$app/tls-root.pem" --resolve "$1:$2:127.0.0.1" "https://$1:$2/healthz"; }
    ask paranoid.example "$(worker_port 0)"
    ask localhost "$(worker_port 0)"
    run ask other.example "$(worker_port 0)"
    [ "$status" -ne 0 ]
    # A worker that joins after the policy was published has a certificate by the new one.
    sed -i 's/"paranoid.example"/"other.example"/' "$app/policy.json"
    paranoid policy publish --app "$app"
    before=$(enclave_pid worker 0)
    kill -9 "$before"
    is_replaced() { enclaves | grep -q "^worker 0 ready" && [ "$(enclave_pid worker 0)" != "$before" ]; }
    until_true is_replaced
    ask other.example "$(worker_port 0)"
    run ask paranoid.example "$(worker_port 0)"
    [ "$status" -ne 0 ]
    kill_app
}
