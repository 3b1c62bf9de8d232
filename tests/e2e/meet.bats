#!/usr/bin/env bats
# Goal: from nothing but the owner's policy file, one command tells the app's servers from all
# others, and leaves a root for plain curl; whoever is not the app is refused, with the reason.
# Method: one app, asked from a directory that holds the policy file alone; then the same through a
# server in the middle, of another app, with recorded evidence, and of a program not admitted.
load helpers

setup_file() {
    load helpers
    BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR
    make_app "$BATS_FILE_TMPDIR/app"
    start_app --workers 1
    deploy open --public <<<"exports.handler = () => 'hello';"
    deploy prove --public <<<"exports.handler = (event, ctx) => ctx.attest(event.query.nonce ?? 'abc');"
    deploy wrong --public <<<"exports.handler = (event, ctx) => { try { ctx.attest('x'.repeat(65)); } catch (e) { return e.code + ': ' + e.message; } };"
    wait_for_function wrong
    paranoid policy export "$BATS_FILE_TMPDIR/given.policy" --app "$app"
    # What a server in the middle has: a certificate that says all the right words.
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 \
        -subj "/CN=paranoid worker/OU=tee=simulated" -addext "subjectAltName=DNS:localhost,IP:127.0.0.1" \
        -keyout "$BATS_FILE_TMPDIR/middle.key" -out "$BATS_FILE_TMPDIR/middle.pem" 2>/dev/null
    export app up up_log
}

teardown_file() {
    load helpers
    kill_app
}

setup() {
    there=$BATS_TEST_TMPDIR/elsewhere
    mkdir "$there"
    cp "$BATS_FILE_TMPDIR/given.policy" "$there/app.policy"
    cd "$there"
    middle=
}

teardown() {
    if [ -n "$middle" ]; then
        kill "$middle" 2>/dev/null || true
        wait "$middle" 2>/dev/null || true
    fi
}

# Start the one in the middle; its address is in $url.
start_middle() {  # [OPTION]...
    python3 "$BATS_TEST_DIRNAME/tls_proxy.py" "$BATS_FILE_TMPDIR/middle.pem" "$BATS_FILE_TMPDIR/middle.key" \
        "$BATS_TEST_TMPDIR/port" "$(worker_port 0)" "$@" 3>&- >"$BATS_TEST_TMPDIR/middle.log" 2>&1 &
    middle=$!
    until_true test -s "$BATS_TEST_TMPDIR/port"
    url=https://localhost:$(cat "$BATS_TEST_TMPDIR/port")
}

# The command refuses for this reason, says what to do, and saves nothing.
refuses() {  # REASON URL [OPTION]...
    local reason=$1 where=$2
    shift 2
    run paranoid attest verify --url "$where" --policy app.policy --save root.pem "$@"
    echo "$output"
    [ "$status" = 1 ]
    echo "$output" | grep -q "^verdict  *invalid"
    echo "$output" | grep -q "^reason  *$reason:"
    echo "$output" | grep -q '^remedy  *[a-z]'
    [ ! -e root.pem ]
    run paranoid attest verify --url "$where" --policy app.policy --json "$@"
    [ "$status" = 1 ]
    echo "$output" | python3 -c 'import json,sys; v = json.load(sys.stdin); assert v["verdict"] == "invalid" and v["reason"] == sys.argv[1], v' "$reason"
}

@test "p3 from a directory with the policy file alone: attest verify, then plain curl" {
    [ "$(ls)" = app.policy ]
    run curl -sS --noproxy '*' "$(worker_url 0 /function/open)"
    [ "$status" = 60 ]  # nobody that this machine trusts
    run paranoid attest verify --url "$(worker_url 0 '')" --policy app.policy --save root.pem
    echo "$output"
    [ "$status" = 0 ]
    [ "$(curl -sS --noproxy '*' --cacert root.pem "$(worker_url 0 /function/open)")" = hello ]
    [ "$(openssl x509 -in root.pem -noout -pubkey)" = "$(openssl x509 -in "$app/tls-root.pem" -noout -pubkey)" ]
    # And with one object for programs.
    run paranoid attest verify --url "$(worker_url base '')" --policy app.policy --json
    [ "$status" = 0 ]
    echo "$output" | python3 -c 'import json,sys; v = json.load(sys.stdin); assert v["verdict"] == "valid" and v["reason"] is None, v'
}

