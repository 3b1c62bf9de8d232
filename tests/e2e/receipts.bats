#!/usr/bin/env bats
# Goal: a receipt of an invocation leads offline to its worker, the worker's evidence and the owner;
# one that was altered, or of somebody unknown, or of what does not count, is refused with the
# reason.
# Method: one app; receipts of functions that write, read, lock and only answer; each judged with a
# copy of the store and nothing that runs; then with bits flipped, other capsules, other files.
load helpers

setup_file() {
    load helpers
    BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR
    make_app "$BATS_FILE_TMPDIR/app"
    start_app --workers 2
    deploy order <<<"exports.handler = (event, ctx) => { ctx.kv.put('order', event.body); return 'took ' + event.body; };"
    deploy swift --async <<<"exports.handler = (event, ctx) => { ctx.kv.put('swift', event.body); return 1; };"
    deploy read <<<"exports.handler = (event, ctx) => ctx.kv.get('order');"
    deploy locked <<<"exports.handler = (event, ctx) => { ctx.lock('l', () => ctx.kv.put('locked', 'x')); ctx.kv.cas('swapped', undefined, 'y'); return 'done'; };"
    deploy many <<<"exports.handler = (event, ctx) => { for (let i = 0; i < 40; i++) { ctx.kv.put('many', String(i)); ctx.kv.sync(); } };"
    deploy plain <<<"exports.handler = (event) => event.body;"
    deploy throws <<<"exports.handler = () => { throw new Error('no'); };"
    wait_for_function throws
    paranoid policy export "$BATS_FILE_TMPDIR/given.policy" --app "$app"
    cd "$BATS_FILE_TMPDIR"
    printf '{"of":3}' >input
    paranoid invoke order @input --worker 0 --receipt order.receipt --app "$app" >output
    paranoid invoke swift fast --receipt swift.receipt --app "$app"
    until_true is_ordered 1
    paranoid invoke read --worker 1 --receipt read.receipt --app "$app"
    paranoid invoke locked --receipt locked.receipt --app "$app"
    paranoid invoke many --receipt many.receipt --app "$app"
    paranoid invoke plain "just this" --receipt plain.receipt --app "$app"
    # The copy that the judge has. An epoch later all is in the history.
    for name in order swift read locked many plain; do
        until_true paranoid receipt verify $name.receipt --app "$app"
    done
    until_true copy_running "$app/host/capsule" "$BATS_FILE_TMPDIR/copy"
    cp "$app/genesis" "$BATS_FILE_TMPDIR/genesis"
    export app up up_log
}

is_ordered() { [ "$(request "$1" /kv/order)" = '{"of":3}' ]; }  # WORKER

teardown_file() {
    load helpers
    kill_app
}

setup() { cd "$BATS_FILE_TMPDIR"; }

