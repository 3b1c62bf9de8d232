#!/usr/bin/env bats
# P2, P4 to P7, P9: clients go on while processes are killed, stopped and started again and disks run
# full; then an independent judge reads what the clients were told. Method: chaos.py, tests/histories.
# CHAOS_SECONDS is how long (`./run chaos` asks for 300), SEED repeats a run's choices.
load helpers

setup() {
    make_app "$BATS_TEST_TMPDIR/app"
    disks=
    if mount -t tmpfs -o size=2g,mode=700 tmpfs "$app/host/capsule" 2>/dev/null; then
        disks="--disk $app/host/capsule"  # only root may
    fi
}

teardown() {
    if [ -n "$disks" ]; then
        umount "$app/host/capsule"
    fi
}

@test "p4 p5 p6 what was answered survives chaos, and all workers agree in the end" {
    # shellcheck disable=SC2086
    run python3 "$BATS_TEST_DIRNAME/chaos.py" --app "$app" --history "$BATS_TEST_TMPDIR/history.jsonl" \
        --seconds "${CHAOS_SECONDS:-30}" --workers 6 $disks ${SEED:+--seed "$SEED"}
    echo "$output"
    echo "$output" | grep -v -e ' kill ' -e ' stop ' -e ' fill ' | sed 's/^/# /' >&3
    if [ "$status" != 0 ]; then
        mkdir -p "$source_directory/build/log"
        cp "$BATS_TEST_TMPDIR/history.jsonl" "$source_directory/build/log/chaos.jsonl"
        echo "the history is build/log/chaos.jsonl"
        tail -n 100 "$up_log"
    fi
    [ "$status" = 0 ]
    run paranoid capsule verify --app "$app"
    echo "$output"
    [ "$status" = 0 ]
}
