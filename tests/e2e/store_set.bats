#!/usr/bin/env bats
# The set of stores changes while the app runs: a store is added, an old one dies for good, and is
# removed; all data are there, and anybody can check it all.
load helpers

setup() { app=$BATS_TEST_TMPDIR/app; }

teardown() { kill_app; }

put() { request_status "$1" "/kv/$2" -X PUT --data-binary "$3"; }
says() { [ "$(request "$1" "/kv/$2" 2>/dev/null)" = "$3" ]; }
puts() { [ "$(put "$@")" = 204 ]; }

# store_pid NAME: of the process that runs it; empty: none does.
store_pid() {
    host_page /status 2>/dev/null | python3 -c '
import json, sys
for store in json.load(sys.stdin)["stores"]:
    if store["name"] == sys.argv[1]:
        print(store["pid"])' "$1"
}
# An app, made with these options, that runs and has a key.
begin() {
    paranoid init "$app" --name e2e "$@"
    up_log=$app.log
    start_app --workers 1
    puts 0 key value
}
has_failed() { host_page /status | grep -q "\"name\":\"$1\",\"state\":\"failed\""; }
is_not_run() { [ -z "$(store_pid "$1")" ]; }

@test "p4 p9 a store is added, a dead one is removed, and nothing is lost" {
    paranoid init "$app" --name e2e --stores 3 --receipts 2
    up_log=$app.log
    start_app --workers 2
    for i in 1 2 3 4 5 6 7 8; do
        puts $((i % 2)) "key-$i" "value-$i"
    done
    second=$(store_pid store-2)

    run paranoid store add four --app "$app"
    [ "$status" = 1 ]
    [[ $output == *"its name is 'store-'"* ]]
    run paranoid store remove store-9 --app "$app"
    [ "$status" = 1 ]

    run paranoid store add store-4 --app "$app"
    echo "$output"
    [ "$status" = 0 ]
    [[ $output == *"store 'store-4' counts: 4 stores, 3 have to hold a write"* ]]
    paranoid store list --app "$app" | grep '^store-4 .*counts'
    [ "$(store_pid store-2)" = "$second" ]  # nobody else was started again
    until_true puts 0 after-add yes

    # One of the old ones dies for good: key, disk and all.
    kill -9 "$(store_pid store-1)"
    rm -rf "$app/host/capsule"
    until_true puts 1 without-first yes
    for i in 1 2 3 4 5 6 7 8; do
        until_true says $((i % 2)) "key-$i" "value-$i"
    done

    run paranoid store remove store-1 --app "$app"
    echo "$output"
    [ "$status" = 0 ]
    until_true is_not_run store-1
    rm -rf "$app/host/capsule" "$app/host/store.key"
    until_true puts 0 after-remove yes
    for i in 1 2 3 4 5 6 7 8; do
        until_true says $((i % 2)) "key-$i" "value-$i"
    done
    stop_app

    run paranoid capsule verify --app "$app"
    echo "$output"
    [ "$status" = 0 ]
    paranoid capsule info --app "$app" --json | python3 -c '
import json, sys
said = json.load(sys.stdin)
assert (said["stores"], said["receipts"]) == (3, 2), said'
    paranoid kv history without-first --app "$app" 2>/dev/null | grep -q '"yes"'

    # And once more with one of the remaining gone: any one of three may be.
    mv "$app/host/capsule-2" "$BATS_TEST_TMPDIR/away"
    start_app --workers 2
    for i in 1 2 3 4 5 6 7 8; do
        until_true says $((i % 2)) "key-$i" "value-$i"
    done
    says 0 after-remove yes
}

