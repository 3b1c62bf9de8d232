#!/usr/bin/env bats
# An app that does not go on by itself: what `paranoid recover` and `paranoid keeper` do about it.
load helpers

setup() { app=$BATS_TEST_TMPDIR/app; }

teardown() {
    if [ -n "${load-}" ]; then kill "$load" 2>/dev/null || true; fi
    if [ -n "${second-}" ]; then kill "$second" 2>/dev/null || true; fi
    if [ -n "${keeper-}" ]; then kill "$keeper" 2>/dev/null || true; fi
    kill_app
}

init_app() {  # OPTION...: of `paranoid init`
    up_log=$app.log
    paranoid init "$app" --name e2e "$@" >"$app.init"
}

put() { request_status "$1" "/kv/$2" -X PUT --data-binary "$3"; }
says() { [ "$(request "$1" "/kv/$2" 2>/dev/null)" = "$3" ]; }
known_epoch() { cut -d' ' -f1 "$app/owner/sync"; }

# Until the owner has been told of a SYNC that lists what was written before.
await_news() {
    [ "$(put 0 news "$RANDOM")" = 204 ]
    until_true is_known_to_owner
}
is_known_to_owner() {
    local epoch
    epoch=$(paranoid kv history news --app "$app" --json 2>/dev/null |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["versions"][0]["epoch"] or "")' 2>/dev/null)
    [ -n "$epoch" ] && [ "$(known_epoch)" -ge "$epoch" ]
}

