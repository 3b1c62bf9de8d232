#!/usr/bin/env bats
# P4: what was answered survives kill -9 of every process. Method: p4_kill.py, with the real
# programs and a real disk. SEED=… repeats a run's choices.
load helpers

setup() { make_app "$BATS_TEST_TMPDIR/app"; }

@test "p4 every put that was answered outlives five kills of all processes, on every worker" {
    run python3 "$BATS_TEST_DIRNAME/p4_kill.py" --app "$app" --keys 10000 --kills 5 ${SEED:+--seed "$SEED"}
    echo "$output"
    echo "$output" | sed 's/^/# /' >&3
    if [ "$status" != 0 ]; then
        tail -n 40 "$up_log"
    fi
    [ "$status" = 0 ]
    run paranoid capsule verify --app "$app"
    echo "$output"
    [ "$status" = 0 ]
}
