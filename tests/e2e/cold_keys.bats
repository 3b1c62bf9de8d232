#!/usr/bin/env bats
# A state that is larger than a worker's memory. Method: many keys through workers that may keep
# a fraction of them; then every process is killed. SEED=… repeats the keys that are drawn.
load helpers

KEYS=60000
MEMORY_MIB=4

setup() { make_app "$BATS_TEST_TMPDIR/app"; }

cold() { python3 "$BATS_TEST_DIRNAME/cold_keys.py" "$@" --app "$app" --keys "$KEYS" ${SEED:+--seed "$SEED"}; }

@test "p9 more keys than memory: gets, list and memory are right, also after kill -9 of everything" {
    start_app --workers 2 --threads 1 --memory "$MEMORY_MIB"
    before=$(cold rss)
    cold put
    cold get
    cold list
    # The bound: twice the memory, 4 MiB of blocks, and 48 MiB of rings, runs and batches that every
    # worker touches under load. In memory the keys alone would take 75 MiB.
    after=$(cold rss)
    echo "# resident: $before MiB, then $after MiB" >&3
    [ "$((after - before))" -lt 64 ]
    kill_app
    start_app --workers 2 --threads 1 --memory "$MEMORY_MIB"
    cold get
    cold list
    stop_app
    run paranoid capsule verify --app "$app"
    echo "$output"
    [ "$status" = 0 ]
}
