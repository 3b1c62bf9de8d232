#!/usr/bin/env bats
# `paranoid up`: it stops as asked, leaves nothing behind, and brings back what dies.
load helpers

setup() { make_app "$BATS_TEST_TMPDIR/app"; }

teardown() {
    local disk
    kill_app
    for disk in host/capsule owner; do
        if mountpoint -q "$app/$disk"; then
            umount "$app/$disk"
        fi
    done
}

put() { request_status "$1" "/kv/$2" -X PUT --data-binary "$3"; }

# Whether the worker says that; not an error while it is down.
says() { [ "$(request "$1" "/kv/$2" 2>/dev/null)" = "$3" ]; }

has_family() { [ "$(family_of "$up" | wc -l)" = "$1" ]; }

stops_on() {  # SIGNAL
    local family status=0
    start_app --workers 2
    [ "$(put 0 key "$1")" = 204 ]
    until_true has_family 7  # up, host, store, leader, compactor, two workers
    family=$(family_of "$up")
    kill "-$1" "$up"
    wait "$up" || status=$?
    up=
    cat "$up_log"
    [ "$status" = 0 ]
    # shellcheck disable=SC2086
    is_gone $family
    [ ! -e "$app/host/host.json" ]
    [ ! -e "$app/host/host.sock" ]
}

@test "SIGINT and SIGTERM stop everything, with status 0, and the next start has the state" {
    stops_on INT
    stops_on TERM
    start_app --workers 1
    says 0 key TERM
    grep -q 'https://localhost:[0-9]*/function/' "$up_log"
}

@test "a second one for the same app is refused, and the first goes on" {
    start_app --workers 1
    run paranoid up --app "$app"
    echo "$output"
    [ "$status" = 3 ]
    [[ $output == *"runs already"* ]]
    [ "$(put 0 key value)" = 204 ]
}

@test "of two that are started at once one runs, and the other one is refused" {
    local round other log=$BATS_TEST_TMPDIR/other.log status
    for round in 1 2 3 4 5 6; do
        launch_app --workers 1  # the first: it removes a host.json that is there
        "$PARANOID_BIN/paranoid" up --app "$app" --port 0 --workers 1 >"$log" 2>&1 </dev/null 3>&- &
        other=$!
        until_true eval '! kill -0 $up 2>/dev/null || ! kill -0 $other 2>/dev/null'
        if kill -0 "$other" 2>/dev/null; then
            cp "$up_log" "$log.of_the_loser"
            status=0
            wait "$up" || status=$?
            up=$other
        else
            cp "$log" "$log.of_the_loser"
            status=0
            wait "$other" || status=$?
        fi
        cat "$log.of_the_loser"
        [ "$status" = 3 ]
        grep -q 'runs already' "$log.of_the_loser"
        client ready --app "$app" --pid "$up"
        [ "$(put 0 key "$round")" = 204 ]
        stop_app
    done
}

@test "when up is killed its host and enclaves end, and when the host is killed up says so" {
    start_app --workers 1
    local family status=0
    family=$(family_of "$up")
    kill -9 "$up"
    wait "$up" || true
    # shellcheck disable=SC2086
    until_true is_gone $family

    start_app --workers 1
    family=$(family_of "$up")
    kill -9 "$(host_number pid)"
    wait "$up" || status=$?
    up=
    tail -n 5 "$up_log"
    [ "$status" = 3 ]
    tail -n 1 "$up_log" | grep -q 'signal 9'
    # shellcheck disable=SC2086
    until_true is_gone $family
}

@test "p9 a killed worker comes back with the same state, while the other serves" {
    start_app --workers 2
    [ "$(put 0 one first)" = 204 ]
    [ "$(put 1 two second)" = 204 ]
    local old
    old=$(enclave_pid worker 0)
    kill -9 "$old"
    [ "$(put 1 three third)" = 204 ]
    until_true is_replaced worker 0 "$old"
    for key in one:first two:second three:third; do
        until_true says 0 "${key%:*}" "${key#*:}"
        until_true says 1 "${key%:*}" "${key#*:}"
    done
    [ "$(put 0 four fourth)" = 204 ]
    until_true says 1 four fourth
}

@test "p9 a killed leader is followed by another term, and everything serves again" {
    start_app --workers 2
    [ "$(put 0 one first)" = 204 ]
    local old workers
    old=$(enclave_pid leader 0)
    workers=$(enclave_pid worker 0),$(enclave_pid worker 1)
    kill -9 "$old"
    until_true is_replaced leader 0 "$old"
    # Whom the dead leader has admitted goes on until the next one closes its branch.
    until_true is_replaced worker 0 "${workers%,*}"
    until_true is_replaced worker 1 "${workers#*,}"
    client ready --app "$app" --pid "$up"
    until_true says 0 one first
    until_true says 1 one first
    [ "$(put 1 two second)" = 204 ]
    until_true says 0 two second
    grep -q 'leads term 2' "$up_log"
    # Who is deployed now is taken by the new leader.
    deploy echo <<<"exports.handler = (event) => event.body;"
    wait_for_function echo
    [ "$(request 1 /function/echo -d x)" = x ]
    stop_app
    paranoid capsule verify --app "$app"
}

