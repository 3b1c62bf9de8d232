#!/usr/bin/env bats
# A program is succeeded by another: the owner says so, both are admitted, and then the old one is
# not any more. What was said is in the capsule. The second test does all of it while the app runs.
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
    until_true grep -q "member refused.*measurement" "$app/host/host.log"
    kill_app

    # The statement is signed, and whoever holds the capsule has it.
    grep -q "\"new\": \"$new\"" "$app/policy.json"
    grep -aq "$new" "$app"/host/capsule/*
}

# The measurement by which worker INDEX was admitted, as it says itself.
measurement_of_worker() {  # INDEX
    paranoid attest verify --app "$app" --url "https://localhost:$(worker_port "$1")" --json |
        sed -n 's/.*"measurement":"\([0-9a-f]*\)".*/\1/p'
}

# Let worker INDEX end, and wait for the one that takes its place.
replace_worker() {  # INDEX
    local before
    before=$(enclave_pid worker "$1")
    kill -9 "$before"
    is_replaced() { enclaves | grep -q "^worker $1 ready" && [ "$(enclave_pid worker "$1")" != "$before" ]; }
    until_true is_replaced "$1"
}

# Load at worker INDEX alone, in the background, while FILE exists.
load_at() {  # INDEX FILE
    touch "$2"
    client load --app "$app" --only "$1" --while "$2" --function echo --key "load$1-" >"$2.out" 2>&1 3>&- &
}

@test "an app goes from one program to the next while it serves, and no request fails" {
    program=$BATS_TEST_TMPDIR/worker
    next=$BATS_TEST_TMPDIR/next-worker
    cp "$PARANOID_BIN/paranoid-enclave-js" "$program"
    cp "$program" "$next"
    printf '\0' >>"$next"
    old=$(measurement_of "$program")
    new=$(measurement_of "$next")
    echo 'exports.handler = (event) => event.body;' >"$BATS_TEST_TMPDIR/echo.js"
    start_app --workers 2 --worker-program "$program"
    paranoid deploy "$BATS_TEST_TMPDIR/echo.js" --name echo --app "$app"
    client known --app "$app" --function echo
    load_at 0 "$app.load0"
    load0=$!
    paranoid policy export "$BATS_TEST_TMPDIR/before.policy" --app "$app"

    # The file is another one now: who is started from it is refused, until the owner says.
    mv "$next" "$program"
    kill -9 "$(enclave_pid worker 1)"
    until_true grep -q "member refused.*measurement" "$app/host/host.log"
    run paranoid policy succeed "$old" "$new" --app "$app"
    echo "$output"
    [ "$status" = 0 ]
    [[ $output == *"in force from now on"* ]]
    is_ready() { enclaves | grep -q "^worker $1 ready"; }
    until_true is_ready 1
    [ "$(measurement_of_worker 0)" = "$old" ]
    [ "$(measurement_of_worker 1)" = "$new" ]

    # The load moves to the new one, and the other place follows.
    load_at 1 "$app.load1"
    load1=$!
    rm "$app.load0"
    wait "$load0"
    replace_worker 0
    [ "$(measurement_of_worker 0)" = "$new" ]
    run paranoid policy retire "$old" --app "$app" --json
    echo "$output"
    [ "$status" = 0 ]
    [[ $output == *'"in_force":true'* ]]
    rm "$app.load1"
    wait "$load1"
    cat "$app.load0.out" "$app.load1.out"
    grep -q "^[1-9][0-9]* requests" "$app.load0.out"
    grep -q "^[1-9][0-9]* requests" "$app.load1.out"

    # Who has nothing but a policy of before learns from the owner's statement that it is the same.
    run "$PARANOID_BIN/paranoid" attest verify --url "https://localhost:$(worker_port 1)" \
        --policy "$BATS_TEST_TMPDIR/before.policy" --json
    echo "$output"
    [ "$status" = 0 ]
    [[ $output == *"$new"* ]]

    # A leader that comes after has it from the capsule, and was told nothing else.
    kill -9 "$(enclave_pid leader 0)"
    until_true grep -q "leader leads term 2" "$up_log"
    until_true is_ready 0
    stop_app
    paranoid capsule verify --app "$app"
    run paranoid policy publish --app "$app"
    [ "$status" = 0 ]
    [[ $output == *"after the next 'paranoid up'"* ]]
}
