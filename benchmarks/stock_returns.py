"""Returns and their direction, as price forecasts imply them: part of `stocks.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from common import Report
from stock_market import HORIZON, NAMES, Market, fitted_forecasts
from story import OURS, page_table

from hourglass_ts.metrics.comparison import DieboldMariano, Interval, diebold_mariano
from hourglass_ts.metrics.shares import share_interval
from hourglass_ts.report.parts import Section

SURE = 0.05


def price_paths(market: Market, seed: int, settings: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """The log returns in percent that price forecasts imply, from the origin to each lead, on test days alone."""
    found = {}
    for name, prices in fitted_forecasts(market, "adjusted_close", seed, settings).items():
        last = market.own(name).set_index("date")["adjusted_close"].reindex(prices.index)
        implied = 100 * np.log(prices.div(last, axis=0))
        found[name] = implied[implied.index >= market.cuts[name]]
        found[name].attrs["share"] = prices.attrs["share"]
    return found


def true_paths(market: Market, name: str) -> pd.DataFrame:
    """The log returns in percent from each day to each lead."""
    log_price = np.log(market.own(name).set_index("date")["adjusted_close"])
    return pd.DataFrame({lead: 100 * (log_price.shift(-lead) - log_price) for lead in range(1, HORIZON + 1)})


def score_returns(report: Report, market: Market, implied: list[dict[str, pd.DataFrame]]) -> pd.DataFrame:
    """The mean absolute error over that of zero, by stock: of every lead, ours averaged over seeds."""
    rows = {}
    for name in NAMES:
        truth = true_paths(market, name)
        drift = truth[truth.index < market.cuts[name]][1].mean() * np.arange(1, HORIZON + 1)
        truth = truth.reindex(implied[0][name].index).dropna()
        errors = [(paths[name].reindex(truth.index) - truth).abs() for paths in implied]
        zero = truth.abs()
        test = diebold_mariano(errors[0][1].to_numpy(), zero[1].to_numpy())
        rows[name] = {
            OURS: np.mean([own.mean().mean() for own in errors]) / zero.mean().mean(),
            "mean training return": (truth - drift).abs().mean().mean() / zero.mean().mean(),
            "network's share": np.mean([paths[name].attrs["share"] for paths in implied]),
            "lead 1, first seed, less zero's": (errors[0][1] - zero[1]).mean(),
            "p of that": test.p_value,
        }
    frame = pd.DataFrame(rows).T.rename_axis("stock")
    frame.loc["mean"] = frame.mean()
    frame.loc["mean", ["lead 1, first seed, less zero's", "p of that"]] = np.nan
    report.add("return_mase", round(float(frame.loc["mean", OURS]), 4))
    return frame


@dataclass(frozen=True)
class Direction:
    """How often the sign of the next return was right, how often it was the commoner one, and whether they differ.

    said: the share of days with a forecast other than zero, and a return; the others count for neither.
    """

    right: Interval
    common: float
    test: DieboldMariano
    said: float

    @property
    def sentence(self) -> str:
        """What a reader should know first."""
        if not self.said:
            return "Direction could not be forecast: of every next return the best forecast is zero, a random walk."
        sure = self.test.p_value < SURE
        verdict = "could be forecast" if sure and self.right.estimate > self.common else "could not be forecast"
        against = "significantly worse than" if sure and self.right.estimate < self.common else "against"
        right, low, high, common = (
            100 * share for share in (self.right.estimate, self.right.low, self.right.high, self.common)
        )
        p_value = f"p {self.test.p_value:.2f}" if np.isfinite(self.test.p_value) else self.test.reason
        return (
            f"Direction {verdict}: the sign of the next return was right on {right:.1f} % ({low:.1f} to {high:.1f}) of "
            f"the {100 * self.said:.0f} % of days that have a forecast, {against} {common:.1f} % for always saying the "
            f"commoner sign ({p_value})."
        )


def score_direction(report: Report, market: Market, implied: list[dict[str, pd.DataFrame]]) -> Direction:
    """One session ahead, all seeds and stocks of a day together."""
    pairs = pd.concat([_signs(market, paths, name) for paths in implied for name in NAMES])
    usable = pairs["usable"].to_numpy()
    daily = pairs[usable].groupby(level=0)[["right", "up"]].agg(["sum", "count"]).sort_index()
    n_pairs, right, up = daily["right"]["count"], daily["right"]["sum"], daily["up"]["sum"]
    share_up = float(up.sum() / n_pairs.sum()) if len(daily) else np.nan
    common = up if share_up >= 0.5 else n_pairs - up
    weight = n_pairs / n_pairs.mean() if len(daily) else n_pairs
    losses = [(weight * (1 - hits / n_pairs)).to_numpy() for hits in (common, right)]
    test = diebold_mariano(*losses)
    found = Direction(share_interval(right, n_pairs), max(share_up, 1 - share_up), test, float(usable.mean()))
    for name, value in (("right", found.right.estimate), ("commoner_sign", found.common), ("days_said", found.said)):
        report.add(f"direction_{name}", round(float(value), 4))
    return found


def _signs(market: Market, paths: dict[str, pd.DataFrame], name: str) -> pd.DataFrame:
    """By day: whether the forecast sign was right, whether the return was above 0, and whether both have a sign."""
    actual = true_paths(market, name)[1].reindex(paths[name].index).dropna()
    ours = paths[name][1].reindex(actual.index)
    right = ((actual > 0) == (ours > 0)).astype(float)
    return pd.DataFrame(
        {"right": right, "up": (actual > 0).astype(float), "usable": (actual != 0) & (ours.abs() > 1e-4)}
    )


def return_section(returns: pd.DataFrame, direction: Direction) -> Section:
    """Returns against zero."""
    text = (
        "Mean absolute error of log returns over 1 to 5 sessions, as a multiple of that of forecasting zero on the "
        f"same days. {direction.sentence}"
    )
    return Section("returns", "Returns and direction", text, table=page_table(returns))
