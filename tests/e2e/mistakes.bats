#!/usr/bin/env bats
# Goal: whoever makes a common mistake is told what is wrong, and what to do; and that works.
# Method: make them, with the real programs; and do what is said.
load helpers

setup() {
    app=$BATS_TEST_TMPDIR/app
    up_log=$app.log
    cd "$BATS_TEST_TMPDIR" || return 1
}

teardown() {
    kill_app
    umount "$BATS_TEST_TMPDIR/disk" 2>/dev/null || true
}

# refuses STATUS TEXT WORD...: the command ends so, and says that.
refuses() {
    local wanted=$1 text=$2
    shift 2
    run paranoid "$@"
    if [ "$status" != "$wanted" ] || [[ $output != *"$text"* ]]; then
        printf 'paranoid %s\n' "$*"
        printf 'ended with %s, wanted %s: %s\nwanted: %s\n' "$status" "$wanted" "$output" "$text"
        return 1
    fi
}

@test "no app, no directory, a file in the way" {
    touch file
    refuses 3 "make one with 'paranoid init', or name it with --app DIR" up --app nowhere
    refuses 3 "make one with 'paranoid init', or name it with --app DIR" kv get key --app file
    refuses 3 "cannot make directory 'file/owner': Not a directory; name another" init file
    refuses 3 "'no/where': No such file or directory; its directory is not there: make it" \
        init no/where
    mkdir no
    paranoid init no/where
    refuses 3 "one is there already; name another directory, or remove that one" init no/where
    refuses 3 "which 'paranoid init' makes" host --state nowhere
}

@test "an app that has never run" {
    paranoid init "$app"
    for words in status 'invoke f' 'kv get k' 'kv put k v' logs; do
        # shellcheck disable=SC2086
        refuses 3 "it does not run; start it with 'paranoid up --app $app'" $words --app "$app"
    done
    for words in 'capsule verify' 'kv history k' 'member list' 'capsule export out'; do
        # shellcheck disable=SC2086
        refuses 3 "it is no store's directory (an app's host/capsule is one), or the app has never run" $words --app "$app"
    done
    [ ! -e out ]
    refuses 1 'it is the only one; add another first' store remove store-1 --app "$app"
    refuses 2 "'paranoid recover --explain' says whether anything is lost" \
        recover --accept-loss 3 --app "$app"
}

@test "files that are no functions are not deployed" {
    paranoid init "$app"
    : >empty.js
    head -c 4096 /proc/self/exe >program.js
    mkdir directory.js
    refuses 3 "cannot read 'none.js': there is no such file" deploy none.js --app "$app"
    refuses 3 "cannot read 'directory.js': Is a directory" deploy directory.js --app "$app"
    refuses 3 'it is empty; a function is JavaScript in UTF-8' deploy empty.js --app "$app"
    refuses 3 'it is no text; a function is JavaScript in UTF-8' deploy program.js --app "$app"
    refuses 2 'a function is a .js file' deploy program --app "$app"
    refuses 2 'the secret: it is empty' secret set name --app "$app" </dev/null
    python3 - <<'END'
import os, pty, subprocess
terminal, end = pty.openpty()
command = subprocess.Popen([os.environ["PARANOID_BIN"] + "/paranoid", "secret", "set", "name"],
                           stdin=end, stderr=subprocess.PIPE)
assert b"type the secret; Ctrl-D" in command.stderr.readline()
os.write(terminal, b"\x04")
assert command.wait() == 2
END
}

