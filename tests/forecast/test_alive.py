"""The network is alive where a line is not enough, and silent where there is nothing to learn."""

import numpy as np
import pandas as pd

from hourglass_ts import HourGlassForecaster


def logistic_map(n=1500, start=0.3):
    values = np.empty(n)
    values[0] = start
    for step in range(1, n):
        values[step] = 3.9 * values[step - 1] * (1 - values[step - 1])
    return values


def fit(values, **settings):
    df = pd.DataFrame({"t": np.arange(len(values)), "y": values})
    small = {"d_model": 32, "d_ff": 64, "steps_per_epoch": 50, "progress": False}
    return HourGlassForecaster(**{**small, **settings}).fit(df, time="t", target="y")


def test_network_carries_what_no_line_can_forecast():
    values = logistic_map()
    model = fit(values[:-50], horizon=1, context=8, max_epochs=6)
    assert model.share_ > 0.5
    report = model.trained_.model.floors[0].report
    assert report.floor_error > 0.5  # the line itself explains less than half of the variance

    errors, line = [], []
    for origin in range(1450, 1499):
        history = pd.DataFrame({"t": np.arange(origin), "y": values[:origin]})
        errors.append(abs(model.forecast(history)["forecast"].iloc[0] - values[origin]))
        line.append(abs(values[origin - 1] - values[origin]))
    assert np.mean(errors) < 0.2 * np.mean(line)


def test_network_is_nearly_silent_on_random_walks():
    """On average: one walk in some drifts through its validation tail as its training rows did."""
    shares = []
    for seed in range(3):
        walk = np.random.default_rng(seed).normal(size=1500).cumsum()
        shares.append(fit(walk, horizon=3, context=16, max_epochs=4, patch=2, seed=seed).share_)
    assert np.mean(shares) < 0.1
    assert max(shares) < 0.5
