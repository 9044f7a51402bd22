"""Volatility one session ahead: part of `stocks.py`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from arch import arch_model
from common import Report
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from stock_market import NAMES, Market, fitted_forecasts
from story import OURS, page_table

from hourglass_ts.frames.market import volatility
from hourglass_ts.metrics.comparison import block_bootstrap, diebold_mariano
from hourglass_ts.report.parts import Section, picture
from hourglass_ts.report.story import Story
from hourglass_ts.report.style import ACTUAL, FOCUS, HISTORY, MUTED, Look, drawing, panels, points, thin

EWMA, GARCH, HAR = "EWMA", "GARCH(1,1)-t", "ridge (HAR)"
MEASURES = {EWMA: "ewma", GARCH: "garch", HAR: "har"}
COVARIATES = ["absolute_return", "negative_return", "ewma_volatility"]
Variances = dict[str, dict[str, pd.Series]]
"""The variance forecast for the session after each day, by model and stock."""


def references(market: Market) -> Variances:
    """The variances that EWMA, GARCH and the ridge forecast for the session after each day, by model and stock."""
    makers = {EWMA: ewma_variance, GARCH: garch_variance, HAR: har_variance}
    return {model: {name: make(market, name) for name in NAMES} for model, make in makers.items()}


def ewma_variance(market: Market, name: str) -> pd.Series:
    return market.own(name).set_index("date")["ewma_volatility"] ** 2


def garch_variance(market: Market, name: str) -> pd.Series:
    """Parameters from the training rows; the variance is then filtered through all rows."""
    own = market.own(name).set_index("date")["return"].dropna()
    fitted = arch_model(own, dist="t").fit(last_obs=(own.index <= market.cuts[name]).sum(), disp="off")
    return fitted.forecast(horizon=1, start=0).variance["h.1"]


def har_variance(market: Market, name: str) -> pd.Series:
    own = market.own(name).set_index("date")
    range_variance = 1e4 * volatility.garman_klass(own["open"], own["high"], own["low"], own["close"])
    log_range = np.log(range_variance.clip(lower=1e-3))
    inputs = pd.DataFrame({f"mean {n}": log_range.rolling(n).mean() for n in (1, 5, 22, 66)})
    inputs = inputs.assign(size=own["absolute_return"], fall=own["negative_return"])
    inputs = inputs.assign(ewma=2 * np.log(own["ewma_volatility"])).dropna()
    target = log_range.shift(-1).reindex(inputs.index)
    training = _training(inputs.index, market, name)
    ridge = make_pipeline(StandardScaler(), Ridge(alpha=1.0)).fit(inputs[training], target[training])
    return _scaled(pd.Series(np.exp(ridge.predict(inputs)), inputs.index), market, name)


def our_variance(market: Market, seed: int, settings: dict[str, Any]) -> dict[str, pd.Series]:
    """HourGlass on the pipeline's range-based variance, its past columns beside it."""
    forecasts = fitted_forecasts(market, "range_variance", seed, settings, past=COVARIATES)
    scaled = {name: _scaled(own[1], market, name) for name, own in forecasts.items()}
    for name, own in forecasts.items():
        scaled[name].attrs["share"] = own.attrs["share"]
    return scaled


def _training(days: pd.Index, market: Market, name: str) -> np.ndarray:
    """Which of these days have their next session inside the training rows."""
    return np.asarray(days < market.cuts[name])


def _scaled(variance: pd.Series, market: Market, name: str) -> pd.Series:
    """A range-based variance in units of squared returns, by their ratio on the training rows."""
    squares = market.next_return(name).reindex(variance.index) ** 2
    return variance * (squares / variance)[_training(variance.index, market, name)].mean()


def losses(market: Market, variances: Variances) -> pd.DataFrame:
    """QLIKE of every test day (rows: stock, day) for every model (columns), ours averaged over seeds, too."""
    parts = []
    for name in NAMES:
        following = market.next_return(name)
        following = following[(following.index >= market.cuts[name]) & following.notna()]
        own = {model: variance[name].reindex(following.index) for model, variance in variances.items()}
        parts.append(pd.DataFrame({model: np.log(h) + following**2 / h for model, h in own.items()}))
    every = pd.concat(parts, keys=NAMES, names=["stock", "day"])
    return every.assign(**{OURS: every[_seeds(every)].mean(axis=1)})


def _seeds(every: pd.DataFrame) -> list[str]:
    return [model for model in every.columns if model.startswith(f"{OURS} ")]


