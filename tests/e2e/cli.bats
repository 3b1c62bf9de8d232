#!/usr/bin/env bats
# Goal: the command line explains itself, refuses what makes no sense, and makes an app that keeps
# its secrets. Method: the real program; nothing is started.

setup() {
    paranoid="$PARANOID_BIN/paranoid"
    cd "$BATS_TEST_TMPDIR" || return 1
}

@test "help lists every command, and each has a help of its own" {
    run "$paranoid" help
    [ "$status" = 0 ]
    names=$(echo "$output" | sed -n 's/^  \([a-z]*\( [a-z]*\)\{0,1\}\)  .*/\1/p')
    [ "$(echo "$names" | wc -l)" -ge 18 ]
    echo "$names" | while read -r name; do
        # shellcheck disable=SC2086  # words
        "$paranoid" help $name | grep -q "usage: paranoid $name"
        # shellcheck disable=SC2086
        "$paranoid" $name --help | grep -q 'Exit status:'
    done
}

@test "help fits on a screen of 80 columns, and its list of commands in 100" {
    python3 - "$paranoid" <<'END'
import re, subprocess, sys
def lines(*words):
    return subprocess.run([sys.argv[1], *words], check=True, capture_output=True,
                          text=True).stdout.split("\n")
commands = lines("help")
names = [found[1] for found in map(re.compile("  ([a-z]+( [a-z]+)?)  ").match, commands) if found]
assert len(names) > 18, names
long = [line for line in commands if len(line) > 100]
for name in names:
    long += [line for line in lines("help", *name.split()) if len(line) > 80]
assert not long, long
END
}

@test "the help of a group lists its commands" {
    run "$paranoid" help kv
    [ "$status" = 0 ]
    echo "$output" | grep -q 'kv put'
    ! echo "$output" | grep -q '^  capsule'
}

@test "wrong usage ends with 2 and says what is wrong" {
    for words in 'nonsense' 'kv nonsense' 'help nonsense' 'kv put onlykey' 'up --workers 0' \
        'up --workers many' 'invoke' 'init a b' 'deploy x.js --colour' 'deploy noextension' \
        'init here --name a/b'; do
        # shellcheck disable=SC2086
        run "$paranoid" $words
        echo "$words: $status $output"
        [ "$status" = 2 ]
        echo "$output" | grep -q '^paranoid: '
    done
    run "$paranoid"
    [ "$status" = 2 ]
}

@test "an empty path is no directory, least of all the root of the file system" {
    for words in 'init' 'kv list --app' 'up --app'; do
        # shellcheck disable=SC2086
        run "$paranoid" $words ''
        echo "$words: $status $output"
        [ "$status" = 3 ]
        [[ $output == *"its path is empty"* ]]
    done
}

@test "init makes an app whose secrets are its owner's alone, and prints none of them" {
    run "$paranoid" init app --name hello
    [ "$status" = 0 ]
    echo "$output" | grep -q 'tee=simulated'
    [ "$(stat -c %a app/owner)" = 700 ]
    for file in owner/owner.key owner/seed owner/vendor.key host/store.key host/platform; do
        [ "$(stat -c %a "app/$file")" = 600 ]
    done
    for file in owner/owner.key owner/seed owner/vendor.key; do
        secret=$(cat "app/$file")
        [ ${#secret} = 64 ]
        [ "${output#*"$secret"}" = "$output" ]
        ! grep -r -q "$secret" app/host app/policy.json app/genesis app/tls-root.pem || false
    done
    [ "$(sha256sum <app/genesis | cut -d ' ' -f 1)" = "$(cat app/capsule.name)" ]
    grep -q '"allow_simulated": true' app/policy.json
    leader=$(sha256sum <"$PARANOID_BIN/paranoid-enclave" | cut -d ' ' -f 1)
    worker=$(sha256sum <"$PARANOID_BIN/paranoid-enclave-js" | cut -d ' ' -f 1)
    grep -q "$leader" app/policy.json
    grep -q "$worker" app/policy.json
    openssl x509 -in app/tls-root.pem -noout -subject | grep -q 'Paranoid app'
}

@test "init refuses a directory that holds an app, and leaves it as it was" {
    "$paranoid" init app
    before=$(cat app/owner/seed)
    run "$paranoid" init app
    [ "$status" = 3 ]
    echo "$output" | grep -q 'one is there already'
    [ "$(cat app/owner/seed)" = "$before" ]
}

@test "json goes to stdout alone" {
    "$paranoid" init app --json --name j >out 2>err
    python3 -c 'import json,sys; d=json.load(open("out")); assert d["app"]=="j" and d["tee"]=="simulated"'
    "$paranoid" policy update --app app --json >out
    python3 -c 'import json; assert json.load(open("out"))["version"]==2'
    "$paranoid" functions --app app --json >out
    [ "$(cat out)" = '[]' ]
    "$paranoid" policy export p.policy --app app --json >out
    python3 -c 'import json; assert json.load(open("out"))["file"]=="p.policy"'
    "$paranoid" keeper grant keeper --app app --json >out
    "$paranoid" keeper revoke keeper --app app --json >out
    python3 -c 'import json; assert json.load(open("out"))["revoked"]'
    "$paranoid" doctor --app app --json >out || true
    python3 -c 'import json; assert any(f["what"]=="tee" for f in json.load(open("out")))'
}

@test "what needs a running app says so and ends with 3" {
    "$paranoid" init app
    echo 'exports.handler = () => 1' >f.js
    for words in 'invoke f' 'kv get k' 'kv put k v' 'kv list' 'logs' 'status' 'attest verify' \
        'deploy f.js' 'undeploy f'; do
        # shellcheck disable=SC2086
        run "$paranoid" $words --app app
        echo "$words: $status $output"
        [ "$status" = 3 ]
        echo "$output" | grep -q 'paranoid up\|does not run'
    done
    run "$paranoid" status --app nowhere
    [ "$status" = 3 ]
    echo "$output" | grep -q 'paranoid init'
}

@test "a key file that others may read is refused, and doctor names it" {
    "$paranoid" init app
    chmod 644 app/owner/owner.key
    run "$paranoid" up --app app
    [ "$status" = 3 ]
    echo "$output" | grep -q "chmod 600"
    run "$paranoid" doctor --app app
    [ "$status" = 1 ]
    echo "$output" | grep 'owner/owner.key' | grep -q '^bad'
}

# all_refuse WHY COMMAND...
all_refuse() {
    local why=$1 words
    shift
    for words in "$@"; do
        # shellcheck disable=SC2086
        run "$paranoid" $words --app app
        echo "$words: $status $output"
        [ "$status" = 3 ]
        [[ $output == *"$why"* ]]
    done
}

@test "an owner's key that is not the genesis's is refused, whatever it is to sign" {
    "$paranoid" init app
    echo 'exports.handler = () => 1' >f.js
    head -c 64 app/owner/seed >app/owner/owner.key
    all_refuse "app/owner/owner.key': it is not the key of the owner" \
        'up' 'deploy f.js' 'policy export' 'keeper grant k'
}

@test "a seed that is another app's is refused before a leader gets it" {
    "$paranoid" init app
    head -c 64 app/owner/owner.key >app/owner/seed
    all_refuse "app/owner/seed': it is not the seed that the app's tls-root.pem" \
        'up' 'token' 'capsule info --keys'
}

@test "a capsule that is not there cannot be read" {
    "$paranoid" init app
    run "$paranoid" capsule verify --app app
    [ "$status" = 3 ]
    echo "$output" | grep -q 'holds no record'
}