# $old: copies of the stores' directories, as a power cut at one moment would leave them.
copy_stores() {
    local running
    running=$(host_page /status 2>/dev/null | python3 -c '
import json, sys
print(*[store["pid"] for store in json.load(sys.stdin)["stores"]])' 2>/dev/null) || true
    old=$BATS_TEST_TMPDIR/old
    mkdir "$old"
    # shellcheck disable=SC2086  # a list
    kill -STOP $running
    cp -r "$app"/host/capsule* "$old"
    # shellcheck disable=SC2086
    kill -CONT $running
}
put_back() {  # STORE...
    local store
    for store in "$@"; do
        rm -rf "${app:?}/host/$store"
        cp -r "$old/$store" "$app/host/$store"
    done
}

@test "p8 stores that were rolled back are refused with a proof, and only the owner goes on" {
    init_app
    start_app --workers 1
    [ "$(put 0 early first)" = 204 ]
    await_news
    copy_stores
    [ "$(put 0 late second)" = 204 ]
    local token epoch
    token=$(header X-Paranoid-Version)
    await_news
    stop_app
    epoch=$(known_epoch)
    put_back capsule
    run paranoid capsule verify --app "$app"
    echo "$output"
    [ "$status" = 1 ]
    [[ $output == *"rolled back: SYNC $epoch"* ]]

    run paranoid up --app "$app" --port 0
    echo "$output"
    [ "$status" = 1 ]
    [[ $output == *"rolled back"* ]]
    local proof
    proof=$(echo "$app"/rollback-*.proof)
    paranoid proof verify --json "$proof" >"$BATS_TEST_TMPDIR/proof.json"
    python3 -c '
import json, sys
proof = json.load(open(sys.argv[1]))
assert proof["kind"] == "rollback" and proof["epoch"] == int(sys.argv[2]), proof
assert [store["to_blame"] for store in proof["stores"]] == [True], proof' \
        "$BATS_TEST_TMPDIR/proof.json" "$epoch"
    # Anybody sees when it was bent.
    sed 's/PPR1/PPR2/' "$proof" >"$BATS_TEST_TMPDIR/bent.proof"
    run paranoid proof verify "$BATS_TEST_TMPDIR/bent.proof"
    [ "$status" = 1 ]

    run paranoid recover --app "$app" --explain
    echo "$output"
    [[ $output == *"is missing"* ]]
    run paranoid recover --app "$app"
    [ "$status" = 1 ]
    [[ $output == *"--accept-loss $epoch"* ]]
    run paranoid recover --app "$app" --accept-loss $((epoch - 1))
    [ "$status" = 2 ]
    run paranoid recover --app "$app" --accept-loss "$epoch"
    echo "$output"
    [ "$status" = 0 ]

    # Everybody who reads the capsule sees it, and who has seen more is told so.
    run paranoid capsule log --app "$app"
    [[ $output == *"the owner gives up what followed, up to SYNC $epoch"* ]]
    run paranoid capsule verify --app "$app"
    echo "$output"
    [ "$status" = 0 ]
    [[ $output == *"given up"* ]]
    start_app --workers 1
    says 0 early first
    [ "$(request_status 0 /kv/late)" = 404 ]
    [ "$(request_status 0 /kv/early -H "X-Paranoid-After: $token")" = 409 ]
    [ "$(error_code)" = version_lost ]
}

@test "p8 two of three stores rolled back and the third one gone: refused, and both are named" {
    init_app --stores 3 --receipts 2
    start_app --workers 1
    await_news
    copy_stores
    [ "$(put 0 late second)" = 204 ]
    await_news
    stop_app
    put_back capsule capsule-2
    rm -rf "$app/host/capsule-3"
    run paranoid recover --app "$app"
    echo "$output"
    [ "$status" = 1 ]
    [[ $output == *"store-3: nothing is there"* ]]
    run paranoid proof verify "$(ls "$app"/rollback-*.proof | head -n 1)"
    echo "$output"
    [ "$status" = 0 ]
    [[ $output == *"store-1"*"it lost or hid"* || $output == *"store-2"*"it lost or hid"* ]]
}

@test "p9 one of three stores deleted, then one rolled back to an old copy: nothing is lost" {
    init_app --stores 3 --receipts 2
    start_app --workers 1
    [ "$(put 0 early first)" = 204 ]
    await_news
    copy_stores
    stop_app
    rm -rf "$app/host/capsule-2"
    run paranoid recover --app "$app"
    echo "$output"
    [ "$status" = 0 ]
    [[ $output == *"store-2: nothing is there"* ]]
    start_app --workers 1
    says 0 early first
    [ "$(put 0 late second)" = 204 ]
    await_news
    stop_app
    put_back capsule-3
    start_app --workers 1
    says 0 early first
    says 0 late second
    stop_app
    paranoid capsule verify --app "$app"
}

another_takes_over() { enclaves | grep '^leader 0 joining ' | grep -qv " $1 "; }

@test "p9 recover says that a leader leads when one does, whoever gave it its term" {
    init_app --stores 2 --receipts 2
    start_app --workers 1
    [ "$(put 0 early first)" = 204 ]
    stopped=$(host_page /status | python3 -c '
import json, sys
print(json.load(sys.stdin)["stores"][1]["pid"])')
    kill -STOP "$stopped"  # no SYNC is held by two
    ended=$(enclaves | sed -n 's/^leader 0 ready \([0-9]*\) .*/\1/p')
    kill -9 "$ended"
    until_true another_takes_over "$ended"
    "$PARANOID_BIN/paranoid" recover --app "$app" >"$app.recover" 2>&1 3>&- &
    recovering=$!
    until_true grep -q 'takes over: ' "$app.recover"
    ! is_gone "$recovering" || false
    ! grep -q ' leads' "$app.recover" || false
    kill -CONT "$stopped"
    wait "$recovering"
    grep ' leads' "$app.recover"
}

@test "p9 recover that hears late from the host hears that a leader leads" {
    init_app
    start_app --workers 1
    stopped=$(host_number pid)
    kill -STOP "$stopped"
    "$PARANOID_BIN/paranoid" recover --app "$app" >"$app.recover" 2>&1 3>&- &
    recovering=$!
    until_true grep -q 'the app runs without a leader' "$app.recover"
    kill -CONT "$stopped"
    until_true is_gone "$recovering"
    cat "$app.recover"
    wait "$recovering"
    grep ' leads' "$app.recover"
    run paranoid recover --app "$app"
    [[ $output == *"nothing to recover"* ]]
    grep -c 'leads term' "$up_log" | grep -x 1  # nobody took its place
}

@test "p9 a host killed in mid-write: recover, and what was acknowledged is there" {
    init_app
    start_app --workers 2
    local taken=$BATS_TEST_TMPDIR/taken i
    (for i in $(seq 400); do
        [ "$(request $((i % 2)) "/kv/key-$i" -X PUT --data-binary "$i" -o /dev/null -w '%{http_code}' 2>/dev/null)" = 204 ] || continue
        echo "$i" >>"$taken"
    done) 3>&- &
    load=$!
    until_true counts . "$taken" 20
    kill -9 "$(host_number pid)"
    kill "$load" || true
    wait "$load" || true
    load=
    wait "$up" || true
    up=
    run paranoid recover --app "$app"
    echo "$output"
    [ "$status" = 0 ]
    [[ $output == *"nothing acknowledged is lost"* ]]
    start_app --workers 1
    while read -r i; do
        says 0 "key-$i" "$i"
    done <"$taken"
    run paranoid recover --app "$app"
    [ "$status" = 0 ]
    [[ $output == *"nothing to recover"* ]]
}

# ---- the keeper ----

start_host() {  # OPTION...: the untrusted host alone
    "$PARANOID_BIN/paranoid" host --state "$app/host" --port 0 "$@" >>"$up_log" 2>&1 </dev/null 3>&- &
    up=$!
}
start_keeper() {  # DIR
    "$PARANOID_BIN/paranoid" keeper --app "$1" >>"$1.log" 2>&1 </dev/null 3>&- &
}
counts() { [ "$(grep -c "$1" "$2" 2>/dev/null || true)" -ge "$3" ]; }

# Put again and again, as a client does that tries once more; each pause is in $pauses, in ms.
put_for_ever() {
    local i=0 begun
    while :; do
        i=$((i + 1))
        begun=$(date +%s%3N)
        until [ "$(put base "run-$i" "$i" 2>/dev/null)" = 204 ]; do sleep 0.02; done
        echo "$(($(date +%s%3N) - begun)) $i" >>"$pauses"
    done
}

@test "p9 the keeper replaces a leader that was killed, without the owner, and writes go on" {
    init_app
    paranoid keeper grant "$BATS_TEST_TMPDIR/keeper" --app "$app" --name deputy
    [ ! -e "$BATS_TEST_TMPDIR/keeper/owner/owner.key" ]
    start_host --workers 2
    start_keeper "$BATS_TEST_TMPDIR/keeper"
    keeper=$!
    until_true test -e "$app/host/host.json"
    client ready --app "$app" --pid "$up"
    pauses=$BATS_TEST_TMPDIR/pauses
    : >"$pauses"
    put_for_ever 3>&- &
    load=$!
    until_true counts . "$pauses" 5
    local round old
    for round in 2 3; do
        old=$(enclave_pid leader 0)
        kill -9 "$old"
        # No leader, and still answers.
        until_true counts "leads term $round" "$BATS_TEST_TMPDIR/keeper.log" 1
        until_true counts . "$pauses" $((round * 20))
    done
    kill "$load"
    load=
    echo "longest waits of a client, ms:"
    sort -n "$pauses" | tail -n 3
    local last
    last=$(tail -n 1 "$pauses" | cut -d' ' -f2)
    for i in $(seq "$last"); do until_true says base "run-$i" "$i"; done
    [ "$(sort -n "$pauses" | tail -n 1 | cut -d' ' -f1)" -lt 20000 ]
    kill "$keeper"
    wait "$keeper"
    keeper=
    kill "$up"
    wait "$up"
    up=
    run paranoid capsule log --app "$app"
    [[ $output == *"term 3 by keeper 'deputy'"* ]]
    paranoid capsule verify --app "$app"
}

@test "p9 two keepers and the owner at once: each leader has one term, and the app goes on" {
    init_app
    paranoid keeper grant "$BATS_TEST_TMPDIR/one" --app "$app" --name one
    paranoid keeper grant "$BATS_TEST_TMPDIR/two" --app "$app" --name two
    start_keeper "$BATS_TEST_TMPDIR/one"
    keeper=$!
    start_keeper "$BATS_TEST_TMPDIR/two"
    second=$!
    start_app --workers 1
    [ "$(put 0 key value)" = 204 ]
    worker=$(enclave_pid worker 0)
    kill -9 "$(enclave_pid leader 0)"
    until_true is_replaced worker 0 "$worker"  # the next leader has closed its branch
    client ready --app "$app" --pid "$up"
    until_true says 0 key value
    [ "$(put 0 other value)" = 204 ]
    stop_app
    kill "$keeper" "$second"
    keeper= second=
    paranoid capsule verify --app "$app"
}

@test "p11 a keeper whose delegation the owner has ended starts no term" {
    init_app
    paranoid keeper grant "$BATS_TEST_TMPDIR/keeper" --app "$app" --name deputy --terms 5
    paranoid keeper revoke deputy --app "$app"
    start_app --workers 1
    [ "$(put 0 key value)" = 204 ]
    stop_app
    start_host --workers 1
    start_keeper "$BATS_TEST_TMPDIR/keeper"
    keeper=$!
    until_true counts "may not give terms any more" "$BATS_TEST_TMPDIR/keeper.log" 1
    wait "$keeper" || [ "$?" = 1 ]
    keeper=
    run cat "$BATS_TEST_TMPDIR/keeper.log"
    echo "$output"
    [[ $output != *"leads term"* ]]
}
