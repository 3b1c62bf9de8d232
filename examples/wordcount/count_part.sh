#!/bin/sh
# usage: count_part.sh APP FILE NUMBER
#
# Have part NUMBER of a text, which lies in FILE, counted by one of the app's
# workers: part 5 of an app with four workers goes to the second. Try again
# until it has answered. Prints NUMBER and how many attempts it took.
set -u

app=$1
file=$2
number=$3
attempts_max=300

# The port of this part's worker. They change when the app is started anew.
port() {
    tr -d ' \n' <"$app/host/host.json" | sed 's/.*"worker_ports":\[\([0-9,]*\)\].*/\1/' |
        awk -F , -v number="$number" '{ print $(number % NF + 1) }'
}

attempt=0
while [ "$attempt" -lt "$attempts_max" ]; do
    attempt=$((attempt + 1))
    code=$(curl --silent --max-time 20 --cacert "$app/tls-root.pem" --output /dev/null \
        --write-out '%{http_code}' --data-binary "@$file" \
        "https://localhost:$(port)/function/wordcount?part=$number")
    if [ "$code" = 200 ]; then
        echo "$number $attempt"
        exit 0
    fi
    sleep 0.1
done
echo "count_part.sh: part $number was not counted: the last answer was $code" >&2
exit 1
