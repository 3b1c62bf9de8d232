#!/usr/bin/env bats
# A function that misbehaves is told so, within its limit, and the next one on the same worker is
# served. One worker with one lambda thread, so that there is no other to serve it.
load helpers

setup_file() {
    load helpers
    make_app "$BATS_FILE_TMPDIR/app"
    start_app --workers 1 --threads 1
    BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR
    deploy throws <<<"exports.handler = () => { throw new Error('on purpose'); };"
    deploy rejects <<<"exports.handler = async () => { throw new TypeError('later'); };"
    deploy loops --time-ms 300 <<<"exports.handler = () => { for (;;) { try { for (;;) {} } catch (e) {} } };"
    deploy chains --time-ms 300 <<<"exports.handler = () => { (async () => { for (;;) await 1; })(); return 1; };"
    deploy awaits --time-ms 300 <<<"exports.handler = async () => { for (;;) await 1; };"
    deploy never <<<"exports.handler = () => new Promise(() => {});"
    deploy allocates --time-ms 60000 --memory-bytes 67108864 <<<"exports.handler = () => { const all = []; for (;;) all.push({ a: new Array(100).fill(all.length) }); };"
    deploy fills --time-ms 60000 --memory-bytes 67108864 <<<"exports.handler = () => { const all = []; for (;;) all.push(new Uint8Array(1 << 20).fill(7)); };"
    deploy recurses <<<"const f = (n) => f(n + 1) + 1; exports.handler = () => f(0);"
    deploy returns_much --time-ms 60000 --memory-bytes 1073741824 <<<"exports.handler = () => 'x'.repeat(100 << 20);"
    deploy no_handler <<<"const x = 1;"
    deploy syntax <<<"this is not JavaScript {{{"
    deploy sorts --time-ms 1000 --memory-bytes 1073741824 <<<"exports.handler = () => { const a = new Float64Array(60e6); for (let i = 0; i < 1e6; i++) a[i] = (i * 7919) % 1e7; for (let n = 1e6; n < 60e6; n *= 2) a.copyWithin(n, 0, n); return a.sort()[0]; };"
    deploy good <<<"exports.handler = (event) => ({ got: event.body });"
    wait_for_function good
    export app up up_log
}

teardown_file() {
    load helpers
    kill_app
}

# The CPU time that a process has taken: of it a machine that is busy or stands still gives no more.
cpu_ms() {  # PID
    sed 's/.*) //' "/proc/$1/stat" | awk -v hz="$(getconf CLK_TCK)" '{ print int(($12 + $13) * 1000 / hz) }'
}

# refused NAME STATUS CODE MS: that answer, as JSON, for so much CPU time; and the next is served.
refused() {
    local pid start status
    pid=$(enclave_pid worker 0)
    start=$(cpu_ms "$pid")
    status=$(request_status 0 "/function/$1" --data-binary 'x')
    local ms=$(($(cpu_ms "$pid") - start))
    echo "$1: $status in $ms ms of CPU time, limit $4 ms: $(head -c 300 "$body")"
    [ "$status" = "$2" ]
    [ "$(error_code)" = "$3" ]
    [ "$ms" -lt "$4" ]
    serves_another
}

serves_another() {
    [ "$(request 0 /function/good --data-binary 'hello')" = '{"got":"hello"}' ]
}

# No && here: under it a failure inside would be none.
same_worker() {
    local before
    before=$(enclave_pid worker 0)
    "$@"
    [ "$(enclave_pid worker 0)" = "$before" ]
}

@test "a function that throws is a 500 that says what it threw" {
    same_worker refused throws 500 function_threw 1000
    grep -q 'on purpose' "$body"
    same_worker refused rejects 500 function_threw 1000
    grep -q later "$body"
}

@test "an endless loop ends at its time limit" {
    same_worker refused loops 500 time_limit 1500
}

@test "an endless chain of promises ends at its time limit, awaited or not" {
    same_worker refused awaits 500 time_limit 1500
    same_worker refused chains 500 time_limit 1500
}

@test "a promise that nothing settles is told so" {
    same_worker refused never 500 never_settled 1500
}

@test "allocating without bound ends at the memory limit" {
    same_worker refused allocates 500 memory_limit 5500
    same_worker refused fills 500 memory_limit 5500
}

@test "endless recursion is a 500" {
    same_worker refused recurses 500 function_threw 2000
}

@test "an answer of 100 MiB is refused" {
    same_worker refused returns_much 500 response_limit 5500
}

@test "what is not JavaScript, or has no handler, is told so" {
    same_worker refused syntax 422 not_javascript 1000
    same_worker refused no_handler 500 no_handler 1000
}

@test "an unknown function is a 404, and many bad ones in a row leave the worker well" {
    same_worker refused nothing_of_this_name 404 no_function 1000
    local name
    for name in throws awaits recurses syntax throws recurses; do
        same_worker refused "$name" "$(case $name in syntax) echo 422 ;; *) echo 500 ;; esac)" \
            "$(case $name in syntax) echo not_javascript ;; awaits) echo time_limit ;; *) echo function_threw ;; esac)" 2000
    done
}

@test "a native call that cannot be interrupted costs the process, and another takes its place" {
    local before start=$SECONDS
    before=$(enclave_pid worker 0)
    until_true ends_process
    until_true serves_another_quietly
    echo "served again after $((SECONDS - start)) s"
    [ "$(enclave_pid worker 0)" != "$before" ]
    serves_another
}

# The process went, and the connection with it. Not so where the machine stood still when it began:
# then it comes to its time limit before it comes to the native call.
ends_process() { ! request 0 /function/sorts --data-binary x -w '\n'; }

serves_another_quietly() { serves_another 2>/dev/null; }