@test "what is lost of an app is had again as the message says" {
    paranoid init "$app"
    up() { refuses 3 "$1" up --app "$app" --port 0; }
    for name in owner/owner.key owner/seed owner/vendor.key; do
        mv "$app/$name" away
        up 'put it back: nothing can take its place'
        mv away "$app/$name"
    done
    rm "$app/genesis"
    up 'put it back: host/genesis is a copy'
    cp "$app/host/genesis" "$app/genesis"
    rm "$app/host/genesis"
    up "put it back: the app's own file 'genesis' is a copy"
    cp "$app/genesis" "$app/host/genesis"
    rm "$app/policy.json"
    up 'put it back: owner/policy.recorded is what was in force last'
    cp "$app/owner/policy.recorded" "$app/policy.json"
    mv "$app/host" away
    up 'put it back, with the stores that lie in it'
    mv away "$app/host"
    mv "$app/owner" away
    up "its directory 'owner' is not there; put it back"
    mv away "$app/owner"
    for name in owner/owner.key owner/seed owner/vendor.key; do
        cp -p "$app/$name" away
        : >"$app/$name"
        up 'it does not hold 64 hexadecimal digits; put it back: nothing can take its place'
        cp -p away "$app/$name"
    done
    mv "$app/host/store.key" away
    refuses 1 "cannot be read: No such file or directory" doctor --app "$app"
    [[ $output == *"put it back; 'paranoid up' says what is left to do without it"* ]]
    mv away "$app/host/store.key"
    rmdir "$app/host/capsule"
    touch "$app/host/capsule"
    refuses 1 "/host/capsule' is no directory" doctor --app "$app"
    up 'its directory: Not a directory'
    rm "$app/host/capsule"
    paranoid doctor --app "$app"
    : >"$app/tls-root.pem"  # made anew, from the seed
    start_app --workers 1
    paranoid kv put key value --app "$app"
    [ "$(paranoid kv get key --app "$app")" = value ]
}

@test "a keeper's directory is no app's, and the other way round" {
    paranoid init "$app"
    paranoid keeper grant keeper --app "$app"
    refuses 3 'File exists; name another, or remove that one' keeper grant keeper --app "$app"
    refuses 3 "is for 'paranoid keeper' alone" up --app keeper
    refuses 3 "'paranoid keeper grant DIR' makes a keeper's directory" keeper --app "$app"
    refuses 3 'there is no such file; there is one for each that was made' \
        keeper revoke nobody --app "$app"
}

@test "a policy with a typo" {
    paranoid init "$app"
    cp "$app/policy.json" good.json
    sed -i 's/allow_simulated/allow_simulate/' "$app/policy.json"
    for words in 'policy publish' 'policy update' 'up --port 0' doctor; do
        # shellcheck disable=SC2086
        refuses 3 "member 'allow_simulate' is unknown; remove it" $words --app "$app"
        [[ $output != *"puts it in force"* ]]
    done
    sed 's/"version": 1/"version": 1,/' good.json >"$app/policy.json"
    refuses 3 'the policy is no JSON text' policy publish --app "$app"
    cp good.json "$app/policy.json"
    paranoid policy publish --app "$app"
}

@test "evidence, proofs and capsules that are none" {
    mkdir directory
    touch file
    paranoid init "$app"
    refuses 3 "neither quote.bin nor report.bin; 'paranoid help attest verify' says what" \
        attest verify directory --app "$app"
    refuses 3 "it is no store's directory" capsule verify directory --app "$app"
    refuses 3 "'paranoid capsule verify --genesis FILE directory' needs none" \
        capsule verify directory
    refuses 3 'with --policy FILE none is needed' attest verify --url https://localhost:7700
    refuses 3 "cannot read 'file': it is empty" capsule verify file --app "$app"
    refuses 1 "'file' is no proof" proof verify file --app "$app"
    refuses 3 'the app does not run here; start it, or name a worker with --url' \
        attest verify --app "$app"
}

@test "a port that is taken" {
    paranoid init "$app"
    start_app --workers 1
    paranoid init other
    refuses 3 'address already in use; choose another with --port' \
        up --app other --port "$(base_port)"
    refuses 3 "it runs already; stop it with Ctrl-C" up --app "$app"
}

