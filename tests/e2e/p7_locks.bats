#!/usr/bin/env bats
# P7: what is counted under a lock is counted once, on whatever worker, while workers are killed.
# Method: p7_locks.py, with the real programs. SEED=… repeats a run's choices. Then conditions of
# HTTP and the errors of locks, by hand.
load helpers

setup() { make_app "$BATS_TEST_TMPDIR/app"; }
teardown() { kill_app; }

@test "p7 increments under a lock and by If-Match are lost on no worker, while workers are killed" {
    run python3 "$BATS_TEST_DIRNAME/p7_locks.py" --app "$app" --increments 400 --kills 6 ${SEED:+--seed "$SEED"}
    echo "$output"
    echo "$output" | sed 's/^/# /' >&3
    if [ "$status" != 0 ]; then
        tail -n 40 "$up_log"
    fi
    [ "$status" = 0 ]
    run paranoid capsule verify --app "$app"
    echo "$output"
    [ "$status" = 0 ]
}

@test "p7 one of two writes that name the same version wins, whichever worker they go to" {
    start_app --workers 2
    [ "$(request_status 0 /kv/seat -X PUT -H 'If-None-Match: *' --data ada)" = 204 ]
    [ "$(request_status 1 /kv/seat -X PUT -H 'If-None-Match: *' --data bob)" = 412 ]
    [ "$(error_code)" = precondition_failed ]
    [ "$(request_status 0 /kv/seat)" = 200 ]
    tag=$(header etag)
    [ "$(request_status 1 /kv/seat -X PUT -H "If-Match: $tag" --data carol)" = 204 ]
    [ "$(request_status 0 /kv/seat -X PUT -H "If-Match: $tag" --data dave)" = 412 ]
    [ "$(request_status 0 /kv/seat -X DELETE -H "If-Match: $tag")" = 412 ]
    [ "$(request 0 /kv/seat)" = carol ]
    [ "$(request_status 1 /kv/seat -X DELETE -H 'If-Match: *')" = 204 ]
    [ "$(request_status 0 /kv/seat -X PUT -H 'If-Match: *' --data eve)" = 412 ]
}

@test "p7 what a function puts under a lock is its own until it counts, and then everybody's" {
    start_app --workers 2 --threads 2
    deploy locked --public <<'END'
exports.handler = async (event, ctx) => {
    const kv = ctx.kv;
    const seen = [];
    if (event.body !== 'go') {
        return seen;  // only asked whether it is here
    }
    ctx.lock('a', () => {
        kv.put('x/1', 'new');
        kv.put('x/2', 'two');
        kv.delete('x/0');
        seen.push(kv.get('x/1'), kv.get('x/0') ?? null);
        seen.push(kv.list('x/').entries.map((entry) => entry.key).join());
        try {
            ctx.lock('a', () => {});
        } catch (error) {
            seen.push(error.code);
        }
        ctx.lock('b', () => kv.put('x/3', 'inner'));
        seen.push(kv.get('x/3'));
    });
    try {
        ctx.lock('a', () => { kv.put('x/1', 'forgotten'); throw new Error('no'); });
    } catch (error) {
        seen.push(error.message, kv.get('x/1'));
    }
    seen.push(await ctx.lock('a', async () => { await null; kv.put('x/4', 'later'); return 4; }));
    const version = kv.version('x/4');
    seen.push(kv.cas('x/4', version, 'swapped'), kv.cas('x/4', version, 'too late'), kv.get('x/4'));
    seen.push(kv.cas('x/5', undefined, 'first'), kv.cas('x/5', undefined, 'second'));
    return seen;
};
END
    wait_for_function locked
    [ "$(request_status 0 /kv/x%2F0 -X PUT --data old)" = 204 ]
    [ "$(request_status 0 /function/locked --data go)" = 200 ]
    cat "$body"
    [ "$(cat "$body")" = '["new",null,"x/1,x/2","lock_held","inner","no","new",4,true,false,"swapped",true,false]' ]
    version=$(header x-paranoid-version)
    [ "$(request 1 /kv/x%2F1 -H "X-Paranoid-After: $version")" = new ]
    [ "$(request 1 /kv/x%2F4)" = swapped ]
    [ "$(request_status 1 /kv/x%2F0)" = 404 ]
}

# Both at once; what they are told is in "both". False: one had ended before the other began.
embrace() {
    request 0 /function/embrace --data 'a b' -w ' %{http_code}\n' >"$BATS_TEST_TMPDIR/one" &
    local one=$!
    request 1 /function/embrace --data 'b a' -w ' %{http_code}\n' >"$BATS_TEST_TMPDIR/two" &
    wait "$one" "$!"
    cat "$BATS_TEST_TMPDIR/one" "$BATS_TEST_TMPDIR/two" | tee "$BATS_TEST_TMPDIR/both"
    [ "$(grep -c -x 'both 200' "$BATS_TEST_TMPDIR/both")" != 2 ]
}

@test "p7 two functions that wait for each other are told so, and the locks go on" {
    start_app --workers 2 --threads 2
    deploy embrace --public <<'END'
exports.handler = (event, ctx) => {
    const [first, second] = event.body.split(' ');
    if (second === undefined) {
        return 'here';
    }
    return ctx.lock(first, () => {
        ctx.kv.put(`here/${first}`, 'yes');
        const until = Date.now() + 700;
        while (Date.now() < until);
        return ctx.lock(second, () => 'both');
    });
};
END
    wait_for_function embrace
    until_true embrace
    grep -q '"code":"lock_timeout"' "$BATS_TEST_TMPDIR/both"
    grep -q '503' "$BATS_TEST_TMPDIR/both"
    [ "$(request 0 /function/embrace --data 'a b')" = both ]
}
