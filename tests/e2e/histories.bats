#!/usr/bin/env bats
# The judge of histories (tests/histories) is judged, before it judges us.
check() { python3 "$BATS_TEST_DIRNAME/../histories/check.py" "$@"; }

@test "the judge gives the known verdicts on the histories of others" {
    run timeout 600 python3 "$BATS_TEST_DIRNAME/../histories/check.py" known "$PARANOID_SHARED/vectors/histories"
    echo "$output"
    [ "$status" = 0 ]
}

@test "the judge accepts our good histories, and refuses each bad one for the promise it breaks" {
    run check own "$BATS_TEST_DIRNAME/../histories"
    echo "$output"
    [ "$status" = 0 ]
    # Each promise has a history that breaks it.
    for promise in P2 P4 P5 P6 P7; do
        echo "$output" | grep -q "^ok bad/.*: $promise: "
    done
}

@test "the judge says so when a file is no history" {
    printf '{"process": 0, "type": "ok", "f": "put"}\n' >"$BATS_TEST_TMPDIR/told_unasked.jsonl"
    run check promises "$BATS_TEST_TMPDIR/told_unasked.jsonl"
    [ "$status" = 3 ]
    run check promises "$BATS_TEST_TMPDIR/absent.jsonl"
    [ "$status" = 3 ]
    run check
    [ "$status" = 2 ]
}
