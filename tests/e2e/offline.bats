#!/usr/bin/env bats
# What the capsule remembers is told offline, from a store's files and the owner's keys alone.
load helpers

setup_file() {
    export BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR
    make_app "$BATS_FILE_TMPDIR/app"
    start_app --workers 2
    export up
    paranoid kv put greeting one --app "$app"
    next_epoch
    until_true reads 1 one
    [ "$(paranoid kv put greeting two --app "$app" --worker 1 --json)" = '{"key":"greeting","put":true}' ]
    next_epoch
    until_true reads 0 two
    [ "$(paranoid kv delete greeting --app "$app" --worker 0 --json)" = '{"deleted":true,"key":"greeting"}' ]
    next_epoch
    until_true lacks 0
    until_true lacks 1
    paranoid kv put greeting "$(printf 'three \033[31m')" --app "$app"
    stop_app
}

setup() { app=$BATS_FILE_TMPDIR/app; }

teardown_file() { kill_app; }

# A worker's next version is above those that it has read: each has read the last one.
reads() { [ "$(request "$1" /kv/greeting)" = "$2" ]; }  # WORKER VALUE
lacks() { [ "$(request "$1" /kv/greeting -o /dev/null -w '%{http_code}')" = 404 ]; }  # WORKER

# Until a SYNC covers what has been written last.
is_covered() {
    paranoid kv history greeting --app "$app" --json 2>/dev/null | python3 -c '
import json, sys
sys.exit(json.load(sys.stdin)["versions"][0]["epoch"] is None)' 2>/dev/null
}
next_epoch() { until_true is_covered; }

@test "kv history lists every version, newest first, with epoch, Lamport time and writer" {
    run paranoid kv history greeting --app "$app"
    echo "$output"
    [ "$status" = 0 ]
    [ "${#lines[@]}" = 5 ]
    [[ ${lines[1]} == *'"three \u001B[31m"'* ]]
    [[ ${lines[2]} == *deleted ]]
    [[ ${lines[3]} == *'"two"' ]]
    [[ ${lines[4]} == *'"one"' ]]
    paranoid kv history greeting --app "$app" --json | python3 -c '
import json, sys
said = json.load(sys.stdin)
versions = said["versions"]
assert said["key"] == "greeting" and said["pruned"] == 0
assert [each["value"] for each in versions] == ["three \x1b[31m", None, "two", "one"], versions
assert [each["kind"] for each in versions] == ["put", "delete", "put", "put"]
assert all(each["state"] == "counts" for each in versions)
lamports = [each["lamport"] for each in versions]
assert lamports == sorted(lamports, reverse=True)
assert versions[2]["writer"] != versions[1]["writer"]
epochs = [each["epoch"] for each in versions[1:]]
assert epochs == sorted(epochs, reverse=True) and len(set(epochs)) == 3, epochs'
    run paranoid kv history nothing --app "$app"
    [ "$status" = 1 ]
}

@test "kv get --epoch says what the key was as of each SYNC" {
    epoch_of() {  # of the version with this number, the newest is 0
        paranoid kv history greeting --app "$app" --json |
            python3 -c "import json, sys; print(json.load(sys.stdin)['versions'][$1]['epoch'])"
    }
    [ "$(paranoid kv get greeting --app "$app" --epoch "$(epoch_of 3)")" = one ]
    [ "$(paranoid kv get greeting --app "$app" --epoch "$(epoch_of 2)")" = two ]
    run paranoid kv get greeting --app "$app" --epoch "$(epoch_of 1)"
    echo "$output"
    [ "$status" = 1 ]
    [[ $output == *"it was deleted"* ]]
    run paranoid kv get greeting --app "$app" --epoch 1
    [ "$status" = 1 ]
    [[ $output == *"no such key"* ]]
    run paranoid kv get greeting --app "$app" --epoch 1000000
    [ "$status" = 1 ]
    [[ $output == *"no such SYNC"* ]]
    run paranoid kv get greeting --app "$app" --epoch 0
    [ "$status" = 2 ]
    paranoid kv get greeting --app "$app" --epoch "$(epoch_of 2)" --json | grep -q '"value":"two"'
}

@test "a copy of the store tells the same, and a bent one nothing" {
    cp -r "$app/host/capsule" "$BATS_TEST_TMPDIR/copy"
    run paranoid kv history greeting --app "$app" --from "$BATS_TEST_TMPDIR/copy"
    [ "$status" = 0 ]
    [ "$output" = "$(paranoid kv history greeting --app "$app")" ]
    printf x | dd of="$BATS_TEST_TMPDIR/copy/segment-00000001" bs=1 seek=3000 conv=notrunc status=none
    run paranoid kv history greeting --app "$app" --from "$BATS_TEST_TMPDIR/copy"
    echo "$output"
    [ "$status" = 1 ]
    [[ $output == *"not as it was written"* ]]
    run paranoid kv history greeting --app "$app" --from "$BATS_TEST_TMPDIR/nowhere"
    [ "$status" = 3 ]
}
