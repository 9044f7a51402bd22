"""Pictures of forecasts, on matplotlib's object interface: no window, no global state."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from hourglass_ts.errors import DataError, MissingExtraError, Problem, raise_problem, raise_problems
from hourglass_ts.report.files import written_aside

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 12.0  # inches; with DPI, 1200 pixels
DPI = 100
HISTORY_HORIZONS = 3.5
MIN_HISTORY = 24  # steps: a horizon of one still shows where it comes from

# Okabe and Ito's colours: told apart with every kind of colour vision, and in grey.
HISTORY = "#4d4d4d"
FORECAST = "#0072B2"
ACTUAL = "#D55E00"
QUIET = "#767676"
GRID = "#e6e6e6"
TINTS = (
    "#d9e8f3",
    "#a9cde5",
    "#7ab2d6",
)  # of FORECAST, widest interval first; opaque, so that the legend shows them as drawn


def plot_forecast(
    history: pd.DataFrame,
    forecast: pd.DataFrame,
    *,
    time: Hashable,
    target_label: Hashable,
    series: Hashable | Sequence[Hashable] | None = None,
    actual: pd.DataFrame | None = None,
    max_series: int = 6,
    title: str | None = None,
) -> Figure:
    """Draw one panel per series: the end of its history, the forecast and its intervals, and what came true.

    `history` and `actual` hold `target_label` as a column; `forecast` is what a forecaster returns. Intervals are its
    quantile columns (`q0.1`, `q0.9`, …) taken in pairs. When there are more than `max_series`, the first are drawn.

    Raises:
        DataError: a frame lacks a column, or `forecast` has no rows.
        MissingExtraError: matplotlib is not installed.
    """
    keys = _as_list(series)
    _check_columns(history, forecast, actual, time=time, target_label=target_label, keys=keys)
    forecast = _of_target(forecast, target_label, {time, *keys})
    panels = list(_panels(history, forecast, actual, time, target_label, keys))
    if not panels:
        raise_problem(
            DataError, Problem("a forecast without rows", "one row or more to draw", "Pass what `forecast()` returned.")
        )
    return _draw(panels[:max_series], n_all=len(panels), target_label=target_label, title=title)


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure as its suffix says (.png, .svg, .pdf), whole or not at all, and return the path."""
    path = Path(path)
    with written_aside(path) as aside:
        figure.savefig(aside, dpi=DPI)
    return path


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


def _is_quantile(column: Hashable) -> bool:
    return isinstance(column, str) and re.fullmatch(r"q0?\.\d+", column) is not None


def _interval_label(low: float, high: float) -> str:
    if math.isclose(low + high, 1.0):
        return f"{100 * (high - low):.4g} % interval"
    return f"{low:g} to {high:g} quantile"


def _as_list(series: Hashable | Sequence[Hashable] | None) -> list[Hashable]:
    if series is None:
        return []
    return [*series] if isinstance(series, list) else [series]


def _check_columns(
    history: pd.DataFrame,
    forecast: pd.DataFrame,
    actual: pd.DataFrame | None,
    *,
    time: Hashable,
    target_label: Hashable,
    keys: list[Hashable],
) -> None:
    observed = [time, *keys, target_label]
    needed = [("history", history, observed), ("forecast", forecast, [time, *keys, "forecast"])]
    if actual is not None:
        needed.append(("actual", actual, observed))
    raise_problems(
        DataError,
        [
            Problem(f"no such column in `{name}`", f"one of {list(frame.columns)}", "Name it as the frame does.", label)
            for name, frame, labels in needed
            for label in labels
            if label not in frame.columns
        ],
    )


def _of_target(forecast: pd.DataFrame, target_label: Hashable, used: set[Hashable]) -> pd.DataFrame:
    """The rows of one target: a forecast of several says in its column `target` which one a row is for."""
    if "target" not in forecast.columns or "target" in used:
        return forecast
    return forecast[forecast["target"] == target_label]


