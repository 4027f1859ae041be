#!/usr/bin/env python3
"""Many rollouts at once in one daemon, at real pace: memory, processor time, and how late drivers are.

    bench/serve_scale.py --rollouts 1000 --minutes 3

One HAProxy has a backend of four servers for each rollout (nothing answers behind them; their states are
what is drained and admitted), and an update is a command that takes five minutes, so that all are under way
at once and each opens a batch every five minutes or so. Prints one JSON object. Needs haproxy on the PATH and a
build of the program (--presurge).
"""

import argparse
import concurrent.futures
import json
import math
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

FLEET = """apiVersion: presurge/v1
kind: Fleet
metadata: {{ name: web-{n} }}
spec:
  servers: {{ static: {{ prefix: web-{n}-s, count: 4 }} }}
  capacity: {{ requests: 10 }}
  load: {{ requests: {{ csv: {{ path: load.csv, series: web }} }} }}
  durations: {{ drain: 1s, update: 5m, warmup: 0s }}
  traffic: {{ haproxy: {{ socket: admin.sock, backend: web-{n} }} }}
  update: {{ exec: {{ command: [sleep, "300"], idempotent: true }} }}
---
apiVersion: presurge/v1
kind: Rollout
metadata: {{ name: roll-{n} }}
spec:
  fleets: [web-{n}]
  target: {{ version: "2" }}
  risk: 0.05
  step: 5m
  batch: {{ maxUnavailable: 1 }}
  deadline: 4h
"""


def files(folder: pathlib.Path, rollouts: int) -> None:
    """The load, the configuration of all fleets, and that of HAProxy."""
    step, now = 900, int(time.time())
    with open(folder / "load.csv", "w") as out:
        out.write("unique_id,ds,y\n")
        for at in range(now // step * step - 2 * 86400, now, step):
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
            out.write(f"web,{stamp},{12 + 0.5 * math.sin(at / 3000):.3f}\n")
    fleets = [FLEET.format(n=n) for n in range(rollouts)]
    (folder / "web.yaml").write_text("---\n".join(fleets))
    servers = "\n".join(f"  server web-{{n}}-s-{k} 127.0.0.1:9 weight 100" for k in range(1, 5))
    backends = "\n".join(
        f"backend web-{n}\n{servers.replace('{n}', str(n))}" for n in range(rollouts)
    )
    (folder / "haproxy.cfg").write_text(
        f"global\n  stats socket {folder}/admin.sock mode 600 level admin\n  maxconn 4000\n"
        "defaults\n  mode http\n  timeout connect 2s\n  timeout client 30s\n  timeout server 30s\n"
        f"{backends}\n"
    )


def ask(port: int, path: str, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("content-type", "application/json")
    with urllib.request.urlopen(request, timeout=600) as answer:
        return answer.status, answer.read().decode()


def metric(text: str, name: str) -> float:
    return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.M).group(1))


def buckets(text: str) -> dict:
    found = re.findall(r'^presurge_turn_lateness_seconds_bucket\{le="(\S+)"\} (\d+)$', text, re.M)
    return {edge: int(count) for edge, count in found}


def quantile(before: dict, after: dict, share: float) -> str:
    """The upper edge of the class that the quantile lies in, of what came between."""
    total = after["+Inf"] - before.get("+Inf", 0)
    for edge, count in after.items():
        if count - before.get(edge, 0) >= share * total:
            return edge
    return "+Inf"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presurge", default="target/release/presurge")
    parser.add_argument("--rollouts", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=3)
    args = parser.parse_args()
    # What was started is stopped, however this ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        files(folder, args.rollouts)
        started = [subprocess.Popen(["haproxy", "-q", "-db", "-f", folder / "haproxy.cfg"],
                                    stderr=subprocess.DEVNULL)]
        try:
            time.sleep(2)
            log = open(folder / "log", "w")
            words = [args.presurge, "serve", folder / "web.yaml", "--mode", "act", "--listen", "127.0.0.1:0"]
            words += ["--store", folder / "store.db"]
            started.append(subprocess.Popen(words, stderr=log))
            port = None
            while port is None:
                time.sleep(0.2)
                port = re.search(r"listens on 127.0.0.1:(\d+)", (folder / "log").read_text())
            port = int(port.group(1))
            begun = time.monotonic()
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                wishes = [{"rollout": f"roll-{n}"} for n in range(args.rollouts)]
                statuses = list(pool.map(lambda wish: ask(port, "/v1/rollouts", wish)[0], wishes))
            begin_seconds = time.monotonic() - begun
            before, at = ask(port, "/metrics")[1], time.monotonic()
            time.sleep(args.minutes * 60)
            after, length = ask(port, "/metrics")[1], time.monotonic() - at
            print(json.dumps({
                "rollouts": args.rollouts,
                "begun": statuses.count(201),
                "secondsToBegin": round(begin_seconds, 1),
                "driven": metric(after, "presurge_rollouts_driven"),
                "residentMiB": round(metric(after, "process_resident_memory_bytes") / 2**20, 1),
                "cores": round((metric(after, "process_cpu_seconds_total")
                                - metric(before, "process_cpu_seconds_total")) / length, 3),
                "turnsPerSecond": round((metric(after, "presurge_turns_total")
                                         - metric(before, "presurge_turns_total")) / length, 1),
                "latenessAtMost": {share: quantile(buckets(before), buckets(after), share)
                                   for share in (0.5, 0.9, 0.99, 0.999)},
                "driverFailures": metric(after, "presurge_driver_failures_total"),
                "troubles": metric(after, "presurge_troubles_total"),
            }, indent=1))
        finally:
            for process in reversed(started):
                process.terminate()
                process.wait(30)


if __name__ == "__main__":
    main()
