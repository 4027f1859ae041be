#!/usr/bin/env python3
"""Many series of minutes kept fresh by one daemon: samples a minute, lag, memory, processor time.

    bench/serve_fresh.py --series 2000 --minutes 3

A server in this process speaks as much of the HTTP interface of Prometheus as is asked for (`query_range`): every
series has a day, noise, and a history of `--days`. The daemon fits all of them, which is timed by its own
`presurge_forecasters`, and is then watched: an update is one series that has taken in its newest samples. Prints one JSON
object. Needs a build of the program (--presurge).
"""

import argparse
import http.server
import json
import math
import pathlib
import re
import signal
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
  load: {{ requests: {{ prometheus: {{ url: "http://127.0.0.1:{port}", query: "load_{n}", step: 1m }} }} }}
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



def ages(text: str) -> list:
    return sorted(float(age) for age in re.findall(r"^presurge_load_age_seconds\{.*\} (\S+)$", text, re.M))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presurge", default="target/release/presurge")
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--days", type=float, default=2)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--patience", type=float, default=1800, help="seconds until all are fitted")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    Prometheus.begin = int(time.time() - 86400 * args.days) // 60 * 60
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Prometheus)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        fleets = [FLEET.format(n=n, port=server.server_port) for n in range(args.series)]
        (folder / "web.yaml").write_text("---\n".join(fleets))
        log = open(folder / "log", "w")
        words = [args.presurge, "serve", folder / "web.yaml", "--listen", "127.0.0.1:0"]
        daemon = subprocess.Popen([*words, "--store", folder / "store.db"], stderr=log)
        try:
            port = None
            while port is None:
                time.sleep(0.2)
                if daemon.poll() is not None:
                    sys.exit((folder / "log").read_text())
                port = re.search(r"listens on 127.0.0.1:(\d+)", (folder / "log").read_text())
            port, begun = int(port.group(1)), time.monotonic()
            empty = metric(ask(port, "/metrics")[1], "process_resident_memory_bytes")
            fitted = 0
            while fitted < args.series and time.monotonic() - begun < args.patience:
                time.sleep(1)
                text = ask(port, "/metrics")[1]
                fitted = metric(text, 'presurge_forecasters{state="fitted"}')
            fit_seconds, fit_cpu = time.monotonic() - begun, metric(text, "process_cpu_seconds_total")
            # Whoever waited for a fit catches up first.
            time.sleep(90)
            before, at, asked = ask(port, "/metrics")[1], time.monotonic(), Prometheus.asked
            lags = []
            while time.monotonic() - at < args.minutes * 60:
                time.sleep(10)
                lags += ages(ask(port, "/metrics")[1])
            after, length = ask(port, "/metrics")[1], time.monotonic() - at
            lags.sort()
            works = 'presurge_forecaster_works{of="update"}'
            cpu = metric(after, "process_cpu_seconds_total") - metric(before, "process_cpu_seconds_total")
            memory = metric(after, "process_resident_memory_bytes")
            print(json.dumps({
                "series": args.series,
                "fitted": fitted,
                "secondsUntilFitted": round(fit_seconds, 1),
                "processorMsPerFit": round(1e3 * fit_cpu / max(fitted, 1), 1),
                "updatesPerMinute": round((metric(after, works) - metric(before, works)) / length * 60),
                "readsPerMinute": round((Prometheus.asked - asked) / length * 60),
                "processorMsPerUpdate": round(1e3 * cpu / max(metric(after, works) - metric(before, works), 1), 2),
                "cores": round(cpu / length, 3),
                "loadAgeSeconds": {share: round(lags[int(share * (len(lags) - 1))]) for share in (0.5, 0.9, 0.99, 1)},
                "residentKiBPerSeries": round((memory - empty) / 1024 / args.series, 1),
                "failing": metric(after, 'presurge_forecasters{state="failing"}'),
                "troubles": metric(after, "presurge_troubles_total"),
            }, indent=1))
        finally:
            daemon.terminate()
            daemon.wait(60)
            server.shutdown()


if __name__ == "__main__":
    main()