judge() { run paranoid receipt verify "$@" --capsule copy --genesis genesis; echo "$output"; }
fact() { echo "$output" | python3 -c 'import json,sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

refused() {  # REASON FILE [OPTION]...
    local reason=$1
    shift
    judge "$@"
    [ "$status" = 1 ]
    echo "$output" | grep -q "^verdict  *invalid"
    echo "$output" | grep -q "^reason  *$reason:"
    echo "$output" | grep -q '^remedy  *[a-z]'
    judge "$@" --json
    [ "$status" = 1 ]
    [ "$(fact verdict)" = invalid ]
    [ "$(fact reason)" = "$reason" ]
}

@test "p3 a receipt leads offline from the answer to the owner's signature" {
    judge order.receipt --policy given.policy --input input --output output
    [ "$status" = 0 ]
    [[ $output == *"tee          simulated"* ]]
    judge order.receipt --json
    [ "$(fact verdict)" = valid ]
    [ "$(fact function)" = order ]
    [ "$(fact input)" = "$(sha256sum <input | cut -d' ' -f1)" ]
    [ "$(fact output)" = "$(sha256sum <output | cut -d' ' -f1)" ]
    [ "$(fact code)" = "$(sha256sum <order.js | cut -d' ' -f1)" ]
    [ "$(echo "$output" | python3 -c 'import json,sys; print(len(json.load(sys.stdin)["written"]))')" = 1 ]
    # The owner, with the seed, finds the very code in the capsule.
    run paranoid receipt verify order.receipt --keys --app "$app"
    [ "$status" = 0 ]
}

@test "an exported file does for a copy of the capsule, and nothing that was changed in it passes" {
    run paranoid capsule export "$BATS_TEST_TMPDIR/records" copy --genesis genesis
    echo "$output"
    [ "$status" = 0 ]
    paranoid capsule verify "$BATS_TEST_TMPDIR/records" --genesis genesis
    hashes_of() { paranoid capsule log "$1" --genesis genesis --json | grep -o '"hash":"[0-9a-f]*"'; }
    [ "$(hashes_of copy)" = "$(hashes_of "$BATS_TEST_TMPDIR/records")" ]
    judge_by() { run paranoid receipt verify order.receipt --capsule "$1" --genesis genesis --json; echo "$output"; }
    judge_by "$BATS_TEST_TMPDIR/records"
    [ "$status" = 0 ]
    [ "$(fact verdict)" = valid ]

    size=$(stat -c %s "$BATS_TEST_TMPDIR/records")
    for at in 0 5 200 $((size / 3)) $((size / 2)) $((size - 1)); do
        python3 - "$BATS_TEST_TMPDIR/records" "$at" "$BATS_TEST_TMPDIR/bent" <<'END'
import sys
records = bytearray(open(sys.argv[1], "rb").read())
records[int(sys.argv[2])] ^= 4
open(sys.argv[3], "wb").write(records)
END
        judge_by "$BATS_TEST_TMPDIR/bent"
        [ "$status" -ne 0 ]
        [[ $output == *"offset "* ]]
    done
    head -c $((size - 1)) "$BATS_TEST_TMPDIR/records" >"$BATS_TEST_TMPDIR/short"
    judge_by "$BATS_TEST_TMPDIR/short"
    [ "$status" -ne 0 ]
    [[ $output == *"no whole record"* ]]
    : >"$BATS_TEST_TMPDIR/empty"
    judge_by "$BATS_TEST_TMPDIR/empty"
    [ "$status" = 3 ]
}

@test "receipts of functions that read, lock, swap, hurry, write much and only answer are valid" {
    local name
    for name in swift read locked many plain; do
        judge "$name.receipt" --json
        [ "$status" = 0 ]
        echo "$name: $(fact written)"
    done
    judge many.receipt
    [[ $output == *"wrote        more than these"* ]]
    judge locked.receipt --json
    [ "$(echo "$output" | python3 -c 'import json,sys; print(len(json.load(sys.stdin)["written"]))')" = 2 ]
    judge read.receipt
    [[ $output == *"read "* ]]
}

@test "p2 a receipt with any byte altered is refused" {
    python3 - order.receipt <<'END'
import sys
good = open(sys.argv[1], "rb").read()
for at in range(0, len(good), 7):
    bad = bytearray(good)
    bad[at] ^= 1 << at % 8
    open(f"flipped.{at}", "wb").write(bad)
open("flipped.short", "wb").write(good[:-1])
open("flipped.long", "wb").write(good + b"\0")
END
    local file
    for file in flipped.*; do
        run paranoid receipt verify "$file" --capsule copy --genesis genesis --json
        [ "$status" = 1 ] || { echo "$file: $output"; return 1; }
        [[ $output == *'"reason":"format"'* || $output == *'"reason":"signature"'* ]]
    done
    refused format flipped.short
    rm flipped.*
}

@test "a receipt for another input, output, owner or capsule is refused" {
    printf other >other
    refused input order.receipt --input other
    refused output order.receipt --output other
    paranoid init "$BATS_TEST_TMPDIR/stranger" >/dev/null
    paranoid policy export stranger.policy --app "$BATS_TEST_TMPDIR/stranger"
    refused policy order.receipt --policy stranger.policy
    until_true copy_running "$app" "$BATS_TEST_TMPDIR/narrow"
    python3 - "$BATS_TEST_TMPDIR/narrow/policy.json" "$app/policy.json" <<'END'
import json, sys
policy = json.load(open(sys.argv[2]))
policy["measurements"]["worker"] = ["11" * 32]
json.dump(policy, open(sys.argv[1], "w"))
END
    paranoid policy export narrow.policy --app "$BATS_TEST_TMPDIR/narrow"
    refused policy order.receipt --policy narrow.policy
}

@test "a receipt whose worker or record the capsule does not know is refused" {
    # A worker that joined after the copy was made: unknown there, known to the newer one.
    kill -9 "$(enclave_pid worker 0)"
    until_true paranoid invoke order again --worker 0 --receipt late.receipt --app "$app"
    refused member late.receipt
    until_true paranoid receipt verify late.receipt --app "$app"
    # A record that was written after the copy was made.
    paranoid invoke order later --worker 1 --receipt later.receipt --app "$app"
    judge later.receipt
    [ "$status" = 1 ]
    [[ $output == *"record:"* || $output == *"history:"* ]]
    # Another app's.
    local first=$app first_up=$up first_log=$up_log
    make_app "$BATS_TEST_TMPDIR/other"
    start_app --workers 1
    deploy order <<<"exports.handler = () => 1;"
    wait_for_function order
    paranoid invoke order x --receipt other.receipt --app "$app"
    kill_app
    app=$first up=$first_up up_log=$first_log
    refused capsule other.receipt
}

@test "no receipt without asking, for an error, or for what is no function" {
    [ "$(request_status 0 /function/plain -d x)" = 200 ]
    [ -z "$(header x-paranoid-receipt)" ]
    [ "$(request_status 0 /function/plain -d x -H 'X-Paranoid-Receipt: 1')" = 200 ]
    header x-paranoid-receipt | base64 -d | head -c 4 | grep -q PDE1
    [ "$(request_status 0 /function/throws -d x -H 'X-Paranoid-Receipt: 1')" = 500 ]
    [ -z "$(header x-paranoid-receipt)" ]
    [ "$(request_status 0 /kv/order -H 'X-Paranoid-Receipt: 1')" = 200 ]
    [ -z "$(header x-paranoid-receipt)" ]
    run paranoid invoke throws --receipt none.receipt --app "$app"
    [ "$status" = 1 ]
    [ ! -e none.receipt ]
}

@test "p11 a receipt of a worker that the owner has thrown out is refused, one of another stays valid" {
    local writer
    paranoid invoke order before --worker 1 --receipt thrown.receipt --app "$app"
    paranoid invoke order before --worker 0 --receipt kept.receipt --app "$app"
    until_true paranoid receipt verify thrown.receipt --app "$app"
    writer=$(paranoid receipt verify thrown.receipt --app "$app" --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["worker"])')
    paranoid member revoke "$writer" --app "$app"
    run paranoid receipt verify thrown.receipt --app "$app"
    echo "$output"
    [ "$status" = 1 ]
    echo "$output" | grep -q "^reason  *revoked:"
    until_true paranoid receipt verify kept.receipt --app "$app"
}
