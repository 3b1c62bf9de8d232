#!/usr/bin/env bats
# The programs ask the TEE of their machine for evidence, and refuse what they get when it leads to
# no root of its vendor. The machine has none: a library beneath the real programs plays Linux's
# configfs-tsm or Gramine, with evidence in the vendors' formats under a root of our own.
load helpers

setup() { make_app "$BATS_TEST_TMPDIR/app"; }
teardown() { kill_app; }

# up_on TEE: run `up` on a machine of that kind to its end, which is a refusal.
up_on() {
    run env LD_PRELOAD="$tools/fake_tee.so" PARANOID_FAKE_TEE="$1" \
        timeout "$patience_s" "$PARANOID_BIN/paranoid" up --app "$app" --port 0 --workers 1 --tee hardware
    echo "$output"
    cat "$app/host/host.log"
}

host_log_says() { grep -q "$1" "$app/host/host.log"; }

no_worker_was_ready() { ! host_log_says 'enclave ready role=worker'; }

@test "p2 a leader in a TDX guest whose vendor is not Intel is refused" {
    up_on tdx
    [ "$status" = 1 ]
    [[ $output == *"refusing the leader"*"(chain)"*"the root 'Intel SGX Root CA'"* ]]
    host_log_says 'host started .* tee=tdx'
    no_worker_was_ready
}

@test "p2 a leader in an SEV-SNP guest whose vendor is not AMD is refused" {
    up_on sev-snp
    [ "$status" = 1 ]
    [[ $output == *"refusing the leader"*"(chain)"*"the root 'ARK-Genoa'"* ]]
    host_log_says 'host started .* tee=sev-snp'
    no_worker_was_ready
}

@test "p2 a worker in Gramine whose vendor is not Intel is refused by the leader" {
    # The host starts programs with an empty environment: the worker brings its machine with it.
    cat >"$BATS_TEST_TMPDIR/worker-in-gramine" <<END
#!/bin/sh
export LD_PRELOAD=$tools/fake_tee.so PARANOID_FAKE_TEE=sgx
exec $PARANOID_BIN/paranoid-enclave-js
END
    chmod +x "$BATS_TEST_TMPDIR/worker-in-gramine"
    launch_app --workers 1 --worker-program "$BATS_TEST_TMPDIR/worker-in-gramine"
    until_true host_log_says 'member refused.*tee=sgx.*reason=chain'
    no_worker_was_ready
    [ "$(host_page /healthz)" != ok ]
}

@test "a machine without a TEE is told so, and what to do" {
    run timeout "$patience_s" "$PARANOID_BIN/paranoid" up --app "$app" --port 0 --workers 1 --tee hardware
    echo "$output"
    [ "$status" = 3 ]
    [[ $output == *"cannot ask the TEE of this machine"* ]]
    run timeout "$patience_s" "$PARANOID_BIN/paranoid" up --app "$app" --port 0 --tee none
    [ "$status" != 0 ]
}

# Doctor's findings, one line each: state, what, text, and whether there is a remedy.
findings() {  # [TEE]
    env ${1:+LD_PRELOAD="$tools/fake_tee.so" PARANOID_FAKE_TEE="$1"} \
        "$PARANOID_BIN/paranoid" doctor --app "$app" --json >"$BATS_TEST_TMPDIR/doctor.json"
    python3 -c '
import json, sys
for f in json.load(open(sys.argv[1])):
    print(f["state"], f["what"] + ":", f["text"], "| remedy" if f["remedy"] else "|")' "$BATS_TEST_TMPDIR/doctor.json"
}

@test "doctor says which TEE there is, by which interface, and whom the policy would refuse" {
    run findings
    echo "$output"
    [ "$status" = 0 ]
    grep -q '^note tee: simulated: no /dev/attestation' <<<"$output"
    grep -q '^ok worker, simulated: would be admitted: tee=simulated UpToDate' <<<"$output"
    grep -q '^ok collateral, simulated: good until 20' <<<"$output"
    for tee in tdx sev-snp sgx; do
        run findings "$tee"
        echo "$output"
        grep -q "^ok tee: $tee, by " <<<"$output"
        grep -q '^note worker, hardware: would be refused (chain): .*| remedy' <<<"$output"
    done
}

@test "doctor says when the collateral is about to end, and what then would be refused" {
    # The vendor's statement is an hour old, and the policy takes it for 30 days.
    ahead() {  # DAYS: what doctor says then
        LD_PRELOAD="$tools/clock.so" PARANOID_CLOCK_AHEAD_S=$(($1 * 86400)) run paranoid doctor --app "$app"
        echo "$output"
    }
    ahead 20
    [ "$status" = 0 ]
    [[ $output == *"ok    collateral, simulated"*"good until"* ]]
    ahead 24
    [ "$status" = 0 ]
    [[ $output == *"note  collateral, simulated"*"good only until"* ]]
    [[ $output == *"'paranoid up' has the simulated vendor state it anew"* ]]
    ahead 31
    [ "$status" = 1 ]
    [[ $output == *"bad   leader, simulated"*"would be refused (collateral)"*"older than 30 days"* ]]
    ahead 400
    [ "$status" = 1 ]
    [[ $output == *"bad   worker, simulated"*"would be refused (collateral_expired)"* ]]
    # A policy that takes it for longer is asked for longer.
    sed -i 's/"max_collateral_age_days": 30/"max_collateral_age_days": 300/' "$app/policy.json"
    ahead 31
    [ "$status" = 0 ]
    [[ $output == *"ok    collateral, simulated"*"good until"* ]]
}

@test "doctor says what is bad when no way is open, with a remedy each" {
    sed -i 's/"allow_simulated": true/"allow_simulated": false/' "$app/policy.json"
    run paranoid doctor --app "$app"
    echo "$output"
    [ "$status" = 1 ]
    [[ $output == *"bad   worker, simulated  would be refused (simulated_not_allowed)"* ]]
    run findings tdx
    [ "$(grep -c '^bad .*, hardware: would be refused (chain).*| remedy' <<<"$output")" = 3 ]
    rm "$app/host/platform"
    run paranoid doctor --app "$app"
    [[ $output == *"bad   simulated platform "*"'paranoid up' makes them anew"* ]]
}
