#!/bin/sh
# Shows Paranoid at work on a real text: four workers count its words into state
# that they share, everything is killed half way, and no count is lost. Then it
# shows what the untrusted side could see of it.
#
# ./run demo builds the programs first. PARANOID_BIN says where they are.
#
# Exit status: 0 everything held, 1 something did not, 3 it could not be shown.
set -u
export LC_ALL=C
cd "$(dirname "$0")/.." || exit 3

bin=${PARANOID_BIN:-$PWD/build/bin}
text=examples/wordcount/alice29.txt
worker_count=4
part_count=64
at_once=8

work=$(mktemp -d "${TMPDIR:-/tmp}/paranoid-demo.XXXXXX") || exit 3
app=$work/app
up_pid=
client_pid=
control_pid=
started=$(date +%s)

say() { printf '%s\n' "$*"; }
chapter() { printf '\n== %s (%s s)\n' "$*" "$(($(date +%s) - started))"; }

# ---- processes: only those that this script started, by their ids ----

# family PID: the process and all that descend from it.
family() {
    cat /proc/[0-9]*/status 2>/dev/null | awk -v root="$1" '
        $1 == "Pid:" { pid = $2 }
        $1 == "PPid:" { parent[pid] = $2 }
        END {
            for (pid in parent) {
                for (p = pid; p in parent && p != root; p = parent[p]) {}
                if (p == root) print pid
            }
        }'
}

# untrusted PID...: those of them that are no enclaves.
untrusted() {
    for pid in "$@"; do
        case $(sed -n 's/^Name:[[:space:]]*//p' "/proc/$pid/status" 2>/dev/null) in
        paranoid-encla* | '') ;;
        *) echo "$pid" ;;
        esac
    done
}

# is_alive PID: it runs. One that has ended may wait to be buried, by whoever inherited it.
is_alive() {
    case $(sed -n 's/^State:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null) in
    Z* | X* | '') return 1 ;;
    esac
}

clean_up() {
    status=$?
    trap - EXIT INT TERM HUP
    if [ -n "$client_pid" ]; then
        # shellcheck disable=SC2046  # a list of numbers
        kill $(family "$client_pid") 2>/dev/null
    fi
    [ -z "$control_pid" ] || kill "$control_pid" 2>/dev/null
    stop_app
    rm -rf "$work"
    exit "$status"
}

