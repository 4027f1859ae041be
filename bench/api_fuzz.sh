#!/bin/sh
# Asks a daemon everything that its own document says can be asked, and much that it cannot, with
# Schemathesis; fails where an answer is not one of those that the document names.
#
#   bench/api_fuzz.sh [EXAMPLES]        # so many for each operation, 50 without
#
# It needs python3 with venv, curl, and a build of the program (PRESURGE, or target/release/presurge). The daemon
# has a store of its own, and a rollout that gets nowhere, since its load balancer is not there: it touches
# nothing else.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
presurge=${PRESURGE:-$here/target/release/presurge}
work=$(mktemp -d)
daemon=
trap 'test -n "$daemon" && kill "$daemon" 2>/dev/null; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'schemathesis>=4,<5'
awk 'BEGIN { print "unique_id,ds,y"; now = systime(); for (t = now - now % 60 - 3 * 86400; t < now; t += 60)
  printf "web,%s,%.2f\n", strftime("%Y-%m-%dT%H:%M:%SZ", t, 1), 12 + 0.4 * sin(t / 600) }' >"$work/load.csv"
cat >"$work/web.yaml" <<EOF
apiVersion: presurge/v1
kind: Fleet
metadata: { name: web }
spec:
  servers: { static: { prefix: web, count: 4 } }
  capacity: { requests: 10 }
  load: { requests: { csv: { path: load.csv, series: web } } }
  traffic: { haproxy: { socket: nowhere.sock, backend: web } }
  update: { exec: { command: ["true"], idempotent: true } }
  durations: { drain: 1s, update: 1s, warmup: 0s }
---
# Permits of this one are granted: there is no load balancer that is silent.
apiVersion: presurge/v1
kind: Fleet
metadata: { name: idle }
spec:
  servers: { static: { prefix: idle, count: 4 } }
  capacity: { requests: 10 }
  load: { requests: { csv: { path: load.csv, series: web } } }
  durations: { drain: 1s, update: 1s, warmup: 0s }
---
apiVersion: presurge/v1
kind: Rollout
metadata: { name: idle }
spec:
  fleets: [idle]
  target: { version: "2" }
  deadline: 2h
---
apiVersion: presurge/v1
kind: Rollout
metadata: { name: patch }
spec:
  fleets: [web]
  target: { version: "2" }
  deadline: 2h
EOF
"$presurge" serve "$work/web.yaml" --store "$work/store.db" --mode act --listen 127.0.0.1:0 2>"$work/log" &
daemon=$!
for _ in $(seq 100); do
  port=$(sed -n 's/.*listens on 127.0.0.1:\([0-9]*\).*/\1/p' "$work/log")
  test -n "$port" && break
  sleep 0.1
done
curl -s "127.0.0.1:$port/v1/permits" -H 'content-type: application/json' \
  -d '{"fleet": "idle", "for": "10m", "reason": "the first"}'
curl -s "127.0.0.1:$port/v1/rollouts" -H 'content-type: application/json' -d '{"rollout": "patch"}' >/dev/null
# What is there, so that more than “not found” is answered.
cat >"$work/names.toml" <<EOF
[parameters]
"path.fleet" = "idle"
"path.lease" = "1"
"path.name" = "patch"
EOF
cd "$work"   # it leaves files behind
"$work/venv/bin/schemathesis" --config-file "$work/names.toml" run "http://127.0.0.1:$port/v1/openapi.json" --url "http://127.0.0.1:$port" \
  --max-examples "${1:-50}" --exclude-path-regex '/events$' --request-timeout 60 --seed 1 \
  --exclude-checks positive_data_acceptance   # what a schema cannot say: a key that was used, a name that is none
kill -0 "$daemon"
grep -n panicked "$work/log" && exit 1
echo "the daemon is still well"
