#!/usr/bin/env bats
# What epochs cost. Method: real programs, counted from outside: records, CPU time, and what the
# capsule itself tells of who had joined what. EPOCH_S=60 measures for longer.
load helpers

setup() {
    make_app "$BATS_TEST_TMPDIR/app"
    start_app --workers 3
}

teardown() { kill_app; }

epochs() { python3 "$BATS_TEST_DIRNAME/epochs.py" "$@" --app "$app" --seconds "${EPOCH_S:-10}"; }

@test "an epoch on an idle app costs nothing: no record, no CPU time" {
    epochs idle >"$BATS_TEST_TMPDIR/idle" || { cat "$BATS_TEST_TMPDIR/idle"; return 1; }
    sed 's/^/# /' "$BATS_TEST_TMPDIR/idle" >&3
}

@test "p5 under load a worker is at most two epochs behind, p99" {
    epochs load >"$BATS_TEST_TMPDIR/load" || { cat "$BATS_TEST_TMPDIR/load"; return 1; }
    sed 's/^/# /' "$BATS_TEST_TMPDIR/load" >&3
}
