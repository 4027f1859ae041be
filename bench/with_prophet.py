"""Python's Prophet for `compare.py`: forecasts with sampled quantiles, and components."""

import csv
import io
import logging
import os
import subprocess
import tempfile
import warnings

SAMPLES = 1_000
PARTS = {"expected": "yhat", "trend": "trend", "day": "daily", "week": "weekly"}


def cpu_ms():
    """CPU time of this process and of those that it waited for: the solver is one of these."""
    spent = os.times()
    return 1e3 * (spent.user + spent.system + spent.children_user + spent.children_system)


def quiet():
    logging.getLogger("cmdstanpy").setLevel(logging.CRITICAL)
    logging.getLogger("prophet").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore")


def instants(window, length):
    """The instants of the history, and `length` steps further, without a time zone."""
    import pandas as pd

    at = pd.to_datetime(window["at"]).tz_localize(None)
    step = at[1] - at[0]
    return at.append(pd.DatetimeIndex([at[-1] + (k + 1) * step for k in range(length)]))


class Model:
    """One window, in the interface of statsforecast's models. Its `components` are those of the
    history and of the horizon."""

    def __init__(self, window, mode="additive"):
        self.window, self.mode, self.components = window, mode, None

    def forecast(self, y, h, level):
        import numpy as np
        import pandas as pd
        from prophet import Prophet

        at = instants(self.window, h)
        start = cpu_ms()
        model = Prophet(seasonality_mode=self.mode, uncertainty_samples=0)
        model.fit(pd.DataFrame(dict(ds=at[:-h], y=y)))
        future = pd.DataFrame(dict(ds=at[-h:]))
        mean = model.predict(future)["yhat"].to_numpy()
        fit = cpu_ms() - start
        model.uncertainty_samples = SAMPLES
        np.random.seed(0)
        samples = model.predictive_samples(future)["yhat"]
        said = dict(mean=mean, ms_fit=fit, ms_all=cpu_ms() - start)
        for width in level:
            said[f"lo-{width}"] = np.percentile(samples, 50 - width / 2, axis=1)
            said[f"hi-{width}"] = np.percentile(samples, 50 + width / 2, axis=1)
        model.uncertainty_samples = 0
        self.components = model.predict(pd.DataFrame(dict(ds=at)))
        return said


def components(binary, windows, theirs):
    """How far our components lie from theirs: per part the median over windows, and what 90 % of
    them stay below, of the mean absolute difference over the part's mean size."""
    import numpy as np

    off = {part: [] for part in PARTS}
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "windows.csv"), "w") as file:
            file.write("unique_id,ds,y\n")
            for w in windows:
                file.writelines(f"{w['id']},{t},{v}\n" for t, v in zip(w["at"], w["past"]))
        horizon = str(len(windows[0]["actual"]))
        text = subprocess.run([str(binary), "windows.csv", horizon], check=True, text=True,
                              env=dict(os.environ, PRESURGE_DATA=folder),
                              stdout=subprocess.PIPE).stdout
    ours = {}
    for row in csv.DictReader(io.StringIO(text)):
        ours.setdefault(row["unique_id"], []).append(row)
    for name, rows in ours.items():
        for part, column in PARTS.items():
            if name in theirs and column in theirs[name]:
                their = theirs[name][column].to_numpy()
                own = np.array([float(row[part]) for row in rows])
                off[part].append(np.mean(np.abs(own - their)) / np.mean(np.abs(their)))
    told = [f"{part} {100 * np.median(v):.2f} % ({100 * np.quantile(v, 0.9):.2f} %)"
            for part, v in off.items() if v]
    return (f"Parts of **prophet** beside Prophet's on {len(ours)} series, history and horizon:"
            f" median (and nine tenths) of the mean difference over the mean size:"
            f" {', '.join(told)}.")
