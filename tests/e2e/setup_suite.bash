# Once all tests have ended, nothing that one of them started may run: a process that outlives its
# test takes CPU time from the others, and they fail.

setup_suite() { :; }

# The processes that tests of this run started and that still run. Enclaves have no environment;
# they end with their host.
left_behind() {
    local directory
    for directory in /proc/[0-9]*; do
        # Of two lines, in any order: this run, and one of its files rather than bats itself.
        if [ "$(tr '\0' '\n' <"$directory/environ" |
            grep -c -e "^BATS_RUN_TMPDIR=$BATS_RUN_TMPDIR\$" -e '^BATS_TEST_FILENAME=')" = 2 ]; then
            echo "${directory#/proc/}"
        fi
    done 2>/dev/null
}

teardown_suite() {
    local pid found
    found=$(left_behind)
    for pid in $found; do
        echo "process $pid outlived its test: $(tr '\0' ' ' <"/proc/$pid/cmdline")"
        tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's/^BATS_TEST_\(FILENAME\|NAME\)=/    /p'
        kill -9 "$pid"
    done 2>/dev/null
    [ -z "$found" ]
}
