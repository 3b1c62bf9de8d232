#!/usr/bin/env bats
# P10: what an enclave can reach of its machine, looked at from outside while it works: each call
# that it makes (strace), its descriptors, its file system, its network, its rights.
load helpers

setup() { make_app "$BATS_TEST_TMPDIR/app"; }

teardown() {
    stop_tracer
    kill_app
}

start_work() {  # OPTION...: of `paranoid up`
    start_app --workers 1 "$@"
    deploy work <<'END'
exports.handler = async (event, ctx) => {
    ctx.kv.put('work/' + ctx.worker, event.body);
    ctx.log('worked');
    await null;
    const sorted = Array.from({ length: 2000 }, (_, i) => (i * 7919) % 1000).sort((a, b) => a - b);
    const there = new Date().toLocaleString('de-DE', { timeZone: 'Asia/Tokyo', timeZoneName: 'long' });
    return { sorted: sorted.length, there, list: ctx.kv.list('work/').entries.length };
};
END
    deploy litter <<'END'
exports.handler = () => {
    let kept = [];
    for (let i = 0; i < 300000; i++) {
        kept.push({ number: i, text: 'x' + i });
        if (kept.length > 50000) kept = [];
    }
    return kept.length;
};
END
    deploy endless <<<"exports.handler = () => { for (;;) {} }"
    wait_for_function endless
}

# ---- traces ----

# The calls that docs/threat_model.md allows a role: the first column of its table. With a second
# word, those that it says are shown by that.
allowed_calls() {  # ROLE [SHOWN]
    sed -n "/^### .* $1\$/,/^###/s/^| \([a-z_0-9]*\) |.*| ${2-.*} |\$/\1/p" \
        "$source_directory/docs/threat_model.md" | grep -v -x call | sort -u
}

start_tracer() {  # PID
    rm -f "$BATS_TEST_TMPDIR/trace"
    strace -f -q -p "$1" -o "$BATS_TEST_TMPDIR/trace" 2>"$BATS_TEST_TMPDIR/strace" 3>&- &
    tracer=$!
    until_true test -s "$BATS_TEST_TMPDIR/trace"
}

stop_tracer() {
    if [ -n "${tracer-}" ]; then
        kill -INT "$tracer" 2>/dev/null || true
        wait "$tracer" || true
        tracer=
    fi
}

made_calls() {
    sed -n 's/^[0-9]* *\(<\.\.\. \)\{0,1\}\([a-z_0-9]*\)[( ].*/\2/p' "$BATS_TEST_TMPDIR/trace" | sort -u
}

made_only_what_is_allowed() {  # ROLE
    echo "$1: $(wc -l <"$BATS_TEST_TMPDIR/trace") calls of these kinds: $(made_calls | xargs)"
    [ "$(allowed_calls "$1" | wc -l)" -gt 10 ]
    made_calls | grep -q futex
    [ -z "$(comm -13 <(allowed_calls "$1") <(made_calls))" ]
}

# Enough to have seen some epochs, which are the leader's work.
has_lines() { [ "$(wc -l <"$BATS_TEST_TMPDIR/trace")" -ge "$1" ]; } 2>/dev/null

start_load() {
    touch "$BATS_TEST_TMPDIR/busy"
    client load --app "$app" --while "$BATS_TEST_TMPDIR/busy" --function work --key key- --marker value 3>&- &
    load=$!
}

stop_load() {
    rm "$BATS_TEST_TMPDIR/busy"
    wait "$load"
}

thread_count() { find "/proc/$1/task" -mindepth 1 -maxdepth 1 | wc -l; }
has_fewer_threads() { [ "$(thread_count "$1")" -lt "$2" ]; }

litter() { paranoid invoke litter --app "$app" >"$BATS_TEST_TMPDIR/littered"; }
litter_in_new_thread() { litter && made_calls | grep -q -x sched_setscheduler; }

# JavaScriptCore's timer thread now and then fails an assertion of its own when it is traced on a
# busy machine, and aborts without a word; a CHECK of ours says which one failed.
has_engine_aborted() {
    grep -q 'SIG_UNBLOCK, \[ABRT\]' "$BATS_TEST_TMPDIR/trace" &&
        ! grep -q 'write(2, ' "$BATS_TEST_TMPDIR/trace"
}

# Whatever makes worker 0 ($pid) make its calls; $has_worked. False: its engine has aborted, and
# another one begins.
trace_work() {
    wait_for_function endless
    pid=$(enclave_pid worker 0)
    start_tracer "$pid"
    start_load
    has_worked=no
    if litter && ! paranoid invoke endless --app "$app" && litter; then
        has_worked=yes
    fi
    stop_load || has_worked=no
    if has_engine_aborted; then
        stop_tracer
        return 1
    fi
}

# A worker does all that it can, and each call of the engine that is allowed is made.
assert_worker_makes_all_calls() {
    local pid many has_worked lives=1
    until trace_work; do
        lives=$((lives + 1))
        [ "$lives" -le 3 ]
    done
    [ "$has_worked" = yes ]
    # The engine's idle threads end after ten seconds, and new ones come when there is work again.
    many=$(thread_count "$pid")
    until_true has_fewer_threads "$pid" "$many"
    until_true litter_in_new_thread
    stop_tracer
    made_only_what_is_allowed worker
    [ "$(allowed_calls worker trace | wc -l)" -ge 8 ]
    echo "allowed for the engine, and not made: $(comm -23 <(allowed_calls worker trace) <(made_calls) | xargs)"
    [ -z "$(comm -23 <(allowed_calls worker trace) <(made_calls))" ]
    [ "$(enclave_pid worker 0)" = "$pid" ]
}

@test "p10 a worker makes no call that the threat model does not list, and its engine all that it does" {
    start_work
    assert_worker_makes_all_calls
}

@test "p10 without JIT the calls are the same" {
    start_work --jit=off
    assert_worker_makes_all_calls
}

@test "p10 under load the leader makes no call that the threat model does not list" {
    local pid
    start_work
    pid=$(enclave_pid leader 0)
    start_tracer "$pid"
    start_load
    until_true has_lines 200
    stop_load
    stop_tracer
    made_only_what_is_allowed leader
    [ "$(enclave_pid leader 0)" = "$pid" ]
}

@test "p10 enclaves hold no file, no socket, no network, no capability, and an empty root" {
    local role pid task link
    start_app --workers 1
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
        ! grep -q '[^[:space:]]' <(tail -n +2 "/proc/$pid/net/route") || false
        for namespace in user mnt pid ipc uts net; do
            [ "$(readlink "/proc/$pid/ns/$namespace")" != "$(readlink "/proc/$$/ns/$namespace")" ]
        done
        # Nothing of it is dumped, and no core is written.
        grep -q '^Max core file size *0 *0 ' "/proc/$pid/limits"
    done
}