# ---- a full disk ----

# What the store's newest segment has not been filled with: behind what is written it is zeroes.
unused_bytes() {
    python3 -c '
import glob, sys
segment = open(sorted(glob.glob(sys.argv[1] + "/segment-*"))[-1], "rb").read()
print(len(segment) - len(segment.rstrip(b"\0")))' "$app/host/capsule"
}

takes_writes() { [ "$(put "$1" after-the-flood yes)" = 204 ]; }  # WORKER

@test "p9 a full disk is an answer: 503 no_space, nothing damaged, and well again with space" {
    if ! mount -t tmpfs -o size=80m,mode=700 tmpfs "$app/host/capsule"; then
        skip "only root may mount the small disk that this needs"
    fi
    start_app --workers 2
    local taken
    taken=$(client fill --app "$app" --limit 400)
    echo "$taken values of 1 MiB taken"
    # Nobody is refused what has room; how many had is the compactor's doing, too, which copies them.
    [ "$(unused_bytes)" -lt $((2 << 20)) ]
    [ "$taken" -ge 20 ]
    [ "$taken" -lt 100 ]
    [ "$(put 0 one-more value)" = 503 ]
    [ "$(error_code)" = no_space ]
    # Reads go on, and the other worker says the same of what does not fit.
    until_true client filled --app "$app" --limit "$taken" --worker 1
    head -c 1048576 /dev/zero >"$BATS_TEST_TMPDIR/large"
    [ "$(put 1 one-more "@$BATS_TEST_TMPDIR/large")" = 503 ]
    [ "$(error_code)" = no_space ]
    kill -0 "$up"

    mount -o remount,size=400m "$app/host/capsule"
    until_true takes_writes 0
    until_true takes_writes 1
    stop_app
    run paranoid capsule verify --app "$app"
    echo "$output"
    [ "$status" = 0 ]
    start_app --workers 2
    client filled --app "$app" --limit "$taken" --worker 1
    says 0 after-the-flood yes
}

names_full_disk() { grep -q "the disk of '$app/host/capsule' is full: make room there" "$up_log"; }

@test "p9 up on a store's disk that is full says so, as doctor does, and goes on when there is room" {
    if ! mount -t tmpfs -o size=16m,mode=700 tmpfs "$app/host/capsule"; then
        skip "only root may mount the small disk that this needs"
    fi
    start_app --workers 1
    stop_app
    cat /dev/zero >"$app/host/capsule/flood" || true
    launch_app --workers 1
    until_true names_full_disk
    run paranoid doctor --app "$app"
    echo "$output"
    [ "$status" = 1 ]
    [[ $output == *"disk of store-1"*"0 MiB free"* ]]
    kill -9 "$(enclave_pid leader 0)"
    until_true grep -q 'ended before it led' "$up_log"
    rm "$app/host/capsule/flood"
    client ready --app "$app" --pid "$up"
    stop_app
}

@test "p4 a full disk of the owner's ends up in order, which says what cannot be written, why, and the remedy" {
    cp -a "$app/owner" "$BATS_TEST_TMPDIR/owner"
    if ! mount -t tmpfs -o size=1m,mode=700 tmpfs "$app/owner"; then
        skip "only root may mount the small disk that this needs"
    fi
    cp -a "$BATS_TEST_TMPDIR/owner/." "$app/owner"
    start_app --workers 1
    local family status=0
    [ "$(put 0 key before-the-flood)" = 204 ]
    family=$(family_of "$up")
    cat /dev/zero >"$app/owner/flood" || true
    put 0 other key || true  # the next SYNC, of this at the latest, cannot be noted
    wait "$up" || status=$?
    up=
    cat "$up_log"
    [ "$status" = 3 ]
    # shellcheck disable=SC2086
    is_gone $family
    grep -q "cannot write '$app/owner/[a-z.]*': No space left on device; make room there" "$up_log"
    [ "$(tail -n 1 "$up_log")" = stopping ]
    ! grep -q 'the host ended' "$up_log" || false
    grep -q 'host ended status=ok' "$app/host/host.log"
    ! ls "$app/owner" | grep -q '\.new$' || false

    run paranoid up --app "$app"  # full as it is: the term cannot be kept, so none is given
    echo "$output"
    [ "$status" = 3 ]
    [[ $output == *"cannot write '$app/owner/term': No space left on device; make room there"* ]]

    rm "$app/owner/flood"
    start_app --workers 1
    says 0 key before-the-flood
    stop_app
    paranoid capsule verify --app "$app"
}