def _panels(
    history: pd.DataFrame,
    forecast: pd.DataFrame,
    actual: pd.DataFrame | None,
    time: Hashable,
    target_label: Hashable,
    keys: list[Hashable],
) -> Iterator[Panel]:
    past = _by_series(history, keys)
    came_true = {} if actual is None else _by_series(actual, keys)
    for name, rows in _by_series(forecast, keys).items():
        future = rows.set_index(time).sort_index()
        tail = max(math.ceil(HISTORY_HORIZONS * len(future)), MIN_HISTORY)
        yield Panel(
            name=" · ".join(str(part) for part in name),
            history=_until(_values(past.get(name, history.iloc[:0]), time, target_label), future.index[0]).iloc[-tail:],
            forecast=future,
            actual=_values(came_true.get(name, history.iloc[:0]), time, target_label),
        )


def _by_series(frame: pd.DataFrame, keys: list[Hashable]) -> dict[tuple[Hashable, ...], pd.DataFrame]:
    if not keys:
        return {(): frame} if len(frame) else {}
    return dict(iter(frame.groupby(keys, sort=False, observed=True)))


def _values(frame: pd.DataFrame, time: Hashable, target_label: Hashable) -> pd.Series:
    return frame.set_index(time)[target_label].sort_index()


def _until(values: pd.Series, time: Any) -> pd.Series:
    """What was observed before `time`, up to the last value that is not missing."""
    earlier = values[values.index < time]
    return earlier.loc[: earlier.last_valid_index()] if earlier.notna().any() else earlier.iloc[:0]


def _draw(panels: list[Panel], *, n_all: int, target_label: Hashable, title: str | None) -> Figure:
    Figure = _figure_class()
    figure = Figure(figsize=(WIDTH, 1.0 + 2.4 * max(len(panels), 1.5)), dpi=DPI, layout="constrained")
    figure.get_layout_engine().set(h_pad=0.1, w_pad=0.15, hspace=0.04)
    shared = _share_times(panels)
    axes = figure.subplots(len(panels), 1, squeeze=False, sharex=shared)[:, 0]
    for i, (panel, axis) in enumerate(zip(panels, axes, strict=True)):
        _draw_panel(axis, panel)
        _mark_origin(axis, panel, dated=i == 0 or not shared)
    figure.supylabel(str(target_label), color=QUIET, fontsize=10)
    _draw_heading(figure, axes[0], title or f"Forecast of {target_label}", n_drawn=len(panels), n_all=n_all)
    return figure


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError('Pictures need matplotlib: pip install "hourglass_ts[plot]"') from error
    return Figure


def _share_times(panels: list[Panel]) -> bool:
    """Series that end at different times each need their own axis, or the short ones become a blot."""
    return len({(panel.forecast.index[0], panel.forecast.index[-1]) for panel in panels}) == 1


def _draw_panel(axis: Axes, panel: Panel) -> None:
    future = panel.forecast
    _style(axis, future.index)
    for depth, band in enumerate(quantile_bands(list(future.columns))):
        _draw_band(axis, band, _from_origin(panel, future[band.lower]), _from_origin(panel, future[band.upper]), depth)
    axis.plot(*_points(panel.history), color=HISTORY, linewidth=1.3, label="history")
    if len(panel.actual):
        axis.plot(*_points(_from_origin(panel, panel.actual)), color=ACTUAL, linewidth=1.6, label="what came true")
    line = _points(_from_origin(panel, future["forecast"]))
    axis.plot(
        *line,
        color=FORECAST,
        linewidth=2.0,
        label="forecast",
        **_dots(n_joined=len(line[0]) - len(future), n=len(future)),
    )
    if panel.name:
        axis.set_title(panel.name, loc="left", fontsize=11, fontweight="bold", color=HISTORY)


