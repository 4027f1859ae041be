#!/bin/sh
# Updates one server after the other, each under a permit of Presurge:
#   with-permit.sh CONFIGURATION SECONDS_EACH COMMAND SERVER…
# COMMAND is called with the name of a server. Where a permit is refused it asks again when the answer
# says, or after a minute, for at most a day.
set -eu
config=$1 seconds=$2 command=$3
shift 3
presurge=${PRESURGE:-presurge}

# A field of the answer, empty where it is null; the answer is one JSON object.
field() { printf '%s' "$answer" | sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\).*/\1/p" | sed 's/^null$//' | head -n 1; }

for server in "$@"; do
  waited=0
  until answer=$("$presurge" permit "$config" --server "$server" --for "${seconds}s" --reason "with-permit.sh" -o json); do
    [ -n "$answer" ] || exit 1 # not an answer, but an error, which was told
    echo "$server: $(field reason)" >&2
    at=$(field retryAfter)
    pause=60
    if [ -n "$at" ]; then pause=$(($(date -d "$at" +%s) - $(date +%s) + 1)); fi
    if [ "$pause" -lt 1 ]; then pause=1; fi
    waited=$((waited + pause))
    [ "$waited" -le 86400 ] || { echo "$server: no permit within a day" >&2; exit 3; }
    sleep "$pause"
  done
  lease=$(field lease)
  # A command that fails may leave the server out: the permit is kept, and ends by itself.
  "$command" "$server"
  "$presurge" permit release "$lease" >/dev/null
done
