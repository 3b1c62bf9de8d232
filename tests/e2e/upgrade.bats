#!/usr/bin/env bats
# A program is succeeded by another: the owner says so, both are admitted, and then the old one is
# not any more. What was said is in the capsule.
load helpers

setup() { make_app "$BATS_TEST_TMPDIR/app"; }
teardown() { kill_app; }

measurement_of() { sha256sum "$1" | cut -d' ' -f1; }

@test "a program is succeeded, both are admitted, the old one is retired" {
    old=$(measurement_of "$PARANOID_BIN/paranoid-enclave-js")
    next=$BATS_TEST_TMPDIR/next-worker
    cp "$PARANOID_BIN/paranoid-enclave-js" "$next"
    printf '\0' >>"$next"
    new=$(measurement_of "$next")

    run paranoid policy retire "$old" --app "$app"
    echo "$output"
    [ "$status" = 1 ]
    [[ $output == *"nothing succeeds it"* ]]
    run paranoid policy succeed "$new" "$old" --app "$app"
    [ "$status" = 1 ]
    run paranoid policy succeed "$old" short --app "$app"
    [ "$status" = 2 ]

    paranoid policy succeed "$old" "$new" --app "$app"
    start_app --workers 1
    paranoid kv put key value --app "$app"
    stop_app
    start_app --workers 1 --worker-program "$next"
    [ "$(paranoid kv get key --app "$app")" = value ]
    stop_app

    paranoid policy retire "$old" --app "$app"
    start_app --workers 1 --worker-program "$next"
    [ "$(paranoid kv get key --app "$app")" = value ]
    stop_app
    launch_app --workers 1
    until_true 30 grep -q "member refused.*measurement" "$app/host/host.log"
    kill_app

    # The statement is signed, and whoever holds the capsule has it.
    grep -q "\"new\": \"$new\"" "$app/policy.json"
    grep -aq "$new" "$app"/host/capsule/*
}
