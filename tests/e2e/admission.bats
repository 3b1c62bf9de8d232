#!/usr/bin/env bats
# Who is not what the owner's policy names gets nothing, and is told why. (That replayed evidence
# is refused is held by tests/leader.)
load helpers

setup() { make_app "$BATS_TEST_TMPDIR/app"; }
teardown() { kill_app; }

host_log_says() { grep -q "$1" "$app/host/host.log"; }

lists_worker() { enclaves | grep -q '^worker 0 '; }

no_worker_was_ready() {
    ! grep -q 'enclave ready role=worker' "$app/host/host.log"
}

# Run `up` to its end, which is a refusal.
refused_up() {
    run timeout "$patience_s" "$PARANOID_BIN/paranoid" up --app "$app" --port 0 --workers 1 "$@"
    echo "$output"
    [ "$status" = 1 ]
    no_worker_was_ready
}

@test "p3 a worker with another measurement is refused for that, again and again" {
    cp "$PARANOID_BIN/paranoid-enclave-js" "$BATS_TEST_TMPDIR/other-worker"
    printf '\0' >>"$BATS_TEST_TMPDIR/other-worker"
    launch_app --workers 1 --worker-program "$BATS_TEST_TMPDIR/other-worker"
    until_true host_log_says 'member refused.*measurement'
    # It says so to whoever looks, too.
    until_true lists_worker
    ! enclaves | grep '^worker' | grep ready || false
    [ "$(host_page /healthz)" != ok ]
    run curl -sS --noproxy '*' --max-time 3 --cacert "$app/tls-root.pem" "$(worker_url 0 /healthz)"
    [ "$status" != 0 ]
    grep -h measurement "$app/host/host.log" | tail -n 1
    no_worker_was_ready
    stop_app
    # What was refused is no member: the capsule names none.
    run paranoid capsule log --app "$app"
    ! echo "$output" | grep -i 'member.*worker'
}

@test "p3 an enclave with the debug bit is refused for that" {
    refused_up --debug-enclave
    [[ $output == *debug* ]]
}

@test "p3 simulated evidence is refused under a policy that does not allow it" {
    python3 - "$app/policy.json" <<'END'
import json, sys
policy = json.load(open(sys.argv[1]))
assert policy["allow_simulated"] is True
del policy["allow_simulated"]
json.dump(policy, open(sys.argv[1], "w"))
END
    refused_up
    [[ $output == *simulated* ]]
}

@test "p3 a leader with another measurement is refused, until the owner admits it" {
    mkdir "$BATS_TEST_TMPDIR/bin"
    cp "$PARANOID_BIN"/paranoid "$PARANOID_BIN"/paranoid-store "$PARANOID_BIN"/paranoid-enclave "$PARANOID_BIN"/paranoid-enclave-js "$BATS_TEST_TMPDIR/bin"
    printf '\0' >>"$BATS_TEST_TMPDIR/bin/paranoid-enclave"
    PARANOID_BIN=$BATS_TEST_TMPDIR/bin refused_up
    [[ $output == *measurement* ]]
    PARANOID_BIN=$BATS_TEST_TMPDIR/bin
    paranoid policy update --app "$app"
    start_app --workers 1
}

@test "p3 a policy with a field that nobody knows is refused" {
    sed -i '0,/{/s//{"allow_all": true, /' "$app/policy.json"
    run timeout "$patience_s" "$PARANOID_BIN/paranoid" up --app "$app" --port 0
    echo "$output"
    [ "$status" = 3 ] || [ "$status" = 1 ]
    [[ $output == *policy* ]]
}
