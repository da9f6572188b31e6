#!/usr/bin/env bash
# only-leader.sh ELECTION TERM_MS -- COMMAND ARGS...
#
# Runs COMMAND if this machine wins ELECTION, with the fencing token in ELECTION_TOKEN; ends with its exit code, or with 0 if another
# machine leads. The lease is extended while the command runs and resigned afterwards; if it is lost, the command is ended.
# AGENT names the agent (http://localhost:8080), CANDIDATE this machine (host name and process id).
set -euo pipefail
agent=${AGENT:-http://localhost:8080}
candidate=${CANDIDATE:-$(hostname)-$$}
election=$1 term=$2
shift 3

ask() { # METHOD BODY: prints the answer; fails on anything but 2xx
    curl -sS --fail --max-time 5 -X "$1" -H 'Content-Type: application/json' -d "$2" "$agent/election/$election"
}
field() { sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p"; }

answer=$(ask POST "{\"candidate\":\"$candidate\",\"term\":$term}")
if [ "$(field elected <<<"$answer")" != true ]; then
    echo "$(field leader <<<"$answer") leads $election" >&2
    exit 0
fi
ELECTION_TOKEN=$(field token <<<"$answer")
export ELECTION_TOKEN

"$@" &
command=$!
trap 'kill $command 2>/dev/null' INT TERM

# Every third of the term; one failed extension is no loss yet, a second one is.
failures=0
while kill -0 $command 2>/dev/null; do
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        sleep "$(awk "BEGIN { print $term / 30000 }")"
        kill -0 $command 2>/dev/null || break 2
    done
    if ask PATCH "{\"leader\":\"$candidate\",\"term\":$term,\"token\":\"$ELECTION_TOKEN\"}" >/dev/null; then
        failures=0
    elif [ $((failures += 1)) -ge 2 ]; then
        echo "leadership of $election is lost" >&2
        kill $command
        break
    fi
done
code=0
wait $command || code=$?
ask DELETE "{\"leader\":\"$candidate\",\"token\":\"$ELECTION_TOKEN\"}" >/dev/null || true
exit $code
