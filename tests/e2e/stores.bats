#!/usr/bin/env bats
# Several stores: one whose files were altered is set aside, and filled again by the others; one that is
# alone says what is damaged and what can be done.
load helpers

setup() { app=$BATS_TEST_TMPDIR/app; }

teardown() { kill_app; }

put() { request_status "$1" "/kv/$2" -X PUT --data-binary "$3"; }
says() { [ "$(request "$1" "/kv/$2" 2>/dev/null)" = "$3" ]; }

# Another byte in the middle of what a store has written.
flip() {  # SEGMENT
    python3 - "$1" <<'END'
import sys
with open(sys.argv[1], "r+b") as file:
    place = len(file.read().rstrip(b"\0")) // 2
    file.seek(place)
    byte = file.read(1)[0] ^ 1
    file.seek(place)
    file.write(bytes([byte]))
END
}

# store_says INDEX FIELD VALUE: what the host says of a store, the first is 0.
store_says() {
    host_page /status 2>/dev/null | python3 -c '
import json, sys
store = json.load(sys.stdin)["stores"][int(sys.argv[1])]
sys.exit(str(store[sys.argv[2]]) != sys.argv[3])' "$@"
}

@test "p8 p9 a store that was altered is set aside as evidence and filled again by the others" {
    paranoid init "$app" --name e2e --stores 3 --receipts 2
    up_log=$app.log
    start_app --workers 2
    for i in 1 2 3 4 5 6 7 8; do
        [ "$(put $((i % 2)) "key-$i" "value-$i")" = 204 ]
    done
    for i in 0 1 2; do
        until_true store_says $i state open
    done
    kill_app
    flip "$app/host/capsule-2/segment-00000001"

    # Offline the others tell it all, and what is wrong is named.
    run paranoid capsule verify --app "$app"
    echo "$output"
    [ "$status" = 1 ]
    [[ $output == *"capsule-2: record"*"is not as it was written"*"the capsule verifies"* ]]
    paranoid kv history key-8 --app "$app" 2>/dev/null | grep -q '"value-8"'
    paranoid capsule verify --app "$app" --json 2>/dev/null | python3 -c '
import json, sys
said = json.load(sys.stdin)
assert said["verified"]
assert [held["reason"] is None for held in said["held"]] == [True, False, True], said["held"]'
    mv "$app/host/capsule-3" "$BATS_TEST_TMPDIR/away"
    run paranoid capsule verify --app "$app"
    echo "$output"
    [ "$status" = 1 ]
    [[ $output == *"1 of 3 stores can be read whole, and 2 are needed"* ]]
    mv "$BATS_TEST_TMPDIR/away" "$app/host/capsule-3"

    start_app --workers 2
    for i in 1 2 3 4 5 6 7 8; do
        until_true says $((i % 2)) "key-$i" "value-$i"
    done
    [ "$(put 0 after damage)" = 204 ]
    until_true store_says 1 set_aside 1
    until_true store_says 1 state open
    grep 'store=2' "$app/host/host.log" | grep 'segment damaged file=segment-00000001 offset='
    grep 'store=2' "$app/host/host.log" | grep 'store set aside'
    paranoid status --app "$app" | grep 'damaged and set aside 1 times'
    run paranoid doctor --app "$app"
    echo "$output"
    [ "$status" = 1 ]
    [[ $output == *"segment-00000001"*"damaged-1"* ]]

    # It holds what the others hold, and is believed again: it and one other are enough.
    stop_app
    run paranoid capsule verify --app "$app" "$app/host/capsule-2"
    echo "$output"
    [ "$status" = 0 ]
    run paranoid capsule verify --app "$app"
    echo "$output"
    [ "$status" = 0 ]
    run paranoid capsule verify --app "$app" "$app/host/capsule-2/damaged-1"
    [ "$status" = 1 ]
    rm -r "$app/host/capsule-3" "$app/host/capsule-2/damaged-1"
    start_app --workers 2
    says 0 after damage
    says 1 key-8 value-8
    paranoid doctor --app "$app" --json | grep -v set_aside | grep -q '"never found damaged"'
}

@test "p8 a store that is alone and altered is an error that says where, and what to do" {
    paranoid init "$app" --name e2e
    up_log=$app.log
    start_app --workers 1
    [ "$(put 0 key value)" = 204 ]
    kill_app
    cp -r "$app/host/capsule" "$BATS_TEST_TMPDIR/copy"
    flip "$app/host/capsule/segment-00000001"
    run paranoid up --app "$app" --port 0 --workers 1
    echo "$output"
    [ "$status" = 3 ]
    [[ $output == *"file=segment-00000001 offset="*"put back a copy"* ]]
    [ ! -e "$app/host/capsule/damaged-1" ]
    rm -r "$app/host/capsule"
    cp -r "$BATS_TEST_TMPDIR/copy" "$app/host/capsule"
    start_app --workers 1
    says 0 key value
}