@test "what is not there, of an app that runs" {
    paranoid init "$app"
    start_app --workers 1
    echo 'this is no JavaScript' >wrong.js
    paranoid deploy wrong.js --app "$app"
    wait_for_function wrong
    refuses 1 'SyntaxError' invoke wrong --app "$app"
    refuses 1 'no function of that name is published' invoke other --app "$app"
    refuses 1 'no such key' kv get key --app "$app"
    refuses 1 "no version of 'key' is in the capsule" kv history key --app "$app"
    refuses 1 "cannot remove 'other': nothing of that name is published" undeploy other --app "$app"
    refuses 1 "cannot remove secret 'other': nothing of that name is published" \
        secret delete other --app "$app"
    refuses 1 "'paranoid member list' lists them" member revoke 99 --app "$app"
    refuses 1 "'paranoid store list' lists them" store remove store-9 --app "$app"
    refuses 3 'the app has workers 0 to 0' logs --worker 9 --app "$app"
    refuses 3 'the app has workers 0 to 0' invoke wrong --worker 9 --app "$app"
    paranoid capsule export records --app "$app"
    refuses 3 'File exists; name another, or remove that one' capsule export records --app "$app"
    refuses 3 'No such file or directory; its directory is not there: make it' \
        policy export no/where --app "$app"
    deploy count <<<"exports.handler = (event, ctx) => { ctx.kv.put(event.body || 'none', '1'); }"
    wait_for_function count
    refuses 3 'its directory is not there: make it' \
        invoke count called --receipt no/where --app "$app"
    refuses 1 'no such key' kv get called --app "$app"
    mkdir no
    paranoid invoke count called --receipt no/where --app "$app"
    paranoid kv get called --app "$app"
    paranoid receipt verify no/where --app "$app"
    head -c 2000000 /dev/zero >long
    refuses 1 'a value has at most 1 MiB' kv put key @long --app "$app"
}

@test "a full disk, and one that can only be read" {
    mkdir disk
    if ! mount -t tmpfs -o size=1m,mode=700 tmpfs disk 2>/dev/null; then
        skip 'cannot mount a tmpfs'
    fi
    paranoid init "$app"
    start_app --workers 1
    for i in 1 2 3; do
        head -c 500000 /dev/urandom >bytes
        paranoid kv put "key-$i" @bytes --app "$app"
    done
    refuses 3 "cannot write 'disk/records': No space left on device; make room there" \
        capsule export disk/records --app "$app"
    [ ! -e disk/records ]
    dd if=/dev/zero of=disk/fill bs=4k 2>/dev/null || true
    truncate -s -32k disk/fill  # room for some of its files
    refuses 3 'No space left on device; make room there' init disk/other
    [[ $output == *"remove its owner/ and host/ before you try again"* ]]
    rm -r disk/other/owner disk/other/host disk/fill
    paranoid init disk/other
    mount -o remount,ro disk
    refuses 3 'that disk can only be read: name another place' init disk/third
}

# barred WORD...: as `refuses 3`, without root's right to open what is closed to it.
barred() {
    run setpriv --bounding-set=-dac_override,-dac_read_search "$PARANOID_BIN/paranoid" "$@"
    echo "paranoid $*: $output"
    [ "$status" = 3 ]
    [[ $output == *"Permission denied; let its owner, or root, do this"* ]]
}

@test "an app that is another user's" {
    if ! setpriv --bounding-set=-dac_override,-dac_read_search true; then
        skip 'cannot give up the rights of root'
    fi
    paranoid init "$app"
    start_app --workers 1
    chmod 000 "$app/host"
    barred status --app "$app"
    barred kv get key --app "$app"
    chmod 700 "$app/host"
    chmod 000 "$app/owner"
    for words in 'capsule verify' token up recover 'deploy x.js'; do
        echo 'exports.handler = () => 1' >x.js
        # shellcheck disable=SC2086
        barred $words --app "$app"
    done
    chmod 700 "$app/owner"
    chmod 000 "$app"
    barred status --app "$app"
    barred capsule verify "$app/host/capsule" --app "$app"
    chmod 700 "$app"
    paranoid status --app "$app"
}
