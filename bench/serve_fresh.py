#!/usr/bin/env python3
"""Many series of minutes kept fresh by one daemon: samples a minute, lag, memory, processor time.

    bench/serve_fresh.py --series 2000 --minutes 3
    bench/serve_fresh.py --series 10000 --distinct 200   # those that follow go on from copies of fitted ones

A server in this process speaks as much of the HTTP interface of Prometheus as is asked for (`query_range`): every
series has a day, noise, and a history of `--days`. The daemon fits all of them, which is timed by its own
`presurge_forecasters`, and is then watched: an update is one series that has taken in its newest samples. With
`--distinct` only so many are fitted; the daemon is started again with all of them, of which each has a copy of a
fitted state in the store, so that everything but the fits is as it would be. Prints one JSON object. Needs a build of the program (--presurge).
"""

import argparse
import http.server
import json
import math
import pathlib
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

from serve_scale import ask, metric

FLEET = """apiVersion: presurge/v1
kind: Fleet
metadata: {{ name: web-{n} }}
spec:
  servers: {{ static: {{ prefix: web-{n}-s, count: 4 }} }}
  capacity: {{ requests: 400 }}
  load: {{ requests: {{ prometheus: {{ url: "http://127.0.0.1:{port}", query: "load_{of}", step: 1m }} }} }}
  durations: {{ drain: 1m, update: 5m }}
"""


def value(series: int, at: int) -> float:
    mixed = (series * 7919 + at // 60 * 104729) % 100003
    noise = math.sin(mixed * mixed * 0.618)
    day = math.sin(at * 2 * math.pi / 86400 + series)
    return 300 + 100 * day + (5 + series % 11) * noise


class Prometheus(http.server.BaseHTTPRequestHandler):
    """Answers a query named `load_N` with the values of series N."""

    protocol_version = "HTTP/1.1"
    begin = 0
    asked = 0

    def do_POST(self):
        form = self.rfile.read(int(self.headers["content-length"])).decode()
        self.answer(urllib.parse.parse_qs(form))

    def do_GET(self):
        self.answer(urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query))

    def answer(self, form):
        Prometheus.asked += 1
        series = int(form["query"][0].split("_")[1])
        first, last, step = (int(float(form[name][0])) for name in ("start", "end", "step"))
        first = max(first, Prometheus.begin)
        # The sample of a minute is asked for at its end.
        values = [[at, f"{value(series, at - step):.3f}"] for at in range(first, last + 1, step)]
        result = [{"metric": {}, "values": values}] if values else []
        body = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass



class Daemon:
    """Presurge over a folder with fleets, of which each has one of so many loads."""

    def __init__(self, presurge, folder, series, distinct, source):
        fleets = [FLEET.format(n=n, of=n % distinct, port=source) for n in range(series)]
        (folder / "web.yaml").write_text("---\n".join(fleets))
        log = folder / "log"
        words = [presurge, "serve", folder / "web.yaml", "--listen", "127.0.0.1:0", "--store", folder / "store.db"]
        self.process = subprocess.Popen(words, stderr=open(log, "w"))
        self.port = None
        while self.port is None:
            time.sleep(0.2)
            if self.process.poll() is not None:
                sys.exit(log.read_text())
            found = re.search(r"listens on 127.0.0.1:(\d+)", log.read_text())
            self.port = found and int(found.group(1))

    def metrics(self):
        return ask(self.port, "/metrics")[1]

    def until_fitted(self, series, patience):
        begun, fitted = time.monotonic(), 0
        while fitted < series and time.monotonic() - begun < patience:
            time.sleep(1)
            text = self.metrics()
            fitted = metric(text, 'presurge_forecasters{state="fitted"}')
        return fitted, time.monotonic() - begun, metric(text, "process_cpu_seconds_total")

    def end(self):
        self.process.terminate()
        self.process.wait(120)


def multiply(store, distinct: int, series: int) -> None:
    """Copies the states of the first fleets for the others: a row is a line of JSON and the state behind it."""
    base = sqlite3.connect(store)
    for of in range(distinct):
        (row,) = base.execute("SELECT bytes FROM kept WHERE name = ?", (f"forecaster/web-{of}/requests",)).fetchone()
        head, state = row.split(b"\n", 1)
        for n in range(of + distinct, series, distinct):
            own = head.replace(f'"web-{of}"'.encode(), f'"web-{n}"'.encode(), 1)
            base.execute("INSERT INTO kept VALUES (?, ?)", (f"forecaster/web-{n}/requests", own + b"\n" + state))
    base.commit()
    base.close()


def ages(text: str) -> list:
    return sorted(float(age) for age in re.findall(r"^presurge_load_age_seconds\{.*\} (\S+)$", text, re.M))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presurge", default="target/release/presurge")
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--distinct", type=int, help="fit so many, copy them for the others")
    parser.add_argument("--days", type=float, default=2)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--patience", type=float, default=1800, help="seconds until all are fitted")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    Prometheus.begin = int(time.time() - 86400 * args.days) // 60 * 60
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Prometheus)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    distinct = args.distinct or args.series
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        daemon = Daemon(args.presurge, folder, distinct, distinct, server.server_port)
        try:
            empty = metric(daemon.metrics(), "process_resident_memory_bytes")
            fitted, fit_seconds, fit_cpu = daemon.until_fitted(distinct, args.patience)
            if distinct < args.series:
                # Each of them is in the store by then.
                time.sleep(10)
                daemon.end()
                multiply(folder / "store.db", distinct, args.series)
                daemon = Daemon(args.presurge, folder, args.series, distinct, server.server_port)
                empty = metric(daemon.metrics(), "process_resident_memory_bytes")
                daemon.until_fitted(args.series, args.patience)
            # Whoever waited for a fit catches up first.
            time.sleep(90)
            before, at, asked = daemon.metrics(), time.monotonic(), Prometheus.asked
            lags = []
            while time.monotonic() - at < args.minutes * 60:
                time.sleep(10)
                lags += ages(daemon.metrics())
            after, length = daemon.metrics(), time.monotonic() - at
            lags.sort()
            works = 'presurge_forecaster_works{of="update"}'
            cpu = metric(after, "process_cpu_seconds_total") - metric(before, "process_cpu_seconds_total")
            memory = metric(after, "process_resident_memory_bytes")
            updates = metric(after, works) - metric(before, works)
            print(json.dumps({
                "series": args.series,
                "fitted": fitted,
                "secondsUntilFitted": round(fit_seconds, 1),
                "processorMsPerFit": round(1e3 * fit_cpu / max(fitted, 1), 1),
                "updatesPerMinute": round(updates / length * 60),
                "readsPerMinute": round((Prometheus.asked - asked) / length * 60),
                "processorMsPerUpdate": round(1e3 * cpu / max(updates, 1), 2),
                "cores": round(cpu / length, 3),
                "loadAgeSeconds": {share: round(lags[int(share * (len(lags) - 1))]) for share in (0.5, 0.9, 0.99, 1)},
                "residentMiB": round(memory / 2**20, 1),
                "residentKiBPerSeries": round((memory - empty) / 1024 / args.series, 1),
                "storeMiB": round((folder / "store.db").stat().st_size / 2**20, 1),
                "fitsMeanwhile": metric(after, 'presurge_forecaster_works{of="fit"}')
                - metric(before, 'presurge_forecaster_works{of="fit"}'),
                "failing": metric(after, 'presurge_forecasters{state="failing"}'),
                "troubles": metric(after, "presurge_troubles_total"),
            }, indent=1))
        finally:
            daemon.end()
            server.shutdown()


if __name__ == "__main__":
    main()
