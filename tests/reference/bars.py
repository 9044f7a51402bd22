"""Daily bars to test with, and slow ways to what is made of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd


def random_bars(n: int = 60, names: Sequence[str] = ("A", "B"), seed: int = 0) -> pd.DataFrame:
    """Bars of random walks on business days, each name at its own level: name, day, open, high, low, close, volume."""
    rng = np.random.default_rng(seed)
    parts = []
    for number, name in enumerate(names):
        close = 50.0 * (number + 1) * np.exp(np.cumsum(0.01 * rng.normal(size=n)))
        open_ = close * np.exp(0.005 * rng.normal(size=n))
        high = np.maximum(open_, close) * np.exp(0.004 * rng.random(n))
        low = np.minimum(open_, close) * np.exp(-0.004 * rng.random(n))
        days, volume = pd.bdate_range("2024-01-01", periods=n), rng.integers(1_000, 9_000, n)
        columns = {"day": days, "open": open_, "high": high, "low": low, "close": close, "volume": volume}
        parts.append(pd.DataFrame({"name": name, **columns}))
    return pd.concat(parts, ignore_index=True)


def brownian_days(n: int, steps: int, drift: float = 0.0, jumps: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """Bars of a Brownian motion in logs with a variance of 1 a day, of which `jumps` overnight; exact highs and lows.

    drift: per day, all of it within the day.  Between two steps a Brownian bridge has its own exact maximum and
    minimum; they are drawn apart, which matters in the few days alone whose high and low lie in one step.
    """
    rng = np.random.default_rng(seed)
    variance = (1 - jumps) / steps
    path = np.cumsum(drift / steps + math.sqrt(variance) * rng.normal(size=(n, steps)), axis=1)
    path = np.concatenate([np.zeros((n, 1)), path], axis=1)
    ends, gaps = path[:, 1:] + path[:, :-1], np.diff(path, axis=1) ** 2
    high = (ends + np.sqrt(gaps + 2 * variance * rng.exponential(size=gaps.shape))).max(axis=1) / 2
    low = (ends - np.sqrt(gaps + 2 * variance * rng.exponential(size=gaps.shape))).min(axis=1) / 2
    jump = math.sqrt(jumps) * rng.normal(size=n)
    days = {"open": 0.0 * jump, "high": high, "low": low, "close": path[:, -1], "before": -jump}
    return pd.DataFrame({part: np.exp(values) for part, values in days.items()})


def slow_yang_zhang(bars: pd.DataFrame, n: int) -> list[float]:
    """Window by window, as the paper has it. bars: open, high, low, close, before."""
    made = []
    for end in range(1, len(bars) + 1):
        rows = bars.iloc[max(end - n, 0) : end]
        jumps, days = np.log(rows.open / rows.before).tolist(), np.log(rows.close / rows.open).tolist()
        ups, downs = np.log(rows.high / rows.open).tolist(), np.log(rows.low / rows.open).tolist()
        if end < n or any(map(math.isnan, [*jumps, *days, *ups, *downs])):
            made.append(math.nan)
            continue
        between = [sum((x - sum(xs) / n) ** 2 for x in xs) / (n - 1) for xs in (jumps, days)]
        within = sum(u * (u - c) + d * (d - c) for u, d, c in zip(ups, downs, days, strict=True)) / n
        k = 0.34 / (1.34 + (n + 1) / (n - 1))
        made.append(between[0] + k * between[1] + (1 - k) * within)
    return made


def slow_columns(bars: pd.DataFrame, window: int) -> pd.DataFrame:
    """The columns of one name, row by row in words of their definitions; close is the adjusted price."""
    rows: list[dict[str, float]] = []
    close, volume = bars["close"].tolist(), bars["volume"].tolist()
    before = [next((p for p in reversed(close[:t]) if not math.isnan(p)), math.nan) for t in range(len(close))]
    returns = [100 * math.log(now / then) for now, then in zip(close, before, strict=True)]
    logs = [math.log(shares) if shares > 0 else math.nan for shares in volume]
    realised = slow_yang_zhang(bars.assign(before=before), window)
    for t, change in enumerate(returns):
        weights = [(0.94 ** (t - s), returns[s] ** 2) for s in range(t + 1) if not math.isnan(returns[s])]
        total = sum(weight for weight, _ in weights)
        ewma = math.sqrt(sum(weight * square for weight, square in weights) / total) if total else math.nan
        past = logs[max(t - window, 0) : t]
        spread = float(np.std(past, ddof=1)) if len(past) == window else math.nan
        rows.append(
            {
                "return": change,
                "absolute_return": abs(change),
                "negative_return": change if math.isnan(change) else min(change, 0.0),
                "ewma_volatility": ewma,
                "return_score": change / rows[-1]["ewma_volatility"] if rows else math.nan,
                "realised_volatility": 100 * math.sqrt(realised[t]),
                "log_volume": logs[t],
                "volume_score": (logs[t] - float(np.mean(past))) / spread if len(past) == window else math.nan,
            }
        )
    return pd.DataFrame(rows, index=bars.index)
