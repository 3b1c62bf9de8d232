#!/usr/bin/env bats
# P10: what an enclave can reach of its machine, looked at from outside while it works: each call
# that it makes (strace), its descriptors, its file system, its network, its rights.
load helpers

setup() {
    make_app "$BATS_TEST_TMPDIR/app"
    start_app --workers 1
    deploy work <<'END'
exports.handler = async (event, ctx) => {
    ctx.kv.put('work/' + ctx.worker, event.body);
    ctx.log('worked');
    await null;
    const sorted = Array.from({ length: 2000 }, (_, i) => (i * 7919) % 1000).sort((a, b) => a - b);
    return { sorted: sorted.length, date: new Date().toISOString(), list: ctx.kv.list('work/').entries.length };
};
END
    wait_for_function work
}

teardown() {
    if [ -n "${tracer-}" ] && kill -0 "$tracer" 2>/dev/null; then
        kill -INT "$tracer"
        wait "$tracer" || true
    fi
    kill_app
}

# The calls that docs/threat_model.md allows a role: the first column of its table.
allowed_calls() { sed -n "/^#.* $1/,/^#/s/^| \`\{0,1\}\([a-z_0-9]*\)\`\{0,1\} |.*/\1/p" "$source_directory/docs/threat_model.md"; }

traced_calls() { sed -n 's/^[0-9]* *\(<\.\.\. \)\{0,1\}\([a-z_0-9]*\)[( ].*/\2/p' "$1" | sort -u; }

# Enough to have seen some epochs, which are the leader's work.
traces() { [ "$(wc -l <"$BATS_TEST_TMPDIR/trace")" -ge 200 ]; } 2>/dev/null

@test "p10 under load neither worker nor leader makes a call that the threat model does not list" {
    local role pid load
    for role in worker leader; do
        pid=$(enclave_pid $role 0)
        allowed_calls $role | sort -u >"$BATS_TEST_TMPDIR/allowed"
        [ "$(wc -l <"$BATS_TEST_TMPDIR/allowed")" -gt 10 ]
        rm -f "$BATS_TEST_TMPDIR/trace"
        strace -f -q -p "$pid" -o "$BATS_TEST_TMPDIR/trace" 2>"$BATS_TEST_TMPDIR/strace" 3>&- &
        tracer=$!
        touch "$BATS_TEST_TMPDIR/busy"
        client load --app "$app" --while "$BATS_TEST_TMPDIR/busy" --function work --key key- --marker value 3>&- &
        load=$!
        until_true 20 traces || { cat "$BATS_TEST_TMPDIR/strace"; false; }
        rm "$BATS_TEST_TMPDIR/busy"
        wait "$load"
        kill -INT "$tracer"
        wait "$tracer" || true
        tracer=
        traced_calls "$BATS_TEST_TMPDIR/trace" >"$BATS_TEST_TMPDIR/made"
        echo "$role: $(wc -l <"$BATS_TEST_TMPDIR/trace") calls of these kinds: $(xargs <"$BATS_TEST_TMPDIR/made")"
        grep -q futex "$BATS_TEST_TMPDIR/made"
        [ -z "$(comm -13 "$BATS_TEST_TMPDIR/allowed" "$BATS_TEST_TMPDIR/made")" ]
        [ "$(enclave_pid $role 0)" = "$pid" ]
    done
}

@test "p10 enclaves hold no file, no socket, no network, no capability, and an empty root" {
    local role pid task link
    for role in worker leader; do
        pid=$(enclave_pid $role 0)
        for task in "/proc/$pid/task"/*; do
            grep -E '^(Cap(Inh|Prm|Eff|Amb)|Seccomp|NoNewPrivs):' "$task/status" | tr -s '\t ' ' ' >"$BATS_TEST_TMPDIR/rights"
            diff "$BATS_TEST_TMPDIR/rights" - <<'END'
CapInh: 0000000000000000
CapPrm: 0000000000000000
CapEff: 0000000000000000
CapAmb: 0000000000000000
NoNewPrivs: 1
Seccomp: 2
END
        done
        for link in "/proc/$pid/fd"/*; do
            echo "$role $(basename "$link"): $(readlink "$link")"
            case $role:$(readlink "$link") in
            *:'anon_inode:[eventfd]' | *:pipe:*) ;;
            # Opened before; their file systems have gone from its sight.
            worker:/urandom | worker:/dev/urandom | worker:"/$pid/statm" | worker:"/proc/$pid/statm") ;;
            *) false ;;
            esac
        done
        [ "$(ls -l "/proc/$pid/fd" | grep -c pipe:)" -le 1 ]  # stderr, which the host reads
        [ -z "$(ls -A "/proc/$pid/root/")" ]
        [ "$(wc -l <"/proc/$pid/mountinfo")" = 1 ]
        [ "$(readlink "/proc/$pid/cwd")" = / ]
        [ "$(sed -n '3,$s/^ *\([^:]*\):.*/\1/p' "/proc/$pid/net/dev")" = lo ]
        ! grep -q '[^[:space:]]' <(tail -n +2 "/proc/$pid/net/route")
        for namespace in user mnt pid ipc uts net; do
            [ "$(readlink "/proc/$pid/ns/$namespace")" != "$(readlink "/proc/$$/ns/$namespace")" ]
        done
        # Nothing of it is dumped, and no core is written.
        grep -q '^Max core file size *0 *0 ' "/proc/$pid/limits"
    done
}
