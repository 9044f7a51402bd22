"""One window of one series: the end of its history, the forecast with its intervals, and what came true."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from hourglass_ts.report.style import (
    ACTUAL,
    FOCUS,
    GRID,
    HISTORY,
    QUIET,
    TINTS,
    dots,
    points,
    show_times,
    thin,
    time_text,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HISTORY_HORIZONS = 3.5
MIN_HISTORY = 24  # steps: a horizon of one still shows where it comes from


@dataclass(frozen=True)
class Band:
    """What lies between two quantile columns (one of them alone is a line)."""

    label: str
    lower: Hashable
    upper: Hashable


@dataclass(frozen=True)
class Panel:
    """One series, ready to draw, with values indexed by time; `actual` is empty where nothing is known yet."""

    name: str
    history: pd.Series
    forecast: pd.DataFrame
    actual: pd.Series


def quantile_bands(columns: Sequence[Hashable]) -> list[Band]:
    """Pair quantile columns from the outside in, widest first.

    Example:
        >>> [band.label for band in quantile_bands(["forecast", "q0.05", "q0.1", "q0.5", "q0.9", "q0.95"])]
        ['90 % interval', '80 % interval']
        >>> [band.label for band in quantile_bands(["q0.1", "q0.5", "q0.7"])]
        ['0.1 to 0.7 quantile']
        >>> [band.label for band in quantile_bands(["q0.9"])]
        ['0.9 quantile']
    """
    levels = sorted((float(str(column)[1:]), column) for column in columns if _is_quantile(column))
    below = [pair for pair in levels if pair[0] < 0.5]
    above = [pair for pair in reversed(levels) if pair[0] > 0.5]
    n_pairs = min(len(below), len(above))
    bands = [
        Band(_interval_label(low, high), lower, upper)
        for (low, lower), (high, upper) in zip(below, above, strict=False)
    ]
    return bands + [Band(f"{level:g} quantile", name, name) for level, name in (below + above)[2 * n_pairs :]]


def few_bands(frame: pd.DataFrame, most: int) -> pd.DataFrame:
    """`frame` with at most so many of its intervals, from the widest to the narrowest; every other column stays."""
    bands = quantile_bands(list(frame.columns))
    if len(bands) <= most:
        return frame
    kept = {round(k * (len(bands) - 1) / (most - 1)) for k in range(most)}
    return frame.drop(columns={name for k, b in enumerate(bands) if k not in kept for name in (b.lower, b.upper)})


def _is_quantile(column: Hashable) -> bool:
    return isinstance(column, str) and re.fullmatch(r"q0?\.\d+", column) is not None


def _interval_label(low: float, high: float) -> str:
    if math.isclose(low + high, 1.0):
        return f"{100 * (high - low):.4g} % interval"
    return f"{low:g} to {high:g} quantile"


def history_tail(values: pd.Series, forecast: pd.DataFrame, horizons: float = HISTORY_HORIZONS) -> pd.Series:
    """What was observed before a forecast, up to the last value that is not missing: so many horizons of it."""
    earlier = values[values.index < forecast.index[0]]
    known = earlier.loc[: earlier.last_valid_index()] if earlier.notna().any() else earlier.iloc[:0]
    return known.iloc[-max(math.ceil(horizons * len(forecast)), MIN_HISTORY) :]


def draw_panel(axis: Axes, panel: Panel, *, ticks: int = 10, most_dots: int = 31) -> None:
    """Draw the lines and the bands of one window, each labelled for a legend.

    Each forecast step has a dot while there are at most `most_dots` of them, so that they can be told apart.
    """
    future = panel.forecast
    _style(axis)
    for depth, band in enumerate(quantile_bands(list(future.columns))):
        _draw_band(axis, band, _from_origin(panel, future[band.lower]), _from_origin(panel, future[band.upper]), depth)
    axis.plot(*points(thin(panel.history)), color=HISTORY, linewidth=1.3, label="history")
    if len(panel.actual):
        came_true = thin(_from_origin(panel, panel.actual))
        axis.plot(*points(came_true), color=ACTUAL, linewidth=1.6, label="what came true")
    line = points(_from_origin(panel, future["forecast"]))
    forecast_alone = slice(len(line[0]) - len(future), None)  # no dot on the observed value that the line starts from
    marks = dots(len(future), most_dots)
    axis.plot(*line, color=FOCUS, linewidth=2.0, label="forecast", markevery=forecast_alone, **marks)
    show_times(axis, future.index, ticks)


def _style(axis: Axes) -> None:
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.spines["bottom"].set_color(QUIET)
    axis.grid(axis="y", color=GRID, linewidth=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(colors=QUIET, labelcolor=HISTORY, length=3)
    axis.tick_params(axis="y", length=0)
    axis.margins(x=0.02, y=0.08)


def _draw_band(axis: Axes, band: Band, lower: pd.Series, upper: pd.Series, depth: int) -> None:
    times, low = points(lower)
    _, high = points(upper)
    tint = TINTS[min(depth, len(TINTS) - 1)]
    if band.lower == band.upper:
        axis.plot(times, low, color=FOCUS, linewidth=1.0, linestyle=":", label=band.label)
    elif len(times) == 1:  # one step alone has no width to fill
        axis.vlines(times, low, high, color=tint, linewidth=8, label=band.label)
    else:
        axis.fill_between(times, low, high, color=tint, linewidth=0, label=band.label)


def _from_origin(panel: Panel, later: pd.Series) -> pd.Series:
    """Later values from the last observed one on, so that no line and no interval starts in mid-air."""
    last = panel.history.iloc[-1:].dropna()
    return pd.concat([last, later]) if len(last) else later


def mark_origin(axis: Axes, panel: Panel, *, dated: bool, ha: str = "center") -> None:
    """A thin line where knowledge ends, and its date."""
    if not len(panel.history):
        return
    at = points(panel.history.iloc[-1:])[0][0]
    axis.axvline(at, color=QUIET, linewidth=0.8, linestyle=(0, (4, 3)))
    if dated:
        axis.annotate(
            f"known until {time_text(panel.history.index[-1])}",
            (at, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 4),
            textcoords="offset points",
            ha=ha,
            fontsize=9,
            color=QUIET,
        )


def legend_above(figure: Figure, axis: Axes, *, columns: int | None = None, **title: Any) -> Any:
    """One legend for all panels, above them: lines first, then the intervals."""
    handles, labels = axis.get_legend_handles_labels()
    first = ["history", "what came true", "forecast"]
    ordered = sorted(zip(handles, labels, strict=True), key=lambda pair: pair[1] not in first)
    return figure.legend(
        *zip(*ordered, strict=True),
        loc="outside upper left",
        ncols=columns or len(ordered),
        frameon=False,
        labelcolor=HISTORY,
        alignment="left",
        **title,
    )
