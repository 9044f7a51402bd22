"""The four stocks of `stocks.py`, the day on which each one's training rows end, and forecasts fitted on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from story import Watched

from hourglass_ts.frames.registry import load_dataset
from hourglass_ts.frames.stocks import StockPipeline

NAMES = ("AAPL", "GOOG", "IBM", "MSFT")
ROLES: dict[str, Any] = {"time": "date", "series": "symbol"}
SHARE, CONTEXT, HORIZON = 0.7, 66, 5


@dataclass(frozen=True)
class Market:
    """The bars of the four stocks, the tidy columns made from them, and the last training day of each."""

    df: pd.DataFrame
    tidy: pd.DataFrame
    cuts: dict[str, pd.Timestamp]

    @classmethod
    def load(cls) -> Market:
        """Read the shipped file."""
        df = load_dataset("stocks").query("symbol in @NAMES").reset_index(drop=True)
        cuts = {name: own["date"].iloc[int(len(own) * SHARE) - 1] for name, own in df.groupby("symbol")}
        return cls(df, StockPipeline("date", "symbol").tidy(df), cuts)

    def own(self, name: str) -> pd.DataFrame:
        """The tidy rows of one stock."""
        return self.tidy[self.tidy["symbol"] == name].reset_index(drop=True)

    def next_return(self, name: str) -> pd.Series:
        """The return of the session after each row, by the row's day."""
        own = self.own(name).set_index("date")
        return own["return"].shift(-1)


def fitted_forecasts(
    market: Market, target: str, seed: int, settings: dict[str, Any], **roles: Any
) -> dict[str, pd.DataFrame]:
    """The forecasts of every stock from all its days, by day and lead, of a model fitted on rows up to its cut."""
    found = {}
    days = pd.DatetimeIndex(sorted(market.df["date"].unique()))
    for cut in sorted(set(market.cuts.values())):
        model = Watched(
            horizon=HORIZON,
            context=CONTEXT,
            pipeline="stocks",
            quantiles=(),
            seed=seed,
            progress=False,
            **settings,
        )
        model.fit(market.df[market.df["date"] <= cut], **ROLES, target=target, **roles)
        rows = model.forecast_from(market.df, list(days[CONTEXT:-1]))
        for name in (name for name in NAMES if market.cuts[name] == cut):
            own = rows[rows["symbol"] == name]
            found[name] = own.pivot(index="origin", columns="lead", values="forecast")
            found[name].attrs["share"] = model.share_
    return found
