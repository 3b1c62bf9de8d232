#!/usr/bin/env bats
# Workers without the JIT: functions do what they did, within their limits, and no page of the
# process is executable but those of the program and its libraries.
load helpers

setup_file() {
    make_app "$BATS_FILE_TMPDIR/app"
    export app up_log
    start_app --workers 1 --jit=off
    export up
    cat >"$BATS_FILE_TMPDIR/work.js" <<'END'
function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
exports.handler = (event, ctx) => {
    ctx.kv.put('last', 'x');
    return { fib: fib(20), sorted: [3, 1, 2].sort(), date: new Date(0).toISOString(), re: /a+/.test('caat') };
};
END
    echo 'exports.handler = () => { for (;;) {} }' >"$BATS_FILE_TMPDIR/endless.js"
    echo 'exports.handler = () => { const all = []; for (;;) all.push("x".repeat(1 << 16) + all.length); }' >"$BATS_FILE_TMPDIR/greedy.js"
    echo 'exports.handler = () => { const f = () => f() + 1; return f(); }' >"$BATS_FILE_TMPDIR/deep.js"
    for name in work endless greedy deep; do
        paranoid deploy "$BATS_FILE_TMPDIR/$name.js" --app "$app" >"$BATS_FILE_TMPDIR/$name.log" 2>&1
    done
    wait_for_function deep
}
teardown_file() { kill_app; }

@test "functions do what they did, within their limits" {
    run paranoid invoke work --app "$app"
    echo "$output"
    [ "$status" = 0 ]
    [[ $output == *'"fib":6765'*'1970-01-01T00:00:00.000Z'* ]]
    for name in endless greedy deep; do
        run paranoid invoke "$name" --app "$app"
        echo "$name: $output"
        [ "$status" != 0 ]
    done
    run paranoid invoke work --app "$app"
    [ "$status" = 0 ]
}

@test "p10 no memory of the process is both its own and executable" {
    pid=$(enclave_pid worker 0)
    paranoid invoke work --app "$app"
    run grep -E '^[0-9a-f-]+ ..x' "/proc/$pid/maps"
    echo "$output"
    [ "$status" = 0 ]
    ! grep -E ' 00:00 0 *$' <<<"$output"
}

@test "what is neither on nor off is refused" {
    run timeout "$patience_s" "$PARANOID_BIN/paranoid" up --app "$BATS_FILE_TMPDIR/other" --jit=perhaps
    [ "$status" != 0 ]
}
