#!/usr/bin/env python3
"""Replicas of the daemon on one PostgreSQL, many rollouts, and random kills, freezes and cuts.

    bench/serve_chaos.py --rollouts 200 --seconds 600 --seed 1

Three replicas share the rollouts. Until the time is over one or two of them at once are killed and started
again, frozen past their lease and let go, or cut off from the database by a relay that keeps still. Then
all are well, and every rollout has to end `done`, in a journal that is one chain, with every server updated
once and none left out of service. Prints one JSON object, and ends with 1 where something is not as it should be.
Needs haproxy on the PATH, PostgreSQL's programs, Linux, and a build of the program (--presurge). Talks to
loopback only, and stops what it started by process id.
"""

import argparse
import collections
import concurrent.futures
import datetime
import glob
import json
import os
import pathlib
import pwd
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error

import serve_scale

REPLICAS = 3
# A lease lasts six seconds.
DOWN = (7.0, 11.0)
CALM = (0.5, 4.0)

FLEET = """apiVersion: presurge/v1
kind: Fleet
metadata: {{ name: web-{n} }}
spec:
  servers: {{ static: {{ prefix: web-{n}-s, count: 4 }} }}
  capacity: {{ requests: 10 }}
  load: {{ requests: {{ csv: {{ path: load.csv, series: web }} }} }}
  durations: {{ drain: 1s, update: {update}s, warmup: 0s }}
  traffic: {{ haproxy: {{ socket: admin.sock, backend: web-{n} }} }}
  update: {{ exec: {{ command: [./update, "{{server}}"], observe: [./runs, "{{server}}"] }} }}
---
apiVersion: presurge/v1
kind: Rollout
metadata: {{ name: roll-{n} }}
spec:
  fleets: [web-{n}]
  target: {{ version: "2" }}
  risk: 0.05
  step: 10s
  batch: {{ maxUnavailable: 1 }}
  stabilisation: 2s
  deadline: 2h
"""

UPDATE = """#!/bin/sh
echo "$1" >> began
sleep {update}
echo 2 > "runs.$1"
"""

RUNS = """#!/bin/sh
cat "runs.$1" 2>/dev/null || echo 1
"""


class Relay:
    """A way to a port that can keep still: what is under way hangs, and what is new gets no answer."""

    def __init__(self, to: int):
        self.to, self.still = to, threading.Event()
        self.door = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.door.getsockname()[1]
        self.pairs = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                inner, _ = self.door.accept()
                outer = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                return
            self.pairs.append((inner, outer))
            threading.Thread(target=self.pump, args=(inner, outer), daemon=True).start()

    def pump(self, inner, outer):
        try:
            while True:
                ready, _, _ = select.select([inner, outer], [], [], 1)
                while self.still.is_set():
                    time.sleep(0.05)
                for end in ready:
                    data = end.recv(65536)
                    if not data:
                        return
                    (outer if end is inner else inner).sendall(data)
        except OSError:
            pass
        finally:
            inner.close()
            outer.close()

    def mend(self):
        """What hung meanwhile is lost, as it is after a cut."""
        pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        self.still.clear()


