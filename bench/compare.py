#!/usr/bin/env python3
"""Our forecasts beside statsforecast's and Prophet's: the same series, machine and run.

Makes a virtual environment beside this file (or at --venv), installs requirements.txt there,
builds the example `compare`, lets both forecast the same windows, and prints one table per data
set. See README.md.
"""

import argparse
import csv
import io
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from datetime import datetime
from pathlib import Path

import with_prophet

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
TRACES = ["nab_aws_5min.csv", "nab_tweets_5min.csv", "azure_vm_cpu_5min.csv",
          "worldcup98_requests_5min.csv", "ms_cloud_1min.csv"]
LEVELS = [0.025, 0.05, 0.1, 0.5, 0.9, 0.95, 0.975, 0.99]
WEEKS = 4  # of history that both sides see of a trace at 5 minutes; in points for every step


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data",
                        help="folder of the unique_id,ds,y files (or PRESURGE_DATA)")
    parser.add_argument("--venv", type=Path, default=HERE / ".venv")
    parser.add_argument("--m4-series", type=int, default=10_000, help="at most so many of M4")
    parser.add_argument("--arima-series", type=int, default=20,
                        help="AutoARIMA takes many seconds a series: the first so many only")
    parser.add_argument("--trace-origins", type=int, default=3, help="per trace; 0 for no traces")
    parser.add_argument("--arima-origins", type=int, default=1, help="per trace, for AutoARIMA")
    parser.add_argument("--only", help="rows of this model of ours alone (and of its kin), for"
                        " instance prophet")
    parser.add_argument("--out", type=Path, help="write the tables into this Markdown file")
    return parser.parse_args()


def with_reference(options):
    """Goes on in the virtual environment."""
    python = options.venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(options.venv)], check=True)
    if Path(sys.prefix).resolve() != options.venv.resolve():
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r",
                        str(HERE / "requirements.txt")], check=True)
        os.execv(str(python), [str(python), *sys.argv])


# ---- data ---------------------------------------------------------------------------------


def read(path):
    """Series of one file, in the order of their names: name -> (instants, values)."""
    found = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            at, value = found.setdefault(row["unique_id"], ([], []))
            at.append(row["ds"])
            value.append(float(row["y"]) if row["y"] else math.nan)
    return dict(sorted(found.items()))


def m4_windows(options):
    train, test = (read(options.data / f"m4_hourly_{part}.csv") for part in ("train", "test"))
    names = list(train)[: options.m4_series]
    return [dict(id=n, trace=n, at=train[n][0], past=train[n][1], actual=test[n][1], day=24,
                 seasons=[24, 168], rank=k) for k, n in enumerate(names)]


def trace_windows(options):
    """Origins over the last third of each trace, 4 hours ahead, as in the crate's own test."""
    windows = []
    for name in TRACES:
        for trace, (at, values) in read(options.data / name).items():
            seconds = (instant(at[1]) - instant(at[0])).total_seconds()
            day, horizon = round(86_400 / seconds), round(14_400 / seconds)
            first, last = len(values) * 2 // 3, len(values) - horizon
            for k in range(options.trace_origins):
                origin = first + k * (last - first) // max(options.trace_origins - 1, 1)
                start = max(0, origin - WEEKS * 7 * 288)
                actual = values[origin: origin + horizon]
                if sum(not math.isnan(v) for v in actual) * 2 < horizon:
                    continue
                past = values[start:origin]
                while math.isnan(past[0]):
                    past, start = past[1:], start + 1
                seasons = [m for m in (day, 7 * day) if 2 * m <= len(past)]
                windows.append(dict(id=f"{trace}@{origin}", trace=trace, at=at[start:origin],
                                    past=past, actual=actual, day=day, seasons=seasons, rank=k))
    return windows