@test "p9 a change that is signed while the app stands still counts from the next start on" {
    begin
    stop_app
    run paranoid store add store-2 --app "$app" --receipts 1
    echo "$output"
    [ "$status" = 0 ]
    [[ $output == *"from the next start on"* ]]
    run paranoid store add store-3 --app "$app"
    [ "$status" = 1 ]
    [[ $output == *"not in force yet"* ]]
    paranoid store list --app "$app" | grep '^store-2 .*is to count'
    start_app --workers 1
    until_true says 0 key value
    puts 0 other value
    paranoid store list --app "$app" | grep '^store-2 .* counts'
    stop_app
    run paranoid capsule verify --app "$app"
    echo "$output"
    [ "$status" = 0 ]
}

# signal_stores SIGNAL NAME...
signal_stores() {
    local signal=$1 name
    shift
    for name in "$@"; do
        kill "-$signal" "$(store_pid "$name")"
    done
}

# The command waits, for the others are stopped. $adding: its process.
begin_to_add() {
    "$PARANOID_BIN/paranoid" store add "$1" --app "$app" 2>"$app.add" 3>&- &
    adding=$!
    until_true grep -q 'is filled by the others' "$app.add"
}

@test "p9 a change that was interrupted is gone on with, and no other one begins before" {
    begin --stores 3 --receipts 2

    signal_stores STOP store-1 store-2 store-3
    begin_to_add store-4
    kill -9 "$adding"
    signal_stores CONT store-1 store-2 store-3
    run paranoid store add store-5 --app "$app"
    [ "$status" = 1 ]
    [[ $output == *"'paranoid store add store-4' goes on with it"* ]]
    [ ! -e "$app/host/store-5.key" ]
    run paranoid doctor --app "$app"
    [ "$status" = 1 ]
    [[ $output == *"a change of them is not in force yet"* ]]
    paranoid store add store-4 --app "$app"
    paranoid store list --app "$app" | grep '^store-4 .* counts'
    until_true says 0 key value

    # Ended with the host, and before that had heard of it: it is given the owner's word.
    cp "$app/host/stores" "$app.before"
    signal_stores STOP store-1 store-2 store-3 store-4
    begin_to_add store-5
    kill -9 "$adding"
    kill_app
    cp "$app.before" "$app/host/stores"
    start_app --workers 1
    until_true says 0 key value
    paranoid store list --app "$app" | grep '^store-5 .* counts'
    [ -n "$(store_pid store-5)" ]
}

@test "p4 of two changes at once one counts, and the other one leaves nothing" {
    begin --stores 3 --receipts 2
    # Neither is done before the other one has begun.
    signal_stores STOP store-1 store-2 store-3
    paranoid store add store-4 --app "$app" &
    first=$!
    paranoid store add store-5 --app "$app" &
    second=$!
    until_true eval 'is_gone $first || is_gone $second'
    signal_stores CONT store-1 store-2 store-3
    first_status=0
    second_status=0
    wait "$first" || first_status=$?
    wait "$second" || second_status=$?
    [ $((first_status + second_status)) = 1 ]
    [ "$(paranoid store list --app "$app" | grep -c ' counts')" = 4 ]
    [ "$(ls -d "$app"/host/capsule* | wc -l)" = 4 ]
    [ "$(ls "$app"/host/store*.key | wc -l)" = 4 ]
    until_true says 0 key value
}

# CHANGES_MANY=40 is the long run.
@test "p9 stores come and go, one after the other" {
    begin --stores 2 --receipts 2
    for i in $(seq "${CHANGES_MANY:-3}"); do
        paranoid store add "store-x$i" --app "$app"
        paranoid store remove "store-x$i" --app "$app"
    done
    until_true says 0 key value
    until_true is_not_run "store-x$i"
    [ "$(host_page /status | python3 -c 'import json, sys; print(len(json.load(sys.stdin)["stores"]))')" = 2 ]
    stop_app
    run paranoid capsule verify --app "$app"
    echo "$output"
    [ "$status" = 0 ]
}

