#!/usr/bin/env bats
# Goal: functions get the owner's secrets, at every worker, the newest one; nobody else does: not the
# host, its files and its logs, not whoever lists keys, functions or records.
# Method: one app with two workers; secrets set from a file and from standard input, replaced,
# deleted, read after a rotation of keys and after a restart; then every place is searched for them.
load helpers

setup() {
    make_app "$BATS_TEST_TMPDIR/app"
    start_app --workers 2
    deploy tell <<<"exports.handler = (event, ctx) => String(ctx.secret(event.query.name));"
    deploy length <<<"exports.handler = (event, ctx) => ctx.secret('long').length;"
    deploy tricks <<<"exports.handler = async (event, ctx) => {
        const tried = [];
        for (const name of ['secret:api-key', 'api-key']) {
            try { await ctx.call(name, {}); tried.push('called'); } catch (e) { tried.push(e.code + ' ' + e.message); }
        }
        try { ctx.secret('x'.repeat(2000)); } catch (e) { tried.push(e.code); }
        tried.push(typeof ctx.secret('secret:api-key'), typeof ctx.secret('../api-key'), typeof ctx.secret(''.padEnd(58, 'a')));
        return tried; };"
    wait_for_function tricks
}

teardown() { kill_app; }

long_is_there() { [ "$(request "$1" /function/length)" = 65536 ]; }
told() { [ "$(request "$1" "/function/tell?name=$2")" = "$3" ]; }

@test "a secret is set, replaced and deleted at each worker, and survives rotation and restart" {
    local worker
    printf %s 'first-Vq8mTzKp' | paranoid secret set api-key --app "$app"
    head -c 65536 /dev/zero | tr '\0' x >"$BATS_TEST_TMPDIR/long"
    paranoid secret set long "$BATS_TEST_TMPDIR/long" --app "$app"
    for worker in 0 1; do
        until_true told $worker api-key first-Vq8mTzKp
        until_true told $worker none undefined
        until_true long_is_there $worker
    done
    printf %s 'second-Wr7nYxLq' | paranoid secret set api-key --app "$app"
    for worker in 0 1; do until_true told $worker api-key second-Wr7nYxLq; done

    paranoid keys rotate --app "$app"
    for worker in 0 1; do told $worker api-key second-Wr7nYxLq; done
    printf %s 'third-Xs6pZwMr' | paranoid secret set api-key --app "$app"
    for worker in 0 1; do until_true told $worker api-key third-Xs6pZwMr; done

    stop_app
    start_app --workers 2
    for worker in 0 1; do
        until_true told $worker api-key third-Xs6pZwMr
        until_true long_is_there $worker
    done

    run paranoid secret list --app "$app"
    [ "$status" = 0 ]
    [ "$(echo "$output" | cut -d' ' -f1 | sort | tr '\n' ' ')" = "api-key long " ]
    paranoid secret delete api-key --app "$app"
    for worker in 0 1; do until_true told $worker api-key undefined; done
    [ "$(paranoid secret list --app "$app" --json | python3 -c 'import json,sys; print([s["name"] for s in json.load(sys.stdin)])')" = "['long']" ]
}

@test "p1 no secret and no name of one is seen outside of enclaves" {
    printf %s 'tell-nobody-Yt5qAvNs' | paranoid secret set api-key --app "$app"
    printf %s 'tell-nobody-Zu4rBuPt' | paranoid secret set other-name-Av3s --app "$app"
    until_true told 0 api-key tell-nobody-Yt5qAvNs
    [ "$(request 0 /function/tricks)" = '["not_found ctx.call: there is no function of that name","not_found ctx.call: there is no function of that name","invalid","undefined","undefined","undefined"]' ]
    [ "$(request_status 0 /function/secret%3Aapi-key -d x)" -ge 400 ]

    # All that the host has, and says.
    ! grep -raq 'tell-nobody\|Av3s' "$app/host" "$up_log" || false
    ! host_page /metrics | grep -q 'tell-nobody\|Av3s' || false
    ! host_page /status | grep -q 'tell-nobody\|Av3s' || false
    # What lists things, with the owner's keys and without.
    ! request 0 '/kv?prefix=' | grep -q 'tell-nobody\|Av3s' || false
    ! request 0 /logs | grep -q 'tell-nobody\|Av3s' || false
    for words in functions logs 'kv list' 'capsule log' 'capsule info' 'capsule log --keys'; do
        # shellcheck disable=SC2086
        run paranoid $words --app "$app"
        ! echo "$output" | grep -q 'tell-nobody\|Av3s\|api-key' || { echo "$words: $output"; return 1; }
    done
    run paranoid secret list --app "$app"
    [[ $output != *tell-nobody* ]]
}

@test "what is no secret is refused, without saying what it was" {
    run paranoid secret set 'bad name' --app "$app" <<<x
    [ "$status" = 2 ]
    printf '\377tell-nobody' >"$BATS_TEST_TMPDIR/bytes"
    run paranoid secret set bytes "$BATS_TEST_TMPDIR/bytes" --app "$app"
    [ "$status" = 2 ]
    [[ $output != *tell-nobody* ]]
    [[ $output == *base64* ]]
    run paranoid secret set empty /dev/null --app "$app"
    [ "$status" = 2 ]
    head -c 65537 /dev/zero >"$BATS_TEST_TMPDIR/long"
    run paranoid secret set long "$BATS_TEST_TMPDIR/long" --app "$app"
    [ "$status" = 3 ]
    run paranoid secret set long "$BATS_TEST_TMPDIR/nowhere" --app "$app"
    [ "$status" = 3 ]
}

@test "p11 after a member was thrown out, the others read what is set anew" {
    local writer
    printf %s before | paranoid secret set api-key --app "$app"
    for worker in 0 1; do until_true told $worker api-key before; done
    request_status 1 /function/length >/dev/null
    writer=$(header x-paranoid-worker)
    paranoid member revoke "$writer" --app "$app"
    until_true told 0 api-key before
    printf %s anew | paranoid secret set api-key --app "$app"
    until_true told 0 api-key anew
}
