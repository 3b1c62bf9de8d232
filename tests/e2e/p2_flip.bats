#!/usr/bin/env bats
# P2: not one byte of a store can change unseen. Method: a small capsule with records of every kind
# that there is; flip each of its bytes in turn, in a copy. Every byte goes through the code that
# `paranoid capsule verify` is made of (flip.c), several hundred through the program itself.
load helpers

setup() {
    make_app "$BATS_TEST_TMPDIR/app"
    start_app --workers 1
    deploy echo <<<"exports.handler = (event) => event.body;"
    [ "$(request_status 0 /kv/key -X PUT --data-binary value)" = 204 ]
    [ "$(request_status 0 /kv/key -X DELETE)" = 204 ]
    stop_app

    copy=$BATS_TEST_TMPDIR/copy
    mkdir -p "$copy/host"
    cp -r "$app/host/capsule" "$copy/host/capsule"
    cp "$app/genesis" "$app/capsule.name" "$app/policy.json" "$copy"
    cp "$app/host/genesis" "$copy/host/genesis"
    mkdir "$copy/owner"
    segment=$copy/host/capsule/segment-00000001
    [ "$(ls "$copy/host/capsule"/segment-* | wc -l)" = 1 ]
    # Where the log ends: behind the last byte that is not zero, and a little tail.
    end=$(python3 -c 'import sys; print(len(open(sys.argv[1], "rb").read().rstrip(b"\0")))' "$segment")
    end=$(((end + 8) & ~7))
}

teardown() { kill_app; }

@test "p2 each byte of a capsule that is flipped is seen, and its place named" {
    # A shorter file of the same log: 64 MiB of zeroes behind it are only slower.
    truncate -s $((end + 512)) "$segment"
    local half=$((end / 2)) other=$BATS_TEST_TMPDIR/other first second status=0
    cp -r "$copy" "$other"
    "$tools/e2e_flip" "$copy/genesis" "$copy/host/capsule" 0 "$half" >"$BATS_TEST_TMPDIR/first" 3>&- &
    first=$!
    "$tools/e2e_flip" "$other/genesis" "$other/host/capsule" "$half" $((end + 512)) >"$BATS_TEST_TMPDIR/second" || status=$?
    wait "$first" || status=$?
    echo "# $end bytes of log, and 512 zeroes behind it" >&3
    sed 's/^/# /' "$BATS_TEST_TMPDIR/first" "$BATS_TEST_TMPDIR/second" | tail -n 60 >&3
    [ "$status" = 0 ]
}

@test "p2 the program itself refuses several hundred of them with status 1, and says where" {
    run paranoid capsule verify --app "$copy"
    echo "$output"
    [ "$status" = 0 ]
    python3 "$BATS_TEST_DIRNAME/flip_sample.py" "$copy" "$segment" "$end" 400
    run paranoid capsule verify --app "$copy"
    [ "$status" = 0 ]
}
