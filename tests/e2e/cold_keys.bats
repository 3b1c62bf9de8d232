#!/usr/bin/env bats
# A state that is larger than a worker's memory. Method: many keys through workers that may keep
# a fraction of them; then every process is killed. SEED=… repeats the keys that are drawn.
load helpers

KEYS=60000
MEMORY_MIB=4

setup() { make_app "$BATS_TEST_TMPDIR/app"; }
teardown() { kill_app; }

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

# KEYS_MANY=1000000 (./run cold) is what the bounds are stated for; fewer show that this works.
@test "p9 many keys: memory, reads and the disk after PRUNE stay within their bounds" {
    KEYS=${KEYS_MANY:-20000}
    MEMORY_MIB=${MEMORY_MANY:-2}
    sed -i '0,/{/s//{"retention_s": 1, /' "$app/policy.json"
    start_app --workers 4 --threads 1 --memory "$MEMORY_MIB"
    deploy cold <"$BATS_TEST_DIRNAME/cold_keys.js"
    wait_for_function cold
    before=$(cold rss)
    cold fill >&3 || { tail -n 30 "$up_log"; return 1; }
    after=$(cold rss)
    bound=$(cold bound --memory "$MEMORY_MIB")
    echo "# resident: $before MiB, then $after MiB; bound: $bound MiB more" >&3
    [ "$((after - before))" -le "$bound" ]
    cold read >&3
    after=$(cold rss)
    echo "# resident after reading: $after MiB" >&3
    [ "$((after - before))" -le "$bound" ]
    # A few segments are being written, or prepared: with few keys they are most of what there is.
    cold disk --times "${TIMES_MANY:-20}" >&3
    stop_app
    run paranoid capsule verify --app "$app"
    echo "$output" | tail -n 5 >&3
    [ "$status" = 0 ]
}