# Ask it to stop; insist after five seconds.
stop_app() {
    [ -n "$up_pid" ] || return 0
    pids=$(family "$up_pid")
    kill -TERM "$up_pid" 2>/dev/null
    tries=0
    while is_alive "$up_pid" && [ "$tries" -lt 50 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
    if is_alive "$up_pid"; then
        # shellcheck disable=SC2086
        kill -9 $pids 2>/dev/null
    fi
    wait "$up_pid" 2>/dev/null
    up_pid=
}

fail() {
    say "demo: $1"
    if [ -s "$work/up.log" ]; then
        say "The end of the app's log:"
        tail -n 20 "$work/up.log"
    fi
    exit "${2:-1}"
}

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# ---- the app ----

worker_ports() {
    tr -d ' \n' 2>/dev/null <"$app/host/host.json" |
        sed -n 's/.*"worker_ports":\[\([0-9,]*\)\].*/\1/p' | tr ',' ' '
}

ask() {
    curl --silent --show-error --max-time 20 --cacert "$app/tls-root.pem" "$@"
}

is_ready() {
    count=0
    for port in $(worker_ports); do
        ask --fail --output /dev/null "https://localhost:$port/healthz" 2>/dev/null || return 1
        count=$((count + 1))
    done
    [ "$count" = "$worker_count" ]
}

start_app() {
    rm -f "$app/host/host.json" # of one that was killed
    "$bin/paranoid" up --app "$app" --workers "$worker_count" >>"$work/up.log" 2>&1 &
    up_pid=$!
    tries=0
    until is_ready; do
        tries=$((tries + 1))
        is_alive "$up_pid" || fail "the app ended while it was starting" 3
        [ "$tries" -lt 300 ] || fail "the app was not ready after 30 seconds" 3
        sleep 0.1
    done
}

# ---- what must be there ----

for tool in "$bin/paranoid" "$bin/paranoid-enclave" "$bin/paranoid-enclave-js" curl python3; do
    command -v "$tool" >/dev/null || fail "cannot find '$tool'; ./run demo builds what is needed" 3
done

# ---- 1 ----

chapter "A new app: one leader, $worker_count workers, one store"
"$bin/paranoid" init "$app" --name demo || fail "cannot make an app" 3
start_app
say "Everything runs as process $up_pid and its children:"
# shellcheck disable=SC2046
for pid in $(family "$up_pid" | sort -n); do
    printf '  %8s  %s\n' "$pid" "$(tr '\0' ' ' <"/proc/$pid/cmdline" | cut -c 1-80)"
done
for function in wordcount top; do
    "$bin/paranoid" deploy --app "$app" "examples/wordcount/$function.js" --public ||
        fail "cannot deploy '$function'"
done

# What will be searched for at the end: words that occur once, whole lines, lines of the function's
# code. Left out is what the host's own programs contain, which is seen now, before they can know.
# shellcheck disable=SC2018,SC2019  # plain letters are meant
tr -cs 'A-Za-z' '\n' <"$text" | tr 'A-Z' 'a-z' | grep . | sort | uniq -c |
    awk '{ print $1, $2 }' | sort -k 1,1nr -k 2,2 >"$work/coreutils"
awk '$1 == 1 && length($2) >= 10 { print $2 }' "$work/coreutils" >"$work/candidates"
sed 's/^ *//' "$text" | awk 'length($0) >= 50 && NR % 20 == 0' >>"$work/candidates"
sed 's/^ *//' examples/wordcount/wordcount.js | awk 'length($0) >= 40 && !/^\/\//' >>"$work/candidates"
# shellcheck disable=SC2046
tools/memory_search --quiet --for "$work/candidates" \
    $(untrusted $(family "$up_pid") | sed 's/^/--pid=/') >"$work/known"
[ $? -le 1 ] || fail "cannot read the host's memory; the kernel may reserve that for root" 3
grep -v -i -x -F -f "$work/known" "$work/candidates" >"$work/pieces" || fail "there is nothing to search for" 3

# ---- 2 ----

chapter "Counting $(wc -c <"$text") bytes in $part_count parts, $at_once at a time; all is killed half way"
mkdir "$work/parts"
split -n "l/$part_count" -d -a 3 "$text" "$work/parts/"
mkfifo "$work/counted"
for part in "$work"/parts/*; do
    printf '%s\0%s\0%s\0' "$app" "$part" "$(basename "$part")"
done | xargs -0 -n 3 -P "$at_once" examples/wordcount/count_part.sh >"$work/counted" 2>"$work/client.log" &
client_pid=$!
done_count=0
repeated=0
while read -r part attempts; do
    done_count=$((done_count + 1))
    [ "$attempts" = 1 ] || repeated=$((repeated + 1))
    if [ -t 1 ]; then
        printf '\r%3s of %s parts' "$done_count" "$part_count"
    elif [ $((done_count % 16)) = 0 ]; then
        say "$done_count of $part_count parts"
    fi
    if [ "$done_count" = $((part_count / 2)) ]; then
        # shellcheck disable=SC2046
        set -- $(family "$up_pid" | sort -n)
        kill -9 "$@"
        printf '\nkill -9 of all processes of the app: %s\n' "$*"
        wait "$up_pid" 2>/dev/null
        for pid in "$@"; do
            while is_alive "$pid"; do sleep 0.01; done
        done
        crashed=$(date +%s%N)
        start_app
        printf 'paranoid up: every worker answers again after %s ms\n' \
            "$((($(date +%s%N) - crashed) / 1000000))"
    fi
done <"$work/counted"
wait "$client_pid" || fail "not every part was counted: $(tail -n 1 "$work/client.log")"
client_pid=
[ "$done_count" = "$part_count" ] || fail "only $done_count of $part_count parts were counted"
printf '\n%s parts counted, %s of them at a later attempt\n' "$done_count" "$repeated"

# ---- 3 ----

# The version that each worker has reached now. Whoever names it (X-Paranoid-After) reads at least that.
for port in $(worker_ports); do
    ask --output /dev/null --dump-header - "https://localhost:$port/healthz"
done | tr -d '\r' | sed -n 's/^x-paranoid-version: *//Ip' >"$work/versions"

chapter "The words, as every worker sees them, and as coreutils counts them"
worker=0
for port in $(worker_ports); do
    worker=$((worker + 1))
    while read -r version; do
        ask --fail --header "X-Paranoid-After: $version" "https://localhost:$port/function/top" \
            >"$work/top.$worker" || fail "worker $worker does not answer"
    done <"$work/versions"
done
paste -d ' ' "$work/top.1" "$work/coreutils" | head -n 20 |
    awk 'BEGIN { print "     paranoid              coreutils" }
        { printf "  %6d %-12s %10d %s\n", $1, $2, $3, $4 }'
disagreements=0
for top in "$work"/top.*; do
    differing=$(diff "$top" "$work/coreutils" | grep -c '^[<>]')
    disagreements=$((disagreements + differing))
done
if [ "$disagreements" != 0 ]; then
    fail "NOT all words agree: $disagreements lines differ from those of coreutils"
fi
say "All $(wc -l <"$work/coreutils") words agree, on each of the $worker_count workers:" \
    "$(awk '{ sum += $1 } END { print sum }' "$work/coreutils") counts, none lost, none twice."

# ---- 4 ----

chapter "The capsule: a branch for each writer, joined at every epoch"
"$bin/paranoid" capsule log --app "$app" --graph >"$work/log" || fail "cannot show the capsule"
head -n 30 "$work/log"
say "… $(wc -l <"$work/log") lines in all"

chapter "Verified without any key"
"$bin/paranoid" capsule verify --app "$app" || fail "the capsule does not verify"

# ---- 5 ----

chapter "One flipped bit"
mkdir "$work/copy"
cp -R "$app/." "$work/copy/"
segment=$(find "$work/copy/host/capsule" -name 'segment-*' | sort | head -n 1)
# Segments end in zeroes: half of what is not zero lies safely within the records.
offset=$(($(tr -d '\0' <"$segment" | wc -c) / 2))
byte=$(od -An -tu1 -j "$offset" -N 1 "$segment" | tr -d ' ')
# shellcheck disable=SC2059
printf "\\$(printf %o "$((byte ^ 1))")" |
    dd of="$segment" bs=1 seek="$offset" conv=notrunc 2>/dev/null
say "In a copy of the store, byte $offset of $(basename "$segment") is $((byte ^ 1)), not $byte."
if "$bin/paranoid" capsule verify --app "$work/copy"; then
    fail "the changed copy verifies"
fi

# ---- 6 ----

chapter "What the untrusted side could see"
# A search that cannot find anything proves nothing: here is a process that does hold one piece.
LINE=$(grep -v '^[a-z]*$' "$work/pieces" | head -n 1) sleep 60 &
control_pid=$!
tools/memory_search --for "$work/pieces" --pid "$control_pid" >"$work/control"
found=$?
kill "$control_pid"
wait "$control_pid" 2>/dev/null
control_pid=
[ "$found" = 1 ] || fail "the search does not find what is there"
say "Searching for $(wc -l <"$work/pieces") pieces: words that occur once in the text, such as" \
    "$(grep -x '[a-z]*' "$work/pieces" | head -n 3 | paste -s -d , - | sed 's/,/, /g')," \
    "whole lines of it, and lines of the function's code." \
    "(Not for $(sort -u "$work/known" | wc -l) that the host's own libraries contain.)"
say "In a process that was given one of them: $(head -n 1 "$work/control" | cut -c 1-60)…"
for pid in $(family "$up_pid"); do
    case $(tr '\0' ' ' <"/proc/$pid/cmdline") in
    *paranoid-enclave-js*) worker_pid=$pid ;;
    esac
done
# Of a real enclave nobody could read it.
if ! tools/memory_search --for "$work/pieces" --pid "$worker_pid" >"$work/inside" 2>/dev/null &&
    [ -s "$work/inside" ]; then
    say "In a worker's memory, which a simulated TEE hides from nobody: $(tail -n 1 "$work/inside")"
fi
# shellcheck disable=SC2046
tools/memory_search --for "$work/pieces" $(untrusted $(family "$up_pid") | sed 's/^/--pid=/') >"$work/found" ||
    fail "in the host's memory: $(head -n 1 "$work/found")"
say "In the memory of the host (all that is no enclave, rings included): $(tail -n 1 "$work/found")"
find "$app/host" -type f -exec tools/memory_search --for "$work/pieces" "$work/up.log" {} + >"$work/found" ||
    fail "in the host's files: $(head -n 1 "$work/found")"
say "In the store, the host's other files and its log: $(tail -n 1 "$work/found")"

chapter "All of it held"
say "The TEE was simulated (tee=simulated): whoever runs the host can still read an enclave's memory, as shown above."