class Postgres:
    """A server of our own."""

    def __init__(self, folder: pathlib.Path):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        self.programs = found[-1] if found else os.path.dirname(shutil.which("initdb"))
        self.folder = folder
        folder.mkdir()
        self.user = "postgres" if os.getuid() == 0 else None
        if self.user:
            owner = pwd.getpwnam(self.user)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        data = folder / "data"
        self.call("initdb", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N", "-U", "presurge", "-D", data)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        words = ["postgres", "-D", data, "-k", folder, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1"]
        words += ["-c", "max_connections=200"]
        self.process = subprocess.Popen(self.words(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            time.sleep(0.2)
            made = subprocess.run(self.words("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "presurge",
                                             "presurge"), capture_output=True)
            if made.returncode == 0:
                return
        raise SystemExit(f"PostgreSQL does not come up: {made.stderr.decode()}")

    def words(self, program, *more):
        run = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups"] if self.user else []
        return run + [os.path.join(self.programs, program), *map(str, more)]

    def call(self, program, *more):
        subprocess.run(self.words(program, *more), check=True, capture_output=True)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)


class World:
    """HAProxy, PostgreSQL and the replicas."""

    def __init__(self, args, folder: pathlib.Path):
        self.args, self.folder = args, folder
        serve_scale.files(folder, args.rollouts)
        fleets = [FLEET.format(n=n, update=args.update) for n in range(args.rollouts)]
        (folder / "web.yaml").write_text("---\n".join(fleets))
        for name, text in [("update", UPDATE.format(update=args.update)), ("runs", RUNS)]:
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        (folder / "began").write_text("")
        self.haproxy = subprocess.Popen(["haproxy", "-q", "-db", "-f", folder / "haproxy.cfg"],
                                        stderr=subprocess.DEVNULL)
        self.postgres = Postgres(folder / "pg")
        self.relays = [Relay(self.postgres.port) for _ in range(REPLICAS)]
        # All replicas are of this machine, and share what adapters remember on it: it lies under the address of
        # the store, which differs by the relay.
        states = folder / "state" / "presurge"
        (states / "all").mkdir(parents=True)
        for relay in self.relays:
            (states / f"127.0.0.1:{relay.port}%2Fpresurge.state").symlink_to("all")
        self.replicas = [None] * REPLICAS
        self.ports = [None] * REPLICAS
        self.starts = 0

    def environment(self, port: int):
        store = f"postgres://presurge@127.0.0.1:{port}/presurge"
        return os.environ | {"PRESURGE_STORE": store, "XDG_STATE_HOME": str(self.folder / "state"), "NO_COLOR": "1"}

    def start(self, nth: int):
        self.starts += 1
        log = self.folder / f"log-{nth}-{self.starts}"
        words = [self.args.presurge, "serve", self.folder / "web.yaml", "--mode", "act", "--listen", "127.0.0.1:0"]
        with open(log, "w") as out:
            process = subprocess.Popen(words, stderr=out, stdin=subprocess.DEVNULL, cwd=self.folder,
                                       env=self.environment(self.relays[nth].port))
        self.replicas[nth] = process
        for _ in range(600):
            time.sleep(0.1)
            port = re.search(r"listens on 127.0.0.1:(\d+)", log.read_text())
            if port:
                self.ports[nth] = int(port.group(1))
                return
            if process.poll() is not None:
                raise SystemExit(f"a replica ended: {log.read_text()}")
        raise SystemExit("a replica does not come up")

    def presurge(self, *words):
        return subprocess.run([self.args.presurge, *words], capture_output=True, text=True, cwd=self.folder,
                              env=self.environment(self.postgres.port))

    def records(self, name: str):
        return [json.loads(line) for line in self.presurge("audit", "export", name).stdout.splitlines()]

    def begin(self, n: int):
        """Begins a rollout, as a client does: where too much is under way, it asks again."""
        while True:
            try:
                return serve_scale.ask(self.ports[n % REPLICAS], "/v1/rollouts", {"rollout": f"roll-{n}"})
            except urllib.error.HTTPError as problem:
                said = problem.read().decode()
                if problem.code != 503:
                    raise SystemExit(f"roll-{n}: {said}") from problem
                print(said, file=sys.stderr)
                time.sleep(5)

    def open(self) -> int:
        """How many rollouts have not ended; all, where the store does not answer the daemon yet."""
        try:
            text = serve_scale.ask(self.ports[0], "/v1/rollouts?limit=1000")[1]
        except OSError:
            return self.args.rollouts
        ended = ("done", "incomplete", "aborted", "rolledBack")
        return sum(rollout["state"] not in ended for rollout in json.loads(text)["rollouts"])

    def stop(self):
        for process in self.replicas:
            if process and process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait(30)
        self.haproxy.terminate()
        self.haproxy.wait(30)
        self.postgres.stop()


def hit(world: World, chance: random.Random, until: float, blows: list, lock: threading.Lock, nth: int):
    """Blows for one replica, until the time is over."""
    while True:
        time.sleep(chance.uniform(*CALM))
        # One replica at least is well.
        if not lock.acquire(timeout=max(0.0, until - time.time())):
            return
        try:
            if time.time() > until:
                return
            kind = chance.choice(["kill", "freeze", "cut"])
            blows.append((time.time(), kind, nth))
            process = world.replicas[nth]
            if kind == "kill":
                process.kill()
                process.wait()
            elif kind == "freeze":
                process.send_signal(signal.SIGSTOP)
            else:
                world.relays[nth].still.set()
            time.sleep(chance.uniform(*DOWN))
            if kind == "kill":
                world.start(nth)
            elif kind == "freeze":
                process.send_signal(signal.SIGCONT)
            else:
                world.relays[nth].mend()
        finally:
            lock.release()


def judged(world: World, blows: list) -> dict:
    names = [f"roll-{n}" for n in range(world.args.rollouts)]
    faults, waits, takeovers = [], [], 0
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        journals = dict(zip(names, pool.map(world.records, names)))
        verified = dict(zip(names, pool.map(lambda name: world.presurge("audit", "verify", name), names)))
    for name, records in journals.items():
        if verified[name].returncode != 0:
            faults.append(f"{name}: {verified[name].stderr.strip()}")
        ends = [record["payload"]["outcome"] for record in records if record["type"] == "Finished"]
        if ends != ["done"]:
            faults.append(f"{name}: ended {ends}")
        started = [record for record in records if record["type"] == "DriverStarted"]
        epochs = [record["payload"]["epoch"] for record in started]
        if epochs != sorted(set(epochs)):
            faults.append(f"{name}: epochs {epochs}")
        takeovers += max(0, len(started) - 1)
        for record in started[1:]:
            at = datetime.datetime.fromisoformat(record["at"].replace("Z", "+00:00")).timestamp()
            before = [blow for blow, _, _ in blows if blow <= at]
            if before:
                waits.append(at - max(before))
    began = collections.Counter((world.folder / "began").read_text().split())
    for n in range(world.args.rollouts):
        for k in range(1, 5):
            server = f"web-{n}-s-{k}"
            if began[server] != 1:
                faults.append(f"{server} was updated {began[server]} times")
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect(str(world.folder / "admin.sock"))
        admin.sendall(b"show servers state\n")
        states = b"".join(iter(lambda: admin.recv(65536), b"")).decode()
    for line in states.splitlines()[2:]:
        fields = line.split()
        # Columns 7 and 8: admin state, and the weight that people gave.
        if len(fields) > 8 and (fields[6] != "0" or fields[7] != "100"):
            faults.append(f"{fields[3]}: admin state {fields[6]}, weight {fields[7]}")
    waits.sort()
    return {
        "rollouts": world.args.rollouts,
        "blows": collections.Counter(kind for _, kind, _ in blows),
        "takeovers": takeovers,
        "secondsFromTheNewestBlowToATakeover": {
            "median": round(waits[len(waits) // 2], 1) if waits else None,
            "longest": round(waits[-1], 1) if waits else None,
        },
        "faults": len(faults),
        "first": faults[:20],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presurge", default="target/release/presurge")
    parser.add_argument("--rollouts", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--update", type=int, default=20, help="seconds that an update takes")
    args = parser.parse_args()
    args.presurge = os.path.abspath(args.presurge)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        # PostgreSQL runs as another user, below it.
        folder.chmod(0o755)
        world = World(args, folder)
        try:
            for nth in range(REPLICAS):
                world.start(nth)
            begun = time.time()
            for n in range(args.rollouts):
                world.begin(n)
            to_begin = time.time() - begun
            until, blows = time.time() + args.seconds, []
            two, hitters = threading.Semaphore(REPLICAS - 1), []
            for nth in range(REPLICAS):
                chance = random.Random(f"{args.seed} {nth}")
                words = (world, chance, until, blows, two, nth)
                hitters.append(threading.Thread(target=hit, args=words))
                hitters[-1].start()
            for hitter in hitters:
                hitter.join()
            while (left := world.open()) > 0 and time.time() < until + 1800:
                print(f"{left} rollouts are open", file=sys.stderr)
                time.sleep(10)
            found = judged(world, blows) | {"seed": args.seed, "secondsToBegin": round(to_begin, 1)}
            print(json.dumps(found, indent=1))
            return 1 if found["faults"] else 0
        finally:
            world.stop()


if __name__ == "__main__":
    sys.exit(main())