def _draw_band(axis: Axes, band: Band, lower: pd.Series, upper: pd.Series, depth: int) -> None:
    times, low = _points(lower)
    _, high = _points(upper)
    tint = TINTS[min(depth, len(TINTS) - 1)]
    if band.lower == band.upper:
        axis.plot(times, low, color=FORECAST, linewidth=1.0, linestyle=":", label=band.label)
    elif len(times) == 1:  # one step alone has no width to fill
        axis.vlines(times, low, high, color=tint, linewidth=8, label=band.label)
    else:
        axis.fill_between(times, low, high, color=tint, linewidth=0, label=band.label)


def _from_origin(panel: Panel, later: pd.Series) -> pd.Series:
    """Later values from the last observed one on, so that no line and no interval starts in mid-air."""
    last = panel.history.iloc[-1:].dropna()
    return pd.concat([last, later]) if len(last) else later


def _dots(*, n_joined: int, n: int) -> dict[str, Any]:
    """A dot on each forecast step while they can be told apart, and none on the observed value the line starts from."""
    return {"marker": "o", "markersize": 3.5, "markevery": slice(n_joined, None)} if n <= 31 else {}


def _points(values: pd.Series) -> tuple[Any, Any]:
    """Times and values as matplotlib takes them: time zones kept, missing values a gap in the line."""
    times = values.index.to_pydatetime() if isinstance(values.index, pd.DatetimeIndex) else values.index.to_numpy()
    return times, values.to_numpy(dtype=float, na_value=float("nan"))


def _mark_origin(axis: Axes, panel: Panel, *, dated: bool) -> None:
    """A thin line where knowledge ends, and its date."""
    if not len(panel.history):
        return
    at = _points(panel.history.iloc[-1:])[0][0]
    axis.axvline(at, color=QUIET, linewidth=0.8, linestyle=(0, (4, 3)))
    if dated:
        axis.annotate(
            f"known until {_time_text(panel.history.index[-1])}",
            (at, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            color=QUIET,
        )


def _time_text(time: Any) -> str:
    """A date as a reader writes it, with the hour only where there is one.

    Example:
        >>> _time_text(pd.Timestamp("2015-12-03")), _time_text(pd.Timestamp("2015-12-03 06:00")), _time_text(7)
        ('3 Dec 2015', '3 Dec 2015 06:00', '7')
    """
    if not isinstance(time, pd.Timestamp):
        return str(time)
    day = f"{time.day} {time:%b %Y}"
    return day if time == time.normalize() else f"{day} {time:%H:%M}"


def _style(axis: Axes, times: pd.Index) -> None:
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.spines["bottom"].set_color(QUIET)
    axis.grid(axis="y", color=GRID, linewidth=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(colors=QUIET, labelcolor=HISTORY, length=3)
    axis.tick_params(axis="y", length=0)
    axis.margins(x=0.02, y=0.08)
    if isinstance(times, pd.DatetimeIndex):
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        locator = AutoDateLocator(tz=times.tz, minticks=4, maxticks=10)
        axis.xaxis.set_major_locator(locator)
        axis.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=times.tz))


def _draw_heading(figure: Figure, axis: Axes, title: str, *, n_drawn: int, n_all: int) -> None:
    """The title, and under it one legend for all panels."""
    if n_drawn < n_all:
        title = f"{title} (the first {n_drawn} of {n_all} series)"
    handles, labels = axis.get_legend_handles_labels()
    first = ["history", "what came true", "forecast"]
    ordered = sorted(zip(handles, labels, strict=True), key=lambda pair: pair[1] not in first)
    legend = figure.legend(
        *zip(*ordered, strict=True),
        loc="outside upper left",
        ncols=len(ordered),
        frameon=False,
        labelcolor=HISTORY,
        title=title,
        title_fontproperties={"size": 14, "weight": "bold"},
        alignment="left",
    )
    legend.get_title().set_color("#222222")
