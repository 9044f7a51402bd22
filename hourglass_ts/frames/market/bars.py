"""What daily bars give: adjusted prices, returns, volatility and volume; every row from itself and those before it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping

import numpy as np
import pandas as pd

from hourglass_ts.frames.market import volatility

BAR = ("open", "high", "low", "close")
EVENTS = ("split", "dividend")
DECAY = 0.94
UNITS = {
    "return": "%",
    "range_variance": "%²",
    "volatility": "%",
    "ewma_volatility": "%",
    "realised_volatility": "%",
    "absolute_return": "%",
    "negative_return": "%",
    "return_score": "1",
    "log_volume": "1",
    "volume_score": "1",
}
MADE = ("adjusted_close", *UNITS)

Bars = tuple[pd.Series, pd.Series, pd.Series, pd.Series, pd.Series]
"""Open, high, low, close and the close before, free of splits and dividends."""

SESSION: dict[str, Callable[[Bars], pd.Series]] = {
    "close-to-close": lambda bars: np.log(bars[3] / bars[4]) ** 2,
    "parkinson": lambda bars: volatility.parkinson(bars[1], bars[2]),
    "garman-klass": lambda bars: volatility.garman_klass(*bars[:4]),
    "rogers-satchell": lambda bars: volatility.rogers_satchell(*bars[:4]),
    "garman-klass-yang-zhang": lambda bars: volatility.garman_klass(*bars[:4]) + volatility.overnight(bars[0], bars[4]),
}
"""The variance of one session, by the name of its estimator."""


def make_columns(
    frame: pd.DataFrame, parts: Mapping[str, Hashable], owner: pd.Series, estimator: str, window: int
) -> pd.DataFrame:
    """Give the columns of `MADE` that these parts allow, in percent where they are returns; see `StockPipeline`.

    frame: sorted by series and time.  parts: the column of every part.  owner (n_rows,): the number of its series.
    """
    made: dict[str, pd.Series] = {}
    if "adjusted_close" in parts:
        adjusted = frame[parts["adjusted_close"]]
    elif "close" in parts:
        adjusted = made["adjusted_close"] = forward_adjusted(frame, parts, owner)
    else:
        return pd.DataFrame(index=frame.index)
    before = last_seen(adjusted, owner)
    change = np.log(adjusted / before)
    made["return"] = 100 * change
    made["absolute_return"], made["negative_return"] = made["return"].abs(), made["return"].clip(upper=0)
    variance = (made["return"] ** 2).groupby(owner).transform(lambda own: own.ewm(alpha=1 - DECAY).mean())
    made["ewma_volatility"] = np.sqrt(variance)
    expected = made["ewma_volatility"].groupby(owner).shift(1)
    made["return_score"] = (made["return"] / expected).where(expected > 0)
    if set(BAR) <= set(parts):
        ratio = adjusted / frame[parts["close"]]
        bars = (*(frame[parts[part]] * ratio for part in BAR), before)
        made["range_variance"] = 1e4 * SESSION[estimator](bars).clip(lower=0)
        made["realised_volatility"] = 100 * np.sqrt(_yang_zhang(bars, owner, window).clip(lower=0))
    else:
        made["range_variance"] = 1e4 * change**2
        spread = change.groupby(owner).transform(lambda own: volatility.close_to_close(own, window))
        made["realised_volatility"] = 100 * np.sqrt(spread)
    made["volatility"] = np.sqrt(made["range_variance"])
    if "volume" in parts:
        traded = frame[parts["volume"]].astype("float64")
        made["log_volume"] = np.log(traded.where(traded > 0))
        made["volume_score"] = _past_score(made["log_volume"], owner, window)
    return pd.DataFrame(made)


def forward_adjusted(frame: pd.DataFrame, parts: Mapping[str, Hashable], owner: pd.Series) -> pd.Series:
    """Give the price with dividends reinvested, starting at each first close: no later event alters an earlier row.

    split: new shares for an old one, on their first day; 0, 1 or nothing for none.  dividend: per share, on the first
    day without it.

    Example:
        >>> frame = pd.DataFrame({"close": [100.0, 51.0, 50.0], "split": [0, 2, 0], "dividend": [0, 0, 1.0]})
        >>> parts = {label: label for label in frame}
        >>> forward_adjusted(frame, parts, pd.Series([0, 0, 0])).tolist()
        [100.0, 102.0, 102.0]
    """
    return frame[parts["close"]] * forward_factors(frame, parts, owner)


def forward_factors(frame: pd.DataFrame, parts: Mapping[str, Hashable], owner: pd.Series) -> pd.Series:
    """Give what the close is multiplied by in `forward_adjusted`: 1 up to the first close, then changed by events."""
    close, nothing = frame[parts["close"]], pd.Series(0.0, frame.index)
    split = frame[parts["split"]].astype("float64").fillna(0) if "split" in parts else nothing
    dividend = frame[parts["dividend"]].astype("float64").fillna(0) if "dividend" in parts else nothing
    seen = last_seen(close, owner)
    closes = close.notna().groupby(owner).cumsum() - close.notna()
    waiting = [owner, closes]  # rows without a close and the next that has one: what happens on the former counts there
    shares = split.replace(0, 1).groupby(waiting).cumprod()
    paid = (shares * dividend).groupby(waiting).cumsum()
    factor = (shares + paid / close).where(seen.notna()).fillna(1.0)
    return factor.groupby(owner).cumprod()


def last_seen(values: pd.Series, owner: pd.Series) -> pd.Series:
    """Give the last value of the rows before each one, however many of them have none."""
    return values.groupby(owner).ffill().groupby(owner).shift(1)


def _yang_zhang(bars: Bars, owner: pd.Series, window: int) -> pd.Series:
    table = pd.DataFrame(dict(zip((*BAR, "before"), bars, strict=True)))
    own = [
        volatility.yang_zhang(rows["open"], rows["high"], rows["low"], rows["close"], rows["before"], window)
        for _, rows in table.groupby(owner)
    ]
    return pd.concat(own).reindex(owner.index) if own else pd.Series(dtype="float64")


def _past_score(values: pd.Series, owner: pd.Series, window: int) -> pd.Series:
    """Values less the mean of the window before them, over its deviation."""
    before = values.groupby(owner).shift(1).groupby(owner)
    mean = before.transform(lambda own: own.rolling(window).mean())
    spread = before.transform(lambda own: own.rolling(window).std())
    return ((values - mean) / spread).where(spread > 0)