def score_volatility(report: Report, every: pd.DataFrame, variances: Variances) -> pd.DataFrame:
    """Mean QLIKE by stock and model, the least and the greatest of the seeds, and the network's share."""
    mean = every.groupby("stock").mean()
    mean.loc["mean"] = mean.mean()
    for model in mean.columns:
        report.add(f"qlike:{model}", round(float(mean.loc["mean", model]), 4))
    seeds = _seeds(every)
    shown = mean[[*MEASURES, OURS]].assign(**{"lowest seed": mean[seeds].min(axis=1)})
    shown["highest seed"] = mean[seeds].max(axis=1)
    shares = {name: np.mean([variances[seed][name].attrs["share"] for seed in seeds]) for name in NAMES}
    shown["network's share"] = pd.Series(shares)
    report.add("share:volatility", round(float(np.mean(list(shares.values()))), 3))
    return shown


def contest_volatility(report: Report, every: pd.DataFrame) -> pd.DataFrame:
    """Ours less each other's mean over stocks of the mean QLIKE, with its interval over days, and a test.

    A stock's day counts 1 / its number of days, so that every stock counts the same; a day adds up its stocks.
    """
    counts = every.groupby("stock")[OURS].transform("size")
    daily = every.div(len(NAMES) * counts, axis=0).groupby("day").sum().sort_index()
    daily *= len(daily)
    rows = {}
    for other, measure in MEASURES.items():
        found = block_bootstrap(daily[OURS] - daily[other])
        for ending, value in (("", found.estimate), ("_low", found.low), ("_high", found.high)):
            report.add(f"qlike_minus_{measure}{ending}", round(float(value), 4))
        test = diebold_mariano(daily[OURS].to_numpy(), daily[other].to_numpy())
        rows[other] = {"difference": found.estimate, "low": found.low, "high": found.high, "p": test.p_value}
    return pd.DataFrame(rows).T.rename_axis("against")


def volatility_sentence(volatile: pd.DataFrame, contests: pd.DataFrame) -> str:
    """What is surely beaten, what is not told apart, and what is better."""
    mean, sure = volatile.loc["mean"], {}
    for other, row in contests.iterrows():
        verdict = "better than" if row["high"] < 0 else "worse than" if row["low"] > 0 else "not told apart from"
        sure.setdefault(verdict, []).append(f"{other} ({mean[other]:.3f})")
    clauses = "; ".join(f"{verdict} {', '.join(others)}" for verdict, others in sure.items())
    return f"Volatility, one session ahead: QLIKE {mean[OURS]:.3f}, {clauses}."


def volatility_sections(
    market: Market,
    variances: Variances,
    volatile: pd.DataFrame,
    contests: pd.DataFrame,
    story: Story,
) -> list[Section]:
    """What was forecast beside what happened, and the scores."""
    drawn = picture(
        story,
        partial(volatility_chart, market=market, variances=variances),
        "volatility",
        label="Forecast volatility of each stock beside the size of its returns",
        caption="Grey: the size of each session's return. Lines: the deviation that was forecast the session before.",
    )
    texts = (
        "QLIKE of one session ahead, on the last 30 % of every stock; smaller is better, and differences count.",
        "Negative: HourGlass is better. Intervals are block bootstraps over days, p that of Diebold and Mariano.",
    )
    return [
        Section("volatility", "Volatility", texts[0], drawn, page_table(volatile)),
        Section("volatility-against", "Volatility, against each reference", texts[1], table=page_table(contests)),
    ]


@drawing()
def volatility_chart(story: Story, *, look: Look, market: Market, variances: Variances) -> Any:
    """Forecast deviations of every stock over the size of its returns, in the test stretch."""
    from matplotlib.dates import DateFormatter, YearLocator

    figure, axes = panels(replace(look, columns=min(look.columns, 2)), len(NAMES), 2.3)
    styles = {EWMA: (MUTED, 1.0), HAR: (ACTUAL, 1.0), f"{OURS}, first seed": (FOCUS, 1.6)}
    for name, axis in zip(NAMES, axes, strict=True):
        after = market.next_return(name)
        after = after[after.index >= market.cuts[name]].dropna().abs()
        axis.vlines(points(after)[0], 0, after, color=HISTORY, linewidth=0.3, alpha=0.35)
        for model, (colour, width) in styles.items():
            line = np.sqrt(variances[model][name].reindex(after.index))
            axis.plot(*points(thin(line)), color=colour, linewidth=width, label=model)
        axis.set_title(f"{name}, % per session")
        axis.set_ylim(0, float(after.quantile(0.995)))
        axis.xaxis.set_major_locator(YearLocator())
        axis.xaxis.set_major_formatter(DateFormatter("%Y"))
    axes[0].legend(loc="upper right", ncols=1)
    return figure
