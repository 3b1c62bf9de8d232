#!/usr/bin/env bats
# P2, P4 to P7, P9: clients go on while processes are killed, stopped and started again and disks run
# full; then an independent judge reads what the clients were told. Method: chaos.py, tests/histories.
# CHAOS_SECONDS is how long (`./run chaos` asks for 300), SEED repeats a run's choices.
load helpers

setup() { disks=; }

teardown() {
    if [ -n "$disks" ]; then
        umount "$disks"
    fi
}

# small_disk STORE: of its own, for a store that does not exist yet. Only root may mount one.
small_disk() {
    if mount -t tmpfs -o size=2g,mode=700 tmpfs "$app/host/$1" 2>/dev/null; then
        disks=$app/host/$1
    fi
}

# chaos SECONDS OPTION...
chaos() {
    local seconds=$1
    shift
    run python3 "$BATS_TEST_DIRNAME/chaos.py" --app "$app" --history "$BATS_TEST_TMPDIR/history.jsonl" \
        --seconds "$seconds" --workers 6 ${disks:+--disk "$disks"} ${SEED:+--seed "$SEED"} "$@"
    echo "$output"
    echo "$output" | grep -v -e ' kill ' -e ' stop ' -e ' fill ' | sed 's/^/# /' >&3
    if [ "$status" != 0 ]; then
        mkdir -p "$source_directory/build/log"
        cp "$BATS_TEST_TMPDIR/history.jsonl" "$source_directory/build/log/chaos.jsonl"
        cp "$app/host/host.log" "$source_directory/build/log/chaos_host.log"
        echo "the history is build/log/chaos.jsonl, the host's log build/log/chaos_host.log"
        tail -n 100 "$up_log"
    fi
    [ "$status" = 0 ]
}

verifies() {  # [DIR]
    run paranoid capsule verify --app "$app" "$@"
    echo "$output"
    [ "$status" = 0 ]
}

# Bytes were flipped in DIR: where nobody has read them since, they are found now, and there alone.
verifies_but_for() {  # DIR
    paranoid capsule verify --app "$app" --json >"$BATS_TEST_TMPDIR/facts" || [ $? = 1 ]
    python3 - "$BATS_TEST_TMPDIR/facts" "$1" <<'PYTHON'
import json, sys
facts = json.load(open(sys.argv[1]))
damaged = [store["directory"] for store in facts["held"] if store["reason"] is not None]
assert facts["verified"] and damaged in ([], [sys.argv[2]]), facts
PYTHON
}

@test "p4 p5 p6 p7 what was answered survives chaos and a damaged store of three, and all agree in the end" {
    app=$BATS_TEST_TMPDIR/app
    up_log=$app.log
    paranoid init "$app" --name e2e --stores 3 --receipts 2
    mkdir -p "$app/host/capsule-3"
    small_disk capsule-3
    chaos "${CHAOS_SECONDS:-30}" --flip "$app/host/capsule-2"
    verifies_but_for "$app/host/capsule-2"
}

@test "p4 p5 p6 p7 what was answered survives chaos with one store, and all agree in the end" {
    make_app "$BATS_TEST_TMPDIR/app"
    small_disk capsule
    chaos 20
    verifies
}
