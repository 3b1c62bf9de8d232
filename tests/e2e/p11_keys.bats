#!/usr/bin/env bats
# P11: keys rotate and members go while the app is under load, with the real programs. Method:
# p11_keys.py puts at every worker meanwhile; then everything is killed and started again, and each
# put that was answered is read at each worker; then the capsule is verified offline.
load helpers

setup() {
    make_app "$BATS_TEST_TMPDIR/app"
    start_app --workers 2
}
teardown() { kill_app; }

# What was answered is there, now and after everything has begun anew.
assert_all_read() {
    python3 "$BATS_TEST_DIRNAME/p11_read.py" --app "$app" || { tail -n 50 "$up_log"; return 1; }
    kill_app
    start_app --workers 2
    python3 "$BATS_TEST_DIRNAME/p11_read.py" --app "$app"
}

# In the JSON of FILE, what the Python expression says of it as `it`.
say() {  # EXPRESSION FILE
    python3 -c 'import json, sys; it = json.load(open(sys.argv[2])); print(eval(sys.argv[1]))' "$1" "$2"
}

@test "p11 ten rotations under load lose nothing, also after a restart of everything" {
    run python3 "$BATS_TEST_DIRNAME/p11_keys.py" rotate --app "$app" --pid "$up"
    echo "$output"
    echo "$output" | sed 's/^/# /' >&3
    [ "$status" = 0 ]
    paranoid keys list --app "$app" --json >"$app.keys"
    [ "$(say '[key["key_epoch"] for key in it]' "$app.keys")" = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]" ]
    paranoid capsule log --app "$app" | grep 'SYNC.* begins key epoch 11'
    assert_all_read
    paranoid capsule verify --keys --app "$app"
    # A value that was written with an old key, by the owner offline.
    paranoid kv history p11-0-0 --app "$app" | grep '"value 0 0"'
}

@test "p11 a worker revoked while it writes at full speed ends at the record that the answer names" {
    run python3 "$BATS_TEST_DIRNAME/p11_keys.py" revoke --app "$app" --pid "$up"
    echo "$output"
    echo "$output" | sed 's/^/# /' >&3
    [ "$status" = 0 ]
    writer=$(say 'it["result"]["writer"]' "$app.answers")
    last=$(say 'it["result"]["last_sequence"]' "$app.answers")
    hash=$(say 'it["result"]["last_hash"]' "$app.answers")
    [ "$last" -gt 50 ]
    assert_all_read

    # Offline: its branch ends there, with that record, and verifies.
    paranoid capsule verify --keys --app "$app"
    paranoid capsule log --app "$app" --json >"$app.records"
    greatest=$(python3 -c '
import json, sys
own = [r for r in map(json.loads, open(sys.argv[2])) if r["writer"] == sys.argv[1]]
newest = max(own, key=lambda r: r["sequence"])
print(newest["sequence"], newest["hash"])' "$writer" "$app.records")
    [ "$greatest" = "$last $hash" ]
    paranoid capsule log --app "$app" | grep "REVOKE.* revokes ${writer:0:8}"
    paranoid capsule log --app "$app" | grep "CLOSE.* ends ${writer:0:8} at $last (revoked)"
    paranoid keys list --app "$app" | grep "revoked ${writer:0:8}"
    paranoid member list --app "$app" | grep "${writer:0:8} .* revoked"

    # It is not thrown out a second time, and somebody else takes its place.
    run paranoid member revoke "$writer" --app "$app"
    [ "$status" = 1 ]
    [[ "$output" == *"revoked before"* ]]
}

@test "p11 who does not take part cannot be revoked, nor can a leader" {
    run paranoid member revoke 99 --app "$app"
    [ "$status" = 1 ]
    [[ "$output" == *"no one member has that number or id"* ]]
    run paranoid member revoke 1 --app "$app"
    [ "$status" = 1 ]
    [[ "$output" == *"it is a leader"* ]]
}

# The key of the worker that writes, from its memory: $writer and $stolen.
steal_key() {
    [ "$(id -u)" = 0 ] || skip "only root reads the memory of a process that does not let itself be read"
    paranoid kv put before written --worker 1 --app "$app"
    writer=$(paranoid member list --app "$app" --json |
        python3 -c 'import json, sys; print(max((m for m in json.load(sys.stdin) if m["role"] == "worker" and m["state"] == "open"), key=lambda m: m["last_sequence"])["writer"])')
    for index in 0 1; do
        stolen=$("$tools/e2e_thief" steal "$(enclave_pid worker $index)" "$writer") && break
    done
    [ ${#stolen} = 64 ]
}

append_with_stolen_key() {  # KEY VALUE
    "$tools/e2e_thief" append "$app/genesis" "$app/host/capsule" "$app/owner/seed" "$stolen" "$1" "$2"
}

@test "p11 a record beyond the cut that is signed with the stolen key counts nowhere" {
    # With the key of a worker that nobody has thrown out it counts, so it is a good one.
    steal_key
    kill_app
    sequence=$(append_with_stolen_key stolen early)
    paranoid capsule verify --keys --app "$app"
    start_app --workers 2
    [ "$(paranoid kv get stolen --app "$app")" = early ]

    # Beyond the cut it does not, also where it lies on the disk: offline it counts for nothing, and
    # the store whose file somebody wrote it into names it and serves none of that.
    steal_key
    paranoid member revoke "$writer" --app "$app" --json >"$app.revoked"
    last=$(say 'it["last_sequence"]' "$app.revoked")
    kill_app
    cp -r "$app/host/capsule" "$app.capsule"
    records() { paranoid capsule info --app "$app" --json | sed -n 's/.*"records":\([0-9]*\).*/\1/p'; }
    before=$(records)
    sequence=$(append_with_stolen_key stolen late)
    [ "$sequence" = $((last + 1)) ]
    paranoid capsule verify --keys --app "$app"
    [ "$(records)" = "$before" ]
    paranoid capsule info --app "$app" --json | grep -q '"beyond":1[,}]'
    [ -z "$(paranoid kv history stolen --app "$app" | grep late)" ]
    launch_app --workers 2
    until_true grep -q "DATA $writer/$sequence: the branch was cut at $last" "$up_log"
    wait "$up" && return 1
    up=

    # With its own file the store is as before, and the branch ends where the answer said.
    rm -r "$app/host/capsule"
    cp -r "$app.capsule" "$app/host/capsule"
    start_app --workers 2
    [ "$(paranoid kv get stolen --app "$app")" = early ]
    stop_app
    paranoid capsule verify --keys --app "$app"
    paranoid member list --app "$app" --json >"$app.members"
    [ "$(say "[m['last_sequence'] for m in it if m['writer'] == '$writer']" "$app.members")" = "[$last]" ]
}
