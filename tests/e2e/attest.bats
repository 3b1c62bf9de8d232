#!/usr/bin/env bats
# Goal: `paranoid attest verify DIR` judges evidence of real hardware, for people and for programs.
# Method: the captured cases of the shared vectors, each with the verdict that others gave it; then
# the ways in which the command can be asked.

bats_require_minimum_version 1.5.0
load helpers

setup() {
    : "${PARANOID_SHARED:=$source_directory/../shared}"
    cases="$PARANOID_SHARED/vectors/attestation"
    paranoid="$PARANOID_BIN/paranoid"
    copy="$BATS_TEST_TMPDIR/case"
}

# copy_case NAME: one that may be altered.
copy_case() {
    mkdir "$copy"
    cp "$cases/$1"/* "$copy"
    chmod u+w "$copy"/*
}

@test "every captured case gets the verdict, status, debug bit and fields that others gave it" {
    run python3 "$BATS_TEST_DIRNAME/attest_cases.py" "$paranoid" "$cases"
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "a person sees the verdict, and of a refusal the values compared and the remedy" {
    run "$paranoid" attest verify "$cases/tdx/azure-v4-2026" --at 2026-06-08T13:24:22Z
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"verdict      valid"* ]]
    [[ $output == *"tcb status   UpToDate"* ]]
    run "$paranoid" attest verify "$cases/tdx/azure-v4-2026" --at 2026-08-08T13:24:22Z
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"reason       collateral_expired"* ]]
    [[ $output == *"2026-08-08T13:24:22Z"* ]]
    [[ $output == *"remedy"* ]]
}

@test "without collateral a quote is refused, unless the asker wants to know of the quote alone" {
    run "$paranoid" attest verify "$cases/tdx/coco-v5-90c0" --json
    [ "$status" -eq 1 ]
    [[ $output == *'"reason":"collateral"'* ]]
    run "$paranoid" attest verify "$cases/tdx/coco-v5-90c0" --json --no-collateral
    [ "$status" -eq 0 ]
    [[ $output == *'"tcb_status":null'* ]]
}

@test "a policy decides on status, debug mode and measurement" {
    at="--at 2025-06-19T11:23:18Z"
    measurement=80c698b54ec4fd6f297d56d2d97ae99ab19cda089d52d80c9cad842c6beda08f
    policy="$BATS_TEST_TMPDIR/policy.json"
    ask() { run "$paranoid" attest verify "$cases/sgx/oe-906ed-outofdate" $at --json --policy "$policy"; }
    echo "{\"version\":1,\"measurements\":{\"worker\":[\"$measurement\"]}}" >"$policy"
    ask
    [ "$status" -eq 1 ]
    [[ $output == *'"reason":"debug"'* ]]
    echo "{\"version\":1,\"allow_debug\":true,\"measurements\":{\"worker\":[\"$measurement\"]}}" >"$policy"
    ask
    [ "$status" -eq 1 ]
    [[ $output == *'"reason":"tcb_status"'* ]]
    echo "{\"version\":1,\"allow_debug\":true,\"tcb_statuses\":[\"OutOfDate\"],\"measurements\":{\"worker\":[\"$measurement\"]}}" >"$policy"
    ask
    echo "$output"
    [ "$status" -eq 0 ]
    run "$paranoid" attest verify "$cases/sgx/oe-906ed-outofdate" $at --json --policy "$policy" --role leader
    [ "$status" -eq 1 ]
    [[ $output == *'"reason":"policy"'* ]]
}

@test "wrong words end with 2, and what cannot be read with 3" {
    run "$paranoid" attest verify "$cases/tdx/azure-v4-2026" --at yesterday
    [ "$status" -eq 2 ]
    run "$paranoid" attest verify "$cases/tdx/azure-v4-2026" --no-such-option
    [ "$status" -eq 2 ]
    run "$paranoid" attest verify "$cases/tdx/azure-v4-2026/quote.bin" --no-collateral
    [ "$status" -eq 2 ]
    run "$paranoid" attest verify "$BATS_TEST_TMPDIR/nothing"
    [ "$status" -eq 3 ]
    mkdir "$copy"
    run "$paranoid" attest verify "$copy"
    [ "$status" -eq 3 ]
    [[ $output == *"neither quote.bin nor report.bin"* ]]
}

# is_one_object: the output is one line, and that a JSON object with the nine members.
is_one_object() {
    [ "$(wc -l <<<"$output")" -eq 1 ]
    python3 -c 'import json, sys
wanted = "tee verdict reason tcb_status debug measurement signer report_data detail"
sys.exit(list(json.loads(sys.argv[1])) != wanted.split())' "$output"
}

@test "a program gets exactly one object, whether evidence is valid, refused or unreadable" {
    copy_case tdx/azure-v4-2026
    ask() { run --separate-stderr "$paranoid" attest verify "$@" --json; }
    ask "$copy" --at 2026-06-08T13:24:22Z
    [ "$status" -eq 0 ]
    is_one_object
    [[ $output == *"in force from 2026-06-08T12:24:22Z to 2026-07-08T11:28:48Z"* ]]
    ask "$copy" --at 2026-07-08T11:28:49Z
    [ "$status" -eq 1 ]
    is_one_object
    [[ $output == *"2026-07-08T11:28:49Z; remedy: fetch fresh collateral"* ]]
    mkdir "$copy/report.bin"
    ask "$copy"
    [ "$status" -eq 3 ]
    is_one_object
    [[ $output == *'"reason":"unreadable"'* ]]
    [[ $stderr == *"report.bin"* ]]
    ask "$BATS_TEST_TMPDIR/nothing"
    [ "$status" -eq 3 ]
    is_one_object
}

@test "what is no file is not waited for" {
    copy_case tdx/azure-v4-2026
    for name in tcb_info.json quote.bin; do
        rm "$copy/$name"
        mkfifo "$copy/$name"
        run timeout "$patience_s" "$paranoid" attest verify "$copy" --at 2026-06-08T13:24:22Z
        echo "$output"
        [ "$status" -eq 3 ]
        [[ $output == *"$name': it is no file"* ]]
    done
}

@test "without collateral no document is looked at, and one that cannot be read does not matter" {
    copy_case tdx/azure-v4-2026
    rm "$copy/tcb_info.json"
    mkdir "$copy/tcb_info.json"
    run "$paranoid" attest verify "$copy" --at 2026-06-08T13:24:22Z
    [ "$status" -eq 3 ]
    run "$paranoid" attest verify "$copy" --at 2026-06-08T13:24:22Z --no-collateral
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "a quote of nothing known is refused, not unreadable" {
    mkdir "$copy"
    echo "no quote" >"$copy/quote.bin"
    run "$paranoid" attest verify "$copy" --json
    [ "$status" -eq 1 ]
    [[ $output == *'"reason":"format"'* ]]
    : >"$copy/quote.bin"
    run "$paranoid" attest verify "$copy" --json
    [ "$status" -eq 1 ]
}

@test "the root beside the evidence does not count, whoever put it there" {
    copy_case sev-snp/milan-v3-azure
    openssl req -x509 -newkey rsa:4096 -nodes -keyout "$BATS_TEST_TMPDIR/key" -days 9999 \
        -subj "/OU=Engineering/C=US/L=Santa Clara/ST=CA/O=Advanced Micro Devices/CN=ARK-Milan" \
        -out "$copy/ark.pem" 2>/dev/null
    run "$paranoid" attest verify "$copy" --at 2025-02-27T16:26:55Z --json
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *'"reason":"chain"'* ]]
}

# make_table FILE VLEK ASK ARK: the table that the host of a guest puts beside its report, of DER.
make_table() {
    python3 - "$@" <<'PYTHON'
import pathlib
import struct
import sys
import uuid
names = ["a8074bc2-a25a-483e-aae6-39c045a0b8a1", "4ab7b379-bbac-4fe4-a02f-05aef327c782",
         "c0b406a4-a803-4952-9743-3fb6014cd0ae"]
documents = [pathlib.Path(path).read_bytes() for path in sys.argv[2:]]
offset = 24 * (len(documents) + 1)
head = body = b""
for name, document in zip(names, documents):
    head += uuid.UUID(name).bytes + struct.pack("<II", offset + len(body), len(document))
    body += document
pathlib.Path(sys.argv[1]).write_bytes(head + bytes(24) + body)
PYTHON
}

@test "certificates may come in the table that the kernel gives beside the report" {
    copy_case sev-snp/milan-v3-vlek-aws-us-east-2
    at="--at 2025-01-09T22:14:21Z"
    for name in ask ark; do
        openssl x509 -in "$copy/$name.pem" -outform der -out "$copy/$name.raw"
    done
    make_table "$copy/auxblob.bin" "$copy/vlek.der" "$copy/ask.raw" "$copy/ark.raw"
    rm "$copy"/*.der "$copy"/*.pem
    run "$paranoid" attest verify "$copy" $at
    echo "$output"
    [ "$status" -eq 0 ]
    # A file counts before the table, so that a user can put a newer certificate beside it.
    cp "$cases/sev-snp/milan-v3-azure/ask.pem" "$copy"
    run "$paranoid" attest verify "$copy" $at
    [ "$status" -eq 1 ]
    rm "$copy/ask.pem"
    head -c 100 "$copy/auxblob.bin" >"$copy/cut" && mv "$copy/cut" "$copy/auxblob.bin"
    run "$paranoid" attest verify "$copy" $at
    echo "$output"
    [ "$status" -eq 3 ]
    [[ $output == *"auxblob.bin': it is no table of certificates"* ]]
}

@test "fetch says what is missing and where its vendor publishes it" {
    run "$paranoid" attest fetch "$cases/tdx/coco-v4-gnr-a06d"
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"missing  tcb_info  "*"/tdx/certification/v4/tcb?fmspc=00a06d080000"* ]]
    [[ $output == *"missing  pck_crl  "*"pckcrl?ca=platform&encoding=der"* ]]
    run "$paranoid" attest fetch "$cases/sgx/phala-a067-procca"
    [[ $output == *"here     pck_crl  "*"pckcrl?ca=processor&encoding=der"* ]]
    run "$paranoid" attest fetch "$cases/sev-snp/genoa-v3-azure" --json
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"/vcek/v1/Genoa/0506ffba"*"?blSPL=10&teeSPL=0&snpSPL=23&ucodeSPL=84"* ]]
    [[ $output == *'"valid_until":"2032-01-24T02:21:48Z"'* ]]
    run "$paranoid" attest fetch "$BATS_TEST_TMPDIR"
    [ "$status" -eq 3 ]
}
