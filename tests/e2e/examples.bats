#!/usr/bin/env bats

# Goal: what a newcomer is told to type works, word for word.
# Method: for each README, copy its folder, run its ```sh up block in the background and, when
# all workers answer, its other ```sh blocks one after the other in one shell that stops at the first
# failure. Only the port is changed, to free ones.

: "${PARANOID_BIN:=$BATS_TEST_DIRNAME/../../build/bin}"

# blocks INFO README: the lines of its fenced blocks of that kind.
blocks() {
    awk -v fence="\`\`\`$1" '
        $0 == "```" { is_in = 0 }
        is_in { print }
        $0 == fence { is_in = 1 }' "$2"
}

family() {
    local pid
    echo "$1"
    for pid in $(cat /proc/[0-9]*/status 2>/dev/null |
        awk -v parent="$1" '$1 == "Pid:" { pid = $2 } $1 == "PPid:" && $2 == parent { print pid }'); do
        family "$pid"
    done
}

worker_ports() {
    tr -d ' \n' 2>/dev/null <paranoid-app/host/host.json |
        sed -n 's/.*"worker_ports":\[\([0-9,]*\)\].*/\1/p' | tr ',' ' '
}

base_port() {
    tr -d ' \n' <paranoid-app/host/host.json | sed -n 's/.*"base_port":\([0-9]*\).*/\1/p'
}

is_ready() {
    local port ports
    ports=$(worker_ports)
    [ -n "$ports" ] || return 1
    for port in $ports; do
        curl --silent --fail --output /dev/null --max-time 5 --cacert paranoid-app/tls-root.pem \
            "https://localhost:$port/healthz" || return 1
    done
}

wait_until() {
    local deadline=$((SECONDS + 120))  # no verdict is about time
    until "$@"; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            echo "waited in vain for: $*"
            return 1
        fi
        sleep 0.05
    done
}

# follow FOLDER: do what its README says. What the commands say goes to output.txt.
follow() {
    cp -R "$1/." "$BATS_TEST_TMPDIR/here"
    cd "$BATS_TEST_TMPDIR/here"
    PATH=$PARANOID_BIN:$PATH
    blocks 'sh up' README.md | sed 's/--port 8443/--port 0/' >up.sh
    sh -eu up.sh >up.txt 2>&1 3>&- &
    up=$!
    wait_until is_ready || { cat up.txt; return 1; }
    port=$(base_port)
    blocks sh README.md | sed "s/localhost:8443/localhost:$port/g" >commands.sh
    sh -eu commands.sh >output.txt 2>&1 || { cat output.txt; return 1; }
}

teardown() {
    if [ -n "${up-}" ]; then
        kill -9 $(family "$up") 2>/dev/null || true
        wait "$up" 2>/dev/null || true
    fi
}

says() { grep -q -e "$1" output.txt || { cat output.txt; return 1; }; }

@test "the README's first function greets, and its capsule and certificate verify" {
    mkdir "$BATS_TEST_TMPDIR/source"
    cp "$BATS_TEST_DIRNAME/../../README.md" "$BATS_TEST_TMPDIR/source"
    follow "$BATS_TEST_TMPDIR/source"
    says '^hello, Ada$'
    knows_ada() { paranoid kv list greeted/ | grep -q -x 'greeted/Ada'; }
    wait_until knows_ada
}

@test "wordcount agrees with coreutils" {
    follow "$BATS_TEST_DIRNAME/../../examples/wordcount"
    says '^all words agree$'
}

counts_100() {
    curl --silent --cacert paranoid-app/tls-root.pem "https://localhost:$1/function/counter?name=visits" |
        grep -q '"count":100}'
}

@test "counter loses nothing, and every worker comes to say so" {
    follow "$BATS_TEST_DIRNAME/../../examples/counter"
    for worker_port in $(worker_ports); do
        wait_until counts_100 "$worker_port"
    done
}

shows_both() {
    curl --silent --cacert paranoid-app/tls-root.pem "https://localhost:$port/function/guestbook" >page
    grep -q 'Curiouser and curiouser!' page && grep -q 'We are all mad here.' page
}

@test "guestbook keeps every entry and shows no markup of a guest's" {
    follow "$BATS_TEST_DIRNAME/../../examples/guestbook"
    wait_until shows_both
    curl --silent --cacert paranoid-app/tls-root.pem --data-urlencode 'name=<b>Eve' \
        --data-urlencode 'text=<script>alert(1)</script>' "https://localhost:$port/function/guestbook"
    eve_is_there() { shows_both && grep -q '&lt;b&gt;Eve' page; }
    wait_until eve_is_there
    ! grep -q -e '<script' -e '<b>Eve' page
}

@test "tickets hands out each number once" {
    follow "$BATS_TEST_DIRNAME/../../examples/tickets"
    says '^each number once$'
}

@test "the box keeps its notes for who knows the word, and its visitors know whom they ask" {
    follow "$BATS_TEST_DIRNAME/../../examples/box"
    says '^the certificate of this connection is the enclave'
    says '^you do not know the word$'
    says '^more cake, please$'
    [ "$(grep -c '^verdict  *valid$' output.txt)" = 3 ]
}