def instant(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def bridged(values):
    """The reference knows no gaps: the last value goes on."""
    filled = list(values)
    for i in range(1, len(filled)):
        if math.isnan(filled[i]):
            filled[i] = filled[i - 1]
    return filled


# ---- forecasts ------------------------------------------------------------------------------


parts = {}  # the components that Prophet found: kind of effects -> id -> table


def reference(make, windows):
    """One reference model: id -> (mean, quantile rows by level, ms of fit and forecast)."""
    import numpy as np

    found = {}
    for w in windows:
        y = np.array(bridged(w["past"]), dtype=float)
        horizon = len(w["actual"])
        start = time.process_time()
        try:
            model = make(w)
            said = model.forecast(y=y, h=horizon, level=[80, 90, 95, 98])
        except Exception as error:  # the reference refuses some series
            print(f"{w['id']}: {type(error).__name__}: {error}", file=sys.stderr)
            continue
        spent = 1e3 * (time.process_time() - start)
        keys = ["lo-95", "lo-90", "lo-80", "mean", "hi-80", "hi-90", "hi-95", "hi-98"]
        rows = np.array([said[k] for k in keys]).T.tolist()
        spent = said.get("ms_fit", spent), said.get("ms_all", spent)
        found[w["id"]] = (said["mean"].tolist(), rows, *spent)
        if hasattr(model, "components"):
            parts.setdefault(model.mode, {})[w["id"]] = model.components
    return found


def ours(binary, windows, seasons, names):
    """Our models: name -> id -> (mean, quantile rows, ms of one fit, ms with calibration)."""
    with tempfile.TemporaryDirectory() as folder:
        by_horizon = {}
        for w in windows:
            by_horizon.setdefault(len(w["actual"]), []).append(w)
        found = {name: {} for name in names}
        for horizon, some in by_horizon.items():
            with open(Path(folder) / "windows.csv", "w") as file:
                file.write("unique_id,ds,y\n")
                for w in some:
                    file.writelines(f"{w['id']},{t},{'' if math.isnan(v) else v}\n"
                                    for t, v in zip(w["at"], w["past"]))
            text = subprocess.run(
                [str(binary), "windows.csv", str(horizon), seasons, ",".join(names)],
                env=dict(os.environ, PRESURGE_DATA=folder), check=True, text=True,
                stdout=subprocess.PIPE).stdout
            for row in csv.DictReader(io.StringIO(text)):
                entry = found[row["model"]].setdefault(row["unique_id"], (
                    [], [], float(row["fit_ms"]), float(row["all_ms"])))
                entry[0].append(float(row["mean"]))
                entry[1].append([float(row[str(level)]) for level in LEVELS])
        return found


# ---- scores ---------------------------------------------------------------------------------


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else math.nan


def known(actual, said):
    return [(a, s) for a, s in zip(actual, said) if not math.isnan(a)]


def smape(actual, said):
    return mean(200 * abs(a - s) / (abs(a) + abs(s)) for a, s in known(actual, said)
                if abs(a) + abs(s) > 0)


def mae(actual, said):
    return mean(abs(a - s) for a, s in known(actual, said))


def scale(past, day):
    return mean(abs(b - a) for a, b in zip(past, past[day:])
                if not (math.isnan(a) or math.isnan(b)))


def pinball(actual, said, level):
    return mean(max(level * (a - s), (level - 1) * (a - s)) for a, s in known(actual, said))


def naive2(past, day, horizon):
    """The benchmark of the M4 competition."""
    n, centre = len(past), mean(past)
    power = sum((v - centre) ** 2 for v in past)
    if power == 0:
        return [past[-1]] * horizon

    def acf(lag):
        return sum((a - centre) * (b - centre) for a, b in zip(past, past[lag:])) / power

    error = math.sqrt((1 + 2 * sum(acf(k) ** 2 for k in range(1, day))) / n)
    if abs(acf(day)) <= 1.645 * error:
        return [past[-1]] * horizon
    half, shares = day // 2, [[] for _ in range(day)]
    for t in range(half, n - half):
        window = past[t - half: t + half + 1]
        trend = (sum(window) - 0.5 * (window[0] + window[-1])) / day
        shares[t % day].append(past[t] / trend)
    index = [mean(s) for s in shares]
    index = [v / mean(index) for v in index]
    level = past[-1] / index[(n - 1) % day]
    return [level * index[(n + h) % day] for h in range(horizon)]


def score(windows, said, bench):
    """Means over windows, then over traces; None without a single forecast."""
    rows = []
    for w in windows:
        if w["id"] not in said:
            continue
        centre, quantiles, fit, all_ms = said[w["id"]]
        actual, unit = w["actual"], scale(w["past"], w["day"])
        column = lambda k: [row[k] for row in quantiles]
        inside = lambda low, high: mean(
            float(l <= a <= h) for a, l, h in zip(actual, column(low), column(high))
            if not math.isnan(a))
        rows.append(dict(
            trace=w["trace"], smape=smape(actual, centre), mase=mae(actual, centre) / unit,
            pinball=[pinball(actual, column(k), LEVELS[k]) / unit for k in (3, 4, 5, 7)],
            coverage=[inside(2, 4), inside(1, 5), inside(0, 6)], fit=fit, all=all_ms,
            bench=bench[w["id"]]))
    if not rows:
        return None
    result = dict(count=len(rows), smape=mean(r["smape"] for r in rows),
                  mase=mean(r["mase"] for r in rows),
                  pinball=[mean(r["pinball"][k] for r in rows) for k in range(4)],
                  coverage=[mean(r["coverage"][k] for r in rows) for k in range(3)],
                  fit=mean(r["fit"] for r in rows), all=mean(r["all"] for r in rows))
    bench_smape, bench_mase = mean(r["bench"][0] for r in rows), mean(r["bench"][1] for r in rows)
    result["owa"] = 0.5 * (result["smape"] / bench_smape + result["mase"] / bench_mase)
    traces = sorted({r["trace"] for r in rows})
    upper = lambda r: sum(r["pinball"][1:])
    result["ratio"] = mean(
        mean(upper(r) for r in rows if r["trace"] == t)
        / mean(r["bench"][2] for r in rows if r["trace"] == t) for t in traces)
    return result


# ---- tables ---------------------------------------------------------------------------------


def times(against, s, which):
    """How often faster; nothing where either was not timed."""
    faster = against["fit"] / s[which] if s[which] else math.nan
    return "" if math.isnan(faster) else f"{faster:.0f}×"


def line(name, s, first, against=None):
    cells = [name, s["count"], f"{s[first]:.3f}", f"{s['smape']:.2f}", f"{s['mase']:.3f}"]
    cells += [f"{p:.4f}" for p in s["pinball"]] + [f"{100 * c:.1f}" for c in s["coverage"]]
    cells += ["" if math.isnan(s["fit"]) else f"{s['fit']:.1f}", f"{s['all']:.1f}"]
    if against:
        cells += [f"{s[first] / against[first]:.3f}", f"{s['pinball'][2] / against['pinball'][2]:.3f}",
                  times(against, s, "fit"), times(against, s, "all")]
    else:
        cells += [""] * 4
    return "| " + " | ".join(str(c) for c in cells) + " |"


def table(windows, bench, first, title, pairs, alone, binary):
    """`pairs`: (reference's name, maker, our seasons, our name, windows)."""
    out = [f"| {title} | n | {'OWA' if first == 'owa' else 'ratio'} | sMAPE | MASE | pb .5 | pb .9"
           " | pb .95 | pb .99 | 80 % | 90 % | 95 % | ms fit | ms all |"
           " ratio | ratio pb .95 | faster fit | faster all |",
           "| --- |" + " ---: |" * 17]
    done = {}  # what the reference said already
    for label, make, seasons, name, subset in pairs:
        if label not in done:
            done[label] = reference(make, subset)
        theirs = score(subset, done[label], bench)
        mine = score(subset, ours(binary, subset, seasons, [name])[name], bench)
        if theirs:
            row = line(label, theirs, first)
            out += [row] if row not in out else []
        if mine:
            told = "" if seasons == "auto" else f" [{seasons}]"
            out.append(line(f"**{name}{told}**", mine, first, theirs))
        print("\n".join(out[-2:]), file=sys.stderr, flush=True)
    for name, said in (ours(binary, windows, "auto", alone) if alone else {}).items():
        mine = score(windows, said, bench)
        if mine:
            out.append(line(f"**{name}**", mine, first))
    return out


def benches(windows, said, two):
    """Per window: sMAPE and MASE of the benchmark, and the upper loss of seasonal naive."""
    found = {}
    for w in windows:
        unit = scale(w["past"], w["day"])
        _, rows, _, _ = said[w["id"]]
        upper = sum(pinball(w["actual"], [r[k] for r in rows], LEVELS[k]) / unit for k in (4, 5, 7))
        centre = two(w)
        found[w["id"]] = (smape(w["actual"], centre), mae(w["actual"], centre) / unit, upper)
    return found


def main():
    options = arguments()
    if "PRESURGE_DATA" in os.environ:
        options.data = Path(os.environ["PRESURGE_DATA"])
    with_reference(options)
    with_prophet.quiet()
    from statsforecast.models import (MSTL, AutoARIMA, AutoETS, AutoTheta,
                                      DynamicOptimizedTheta, SeasonalNaive)

    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    subprocess.run(["cargo", "build", "--release", "-p", "forecast", "--example", "compare",
                    "--example", "components"], cwd=ROOT, check=True)
    binary = target / "release" / "examples" / "compare"
    alone = [name for name in ("auto", "card") if asked(options, name)]
    prophets = lambda windows: [
        ("Prophet", with_prophet.Model, "auto", "prophet", windows),
        ("Prophet, multiplicative", lambda w: with_prophet.Model(w, "multiplicative"), "auto",
         "prophet-multiplicative", windows),
    ]
    chosen = lambda pairs: [pair for pair in pairs if asked(options, pair[3])]
    out = []

    windows = m4_windows(options)
    naive = reference(lambda w: SeasonalNaive(season_length=24), windows)
    bench = benches(windows, naive, lambda w: naive2(w["past"], 24, len(w["actual"])))
    few = [w for w in windows if w["rank"] < options.arima_series]
    out += table(windows, bench, "owa", "M4 hourly", chosen([
        ("SeasonalNaive (24)", lambda w: SeasonalNaive(season_length=24), "24", "seasonal-naive", windows),
        ("AutoETS (24)", lambda w: AutoETS(season_length=24), "24", "ets", windows),
        ("AutoETS (24)", lambda w: AutoETS(season_length=24), "auto", "ets", windows),
        ("DynamicOptimizedTheta (24)", lambda w: DynamicOptimizedTheta(season_length=24), "24", "theta", windows),
        ("AutoTheta (24)", lambda w: AutoTheta(season_length=24), "auto", "theta", windows),
        ("MSTL [24]", lambda w: MSTL(season_length=24), "24", "mstl", windows),
        ("MSTL [24,168]", lambda w: MSTL(season_length=[24, 168]), "auto", "mstl", windows),
        ("AutoARIMA (24)", lambda w: AutoARIMA(season_length=24), "auto", "arima", few),
    ] + prophets(windows)), alone, binary)
    if "additive" in parts:
        out += ["", with_prophet.components(binary.with_name("components"), windows,
                                            parts["additive"])]

    if options.trace_origins > 0:
        windows = trace_windows(options)
        naive = reference(lambda w: SeasonalNaive(season_length=w["day"]), windows)
        bench = benches(windows, naive, lambda w: naive[w["id"]][0])
        few = [w for w in windows if w["rank"] < options.arima_origins]
        out += [""] + table(windows, bench, "ratio", "server traces, 4 h", chosen([
            ("SeasonalNaive (day)", lambda w: SeasonalNaive(season_length=w["day"]), "auto", "seasonal-naive", windows),
            ("AutoETS (none)", lambda w: AutoETS(season_length=1), "auto", "ets", windows),
            ("DynamicOptimizedTheta (day)", lambda w: DynamicOptimizedTheta(season_length=w["day"]), "auto", "theta", windows),
            ("MSTL [day, week]", lambda w: MSTL(season_length=w["seasons"]), "auto", "mstl", windows),
            ("AutoARIMA (none)", lambda w: AutoARIMA(season_length=1), "auto", "arima", few),
        ] + prophets(windows)), alone, binary)

    text = "\n".join(out)
    print(text)
    if options.out:
        write(options.out, text, f"compare {options.only}" if options.only else "compare")


def asked(options, name):
    """Whether the rows of this model of ours are wanted."""
    return not options.only or name.startswith(options.only)


def write(path, text, mark):
    """Puts the tables between the marks of the file."""
    begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    before, _, rest = (path.read_text() if path.exists() else "").partition(begin)
    _, _, after = rest.partition(end)
    places = {"--data": "DIR", "--venv": "DIR", "--out": "FILE"}
    told = [places.get(before, word) for before, word in zip([""] + sys.argv[1:], sys.argv[1:])]
    command = "bench/compare.py " + " ".join(told)
    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if "model name" in l),
               platform.processor()) if Path("/proc/cpuinfo").exists() else platform.processor()
    said = (f"Made by `{command.strip()}` with statsforecast 2.1.1 and Prophet 1.5.0, {datetime.now():%B %Y},"
            f" {cpu}, {os.cpu_count()} cores, one thread, CPU time.")
    path.write_text(f"{before.rstrip()}\n\n{begin}\n{said}\n\n{text}\n{end}{after}")


if __name__ == "__main__":
    main()
