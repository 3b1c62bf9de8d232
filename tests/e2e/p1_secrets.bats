#!/usr/bin/env bats
# P1: outside enclaves and the owner's command line nothing exists in the clear.
# Method: markers as key, value, function source, request and response, under load from four
# clients; meanwhile search all that the host has: its memory (the rings among it), its files, what
# it logs. Then show that the same search finds the markers where they must be.
load helpers

setup() {
    make_app "$BATS_TEST_TMPDIR/app"
    markers=$BATS_TEST_TMPDIR/markers
    # Put together here, so that no file but this one and no process but ours holds them by accident.
    local tail=$RANDOM$RANDOM
    key_marker=keymarker-$tail value_marker=valuemarker-$tail source_marker=sourcemarker-$tail
    answer_marker=answermarker-$tail log_marker=logmarker-$tail
    printf '%s\n' "$key_marker" "$value_marker" "$source_marker" "$answer_marker" "$log_marker" >"$markers"
}

teardown() { kill_app; }

# Both forms of the search: status 0 none was found, 1 some were.
search() { "$source_directory/tools/memory_search" --for "$markers" "$@"; }

@test "p1 under load no marker is in the host's memory, its files, its log or an export" {
    start_app --workers 2
    deploy echo >/dev/null <<END
exports.handler = (event, ctx) => {
    const text = '$source_marker';
    ctx.log('$log_marker');
    ctx.kv.put('$key_marker-' + ctx.worker, event.body + text.length);
    return { echo: event.body, answer: '$answer_marker' };
};
END
    wait_for_function echo

    touch "$BATS_TEST_TMPDIR/busy"
    client load --app "$app" --while "$BATS_TEST_TMPDIR/busy" --function echo --key "$key_marker-" --marker "$value_marker" \
        >"$BATS_TEST_TMPDIR/load" 2>&1 3>&- &
    local load=$!
    until_true is_busy
    local host=$(host_number pid) round
    for round in 1 2 3; do
        run search --pid "$host"
        echo "$output"
        [ "$status" = 0 ]
    done
    kill -0 "$load"  # it was there to the end of the search
    rm "$BATS_TEST_TMPDIR/busy"
    wait "$load" || { cat "$BATS_TEST_TMPDIR/load"; false; }
    cat "$BATS_TEST_TMPDIR/load"
    [ "$(request 0 "/kv/${key_marker}-0-1")" = "$value_marker" ]

    # The positive control: in a worker's memory each of them lies in the clear.
    local worker=$(enclave_pid worker 0)
    run search --quiet --pid "$worker"
    echo "$output"
    [ "$status" = 1 ]
    [ "$(echo "$output" | sort)" = "$(sort "$markers")" ]

    # What the host keeps, before and after it ends. Nothing of the owner's but owner/ is secret.
    run search $(host_files) "$up_log"
    echo "$output"
    [ "$status" = 0 ]
    stop_app
    run search $(host_files) "$up_log"
    [ "$status" = 0 ]
    paranoid capsule export "$BATS_TEST_TMPDIR/export" --app "$app"
    [ -s "$BATS_TEST_TMPDIR/export" ]
    run search "$BATS_TEST_TMPDIR/export"
    echo "$output"
    [ "$status" = 0 ]
}

host_files() { find "$app" -path "$app/owner" -prune -o -type f -print; }

is_busy() { [ "$(request 0 "/kv/$key_marker-0-5" -o /dev/null -w '%{http_code}')" = 200 ]; }

@test "p1 the search itself finds a marker in a process and in a file" {
    # A shell that holds a marker; cat keeps it waiting.
    mkfifo "$BATS_TEST_TMPDIR/fifo"
    MARKER=$value_marker bash -c 'held="$MARKER$MARKER"; read -r _ <"$0"; echo "$held"' \
        "$BATS_TEST_TMPDIR/fifo" >/dev/null 3>&- &
    local control=$!
    until_true grep -q fifo "/proc/$control/cmdline"  # it is that shell now
    run search --pid "$control"
    echo "$output"
    [ "$status" = 1 ]
    [[ $output == *"$value_marker"* ]]
    echo >"$BATS_TEST_TMPDIR/fifo"
    wait "$control"

    head -c 9000000 /dev/zero >"$BATS_TEST_TMPDIR/file"
    echo "${key_marker}" >>"$BATS_TEST_TMPDIR/file"
    run search "$BATS_TEST_TMPDIR/file"
    [ "$status" = 1 ]
}
