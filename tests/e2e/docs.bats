#!/usr/bin/env bats

# Goal: what the documentation points to is there.
# Method: take every link, every path and every command that it writes in backquotes, and look.

: "${PARANOID_BIN:=$BATS_TEST_DIRNAME/../../build/bin}"

setup() {
    cd "$BATS_TEST_DIRNAME/../.."
    pages=$(find README.md docs examples deploy -name '*.md')
}

# As GitHub makes an anchor of a heading.
anchors() {
    sed -n 's/^##* //p' "$1" | tr 'A-Z' 'a-z' | sed 's/[^a-z0-9 _-]//g; s/ /-/g'
}

@test "every link leads somewhere" {
    missing=0
    for page in $pages; do
        folder=$(dirname "$page")
        for link in $(grep -o '](\([^)]*\))' "$page" | sed 's/^](//; s/)$//'); do
            case $link in
            http*) continue ;;
            '#'*) file=$page ;;
            *) file=$folder/${link%%#*} ;;
            esac
            if [ ! -e "$file" ]; then
                echo "$page: no $link"
                missing=1
            elif [ "${link#*#}" != "$link" ] && ! anchors "$file" | grep -q -x -e "${link#*#}"; then
                echo "$page: no heading for $link"
                missing=1
            fi
        done
    done
    [ "$missing" = 0 ]
}

@test "every path in backquotes exists" {
    missing=0
    for page in $pages; do
        for path in $(grep -o -E '`(src|sim|tests|tools|docs|examples|deploy|fuzz|bench)/[A-Za-z0-9_./-]*`' "$page" | tr -d '`'); do
            if [ ! -e "$path" ]; then
                echo "$page: no $path"
                missing=1
            fi
        done
    done
    [ "$missing" = 0 ]
}

@test "every format page is in the index" {
    for page in docs/format/*.md; do
        name=$(basename "$page")
        [ "$name" = README.md ] || grep -q "]($name)" docs/format/README.md || {
            echo "docs/format/README.md does not name $name"
            return 1
        }
    done
}

@test "every paranoid command that is named exists" {
    missing=0
    for words in $(cat README.md docs/*.md examples/*/README.md | grep -o -E '(^|`)paranoid [a-z]+( (get|put|delete|list|history|info|verify|log|export))?' |
        tr -d '`' | sed 's/^paranoid //' | tr ' ' '_' | sort -u); do
        # shellcheck disable=SC2046
        if ! "$PARANOID_BIN/paranoid" $(echo "$words" | tr '_' ' ') --help >/dev/null; then
            echo "no command: paranoid $words"
            missing=1
        fi
    done
    [ "$missing" = 0 ]
}

@test "every command that the READMEs' blocks begin a line with exists" {
    PATH=$PARANOID_BIN:$PATH
    missing=0
    for page in README.md examples/*/README.md; do
        for command in $(awk '
            $0 == "```" { is_in = 0 }
            is_in && !is_text { print $1 }
            /^```sh/ { is_in = 1 }
            is_in && /<<.END.$/ { is_text = 1 }
            $0 == "END" { is_text = 0 }' "$page" | sort -u); do
            if [ "$command" != END ] && ! command -v "$command" >/dev/null; then
                echo "$page: no command $command"
                missing=1
            fi
        done
    done
    [ "$missing" = 0 ]
}

# promises: each line a promise and a file that has a test named after it.
promises() {
    # A test of the programs may be about several: "p4 p5 …".
    grep -r -o -E -e '^static void p[0-9]+_' -e '^@test "(p[0-9]+ )+' --include='*.c' --include='*.bats' tests |
        while IFS=: read -r file name; do
            for number in $(echo "$name" | grep -o -E 'p[0-9]+'); do
                echo "P${number#p} $file"
            done
        done | sort -u
}

@test "the threat model lists the tests that are named after a promise, and no others" {
    sed -n '/^## Tests of each promise/,/^## The/p' docs/threat_model.md | grep '^| P' |
        while read -r _ promise _ rest; do
            echo "$rest" | grep -o '`tests/[^`]*`' | tr -d '`' | sed "s/^/$promise /"
        done | sort -u >"$BATS_TEST_TMPDIR/listed"
    promises >"$BATS_TEST_TMPDIR/named"
    diff "$BATS_TEST_TMPDIR/listed" "$BATS_TEST_TMPDIR/named"
}