@test "p9 where too few stores answer, nothing is changed" {
    begin --stores 2 --receipts 1
    rm -rf "$app/host/capsule"
    touch "$app/host/capsule"  # no disk there
    kill -9 "$(store_pid store-1)"
    until_true has_failed store-1
    run paranoid store remove store-1 --app "$app"
    echo "$output"
    [ "$status" = 1 ]
    [[ $output == *"2 have to answer for any change"* ]]
    run paranoid store remove store-2 --receipts 2 --app "$app"
    [ "$status" = 1 ]
    [ "$(paranoid store list --app "$app" | grep -c ' counts')" = 2 ]
}

@test "p9 the app goes on without a store that fails while it is added, and takes it back" {
    begin
    signal_stores STOP store-1
    begin_to_add store-2
    rm -r "$app/host/capsule-2"
    touch "$app/host/capsule-2"  # no disk there
    signal_stores KILL store-2 || true  # it may have ended by itself
    signal_stores CONT store-1
    until_true has_failed store-2
    puts 0 other value
    until_true grep -q "store 'store-2' has failed" "$app.add"
    paranoid store remove store-2 --app "$app"
    status=0
    wait "$adding" || status=$?
    [ "$status" = 1 ]
    grep -q 'another command has changed the stores' "$app.add"
    until_true says 0 other value
    [ "$(paranoid store list --app "$app" | grep -c ' counts')" = 1 ]
}

@test "p9 a store that was added and cannot be started is taken back" {
    begin
    stop_app
    paranoid store add store-2 --app "$app"
    rm -r "$app/host/capsule-2"
    touch "$app/host/capsule-2"  # no disk there
    run paranoid up --app "$app" --port 0 --workers 1
    echo "$output"
    [ "$status" = 3 ]
    run paranoid store remove store-2 --app "$app"
    echo "$output"
    [ "$status" = 0 ]
    start_app --workers 1
    until_true says 0 key value
    puts 0 other value
    [ "$(paranoid store list --app "$app" | grep -c ' counts')" = 1 ]
}

# Whoever does what the message says has an app again.
@test "p9 a store whose key is lost is taken out, as the refusal says" {
    begin --stores 3 --receipts 2
    stop_app
    mv "$app/host/store.key" "$app.key"
    run paranoid up --app "$app" --port 0 --workers 1
    echo "$output"
    [ "$status" = 3 ]
    [[ $output == *"/store.key': the store's key is not there; put it back; or run 'paranoid store remove store-1', and start again"* ]]

    # Another key is not taken for it, and the way out is the same.
    (umask 077 && head -c 32 /dev/urandom >"$app/host/store.key")
    run paranoid up --app "$app" --port 0 --workers 1
    echo "$output"
    [ "$status" = 3 ]
    [[ $output == *"it is not the key that the owner named; put it back as it was; if it is lost, remove this file"* ]]
    rm "$app/host/store.key"

    paranoid store remove store-1 --app "$app"
    start_app --workers 1
    until_true says 0 key value
    puts 0 other value
    [ "$(paranoid store list --app "$app" | grep -c ' counts')" = 2 ]
    stop_app
    paranoid capsule verify --app "$app"
}

@test "p9 of stores too few without the one whose key is lost, the refusal says what is left" {
    begin
    stop_app
    mv "$app/host/store.key" "$app.key"
    for command in "up --port 0" recover; do
        # shellcheck disable=SC2086
        run paranoid $command --app "$app"
        echo "$output"
        [ "$status" = 3 ]
        [[ $output == *"put it back: nothing can take its place, and without it the app never goes on"* ]]
    done
    run paranoid store remove store-1 --app "$app"
    [ "$status" = 1 ]
    paranoid capsule verify --app "$app"
    paranoid kv history key --app "$app" | grep -q '"value"'

    mv "$app.key" "$app/host/store.key"
    start_app --workers 1
    until_true says 0 key value
}

@test "p9 a simulated machine that is lost is made anew by the next start" {
    begin
    stop_app
    rm "$app/host/platform" "$app/host/tcb"
    start_app --workers 1
    until_true says 0 key value
}
