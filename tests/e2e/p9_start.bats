#!/usr/bin/env bats
# P9: a start costs what is newer than the tables. Method: enough puts for the compactor to write
# tables; then the worker is killed, and its successor must begin from the MANIFEST and know what the
# tables hold.
load helpers

setup() {
    make_app "$BATS_TEST_TMPDIR/app"
    start_app --workers 1
}

teardown() { kill_app; }

is_manifest_in_effect() { log | grep -q 'role=worker.*manifest in effect'; }
is_ready_again() { [ "$(log | grep -c 'enclave ready role=worker')" -ge 2 ]; }
log() { cat "$app/host/host.log"; }

@test "p9 a worker begins from the MANIFEST and knows what the tables hold" {
    head -c 900000 /dev/zero | tr '\0' x >"$BATS_TEST_TMPDIR/value"
    for i in $(seq 1 24); do
        [ "$(request_status 0 "/kv/key-$i" -X PUT --data-binary "@$BATS_TEST_TMPDIR/value")" = 204 ]
    done
    until_true is_manifest_in_effect
    local pid
    pid=$(log | grep 'enclave ready role=worker' | tail -n 1 | sed 's/.* pid=\([0-9]*\).*/\1/')
    kill -9 "$pid"
    until_true is_ready_again
    log | grep 'start manifest=' | grep 'role=worker' | grep -q 'status="ok"'
    [ "$(request_status 0 /kv/key-1)" = 200 ]
    [ "$(request_status 0 /kv/key-24)" = 200 ]

    # So does a leader, and it ends the branches of before where stores have signed.
    kill -9 "$(enclave_pid leader 0)"
    is_started() { log | grep 'role=leader' | grep 'start manifest=' | grep -q 'status="ok"'; }
    until_true is_started
    has_loaded() { log | grep 'role=leader' | grep -q 'loaded records='; }
    until_true has_loaded
    is_served() { [ "$(request_status 0 /kv/key-24)" = 200 ]; }
    until_true is_served
}

@test "p9 one key that is written over and over makes tables, too: the next start reads no more for it" {
    head -c 900000 /dev/zero | tr '\0' x >"$BATS_TEST_TMPDIR/value"
    for _ in $(seq 1 40); do
        [ "$(request_status 0 /kv/key -X PUT --data-binary "@$BATS_TEST_TMPDIR/value")" = 204 ]
    done
    until_true is_manifest_in_effect
    [ "$(request_status 0 /kv/key)" = 200 ]
}