@test "a server in the middle with a certificate of its own is refused" {
    start_middle
    curl -sSk --noproxy '*' "$url/function/open" | grep -q hello  # it does work for who does not look
    refuses certificate "$url"
}

@test "recorded evidence is refused: it does not have this nonce" {
    paranoid attest verify --url "$(worker_url 0 '')" --policy app.policy
    curl -sSk --noproxy '*' "$(worker_url 0 '/evidence?nonce=00112233445566778899aabbccddeeff')" -o recorded
    [ "$(head -c 4 recorded)" = PVO2 ]
    start_middle --replay recorded
    refuses report_data "$url"
}

@test "another app's server is refused, whatever it claims" {
    local first=$app first_up=$up first_log=$up_log address
    make_app "$BATS_TEST_TMPDIR/other"
    start_app --workers 1
    address=$(worker_url 0 '')
    refuses owner "$address"
    kill_app
    app=$first up=$first_up up_log=$first_log
}

@test "a program that the policy does not admit is refused, the worker's and the leader's" {
    local role
    for role in worker leader; do
        until_true copy_running "$app" "$BATS_TEST_TMPDIR/$role"
        python3 - "$BATS_TEST_TMPDIR/$role/policy.json" "$role" <<'END'
import json, sys
policy = json.load(open(sys.argv[1]))
policy["measurements"][sys.argv[2]] = ["11" * 32]
json.dump(policy, open(sys.argv[1], "w"))
END
        paranoid policy export app.policy --app "$BATS_TEST_TMPDIR/$role"
        refuses measurement "$(worker_url 0 '')"
        paranoid attest verify --url "$(worker_url 0 '')" --policy app.policy | grep -q "^reason.*$role's evidence"
    done
}

@test "a policy file that was changed is refused before anything is asked" {
    sed -i 's/"allow_debug": false/"allow_debug": true/' app.policy
    run paranoid attest verify --url "$(worker_url 0 '')" --policy app.policy
    echo "$output"
    [ "$status" = 3 ]
    [[ $output == *"ask the owner for it again"* ]]
}

@test "ctx.attest: a function shows what it is, where it runs and whose it is" {
    local text=a-nonce nonce
    nonce=$(printf %s "$text" | od -An -tx1 | tr -d ' \n')
    paranoid attest verify --url "$(worker_url 0 '')" --policy app.policy --save root.pem
    curl -sS --noproxy '*' --cacert root.pem "$(worker_url 0 "/function/prove?nonce=$text")" -o proof
    run paranoid attest verify proof --policy app.policy --nonce "$nonce" --code "$BATS_FILE_TMPDIR/prove.js"
    echo "$output"
    [ "$status" = 0 ]
    [[ $output == *"a function with this code asked for the evidence"* ]]
    # Another nonce, another function, none at all.
    run paranoid attest verify proof --policy app.policy --nonce "${nonce}00" --code "$BATS_FILE_TMPDIR/prove.js"
    [ "$status" = 1 ]
    [[ $output == *report_data* ]]
    run paranoid attest verify proof --policy app.policy --nonce "$nonce" --code "$BATS_FILE_TMPDIR/open.js"
    [ "$status" = 1 ]
    run paranoid attest verify proof --policy app.policy --nonce "$nonce"
    [ "$status" = 1 ]
    run paranoid attest verify proof --policy app.policy
    [ "$status" = 2 ]
    # Nobody at the other end of a connection is judged by what a function was asked.
    run paranoid attest verify --url "$(worker_url 0 '')" --policy app.policy --code "$BATS_FILE_TMPDIR/prove.js"
    [ "$status" = 2 ]
    curl -sS --noproxy '*' --cacert root.pem "$(worker_url 0 /function/wrong)" | grep -q '^invalid: ctx.attest'
}

@test "without a leader nobody vouches for the root, and the refusal says so" {
    kill -STOP "$(enclave_pid leader 0)"
    refuses leader "$(worker_url 0 '')"
    kill -CONT "$(enclave_pid leader 0)"
    until_true paranoid attest verify --url "$(worker_url 0 '')" --policy app.policy
}
