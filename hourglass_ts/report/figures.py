"""Pictures of forecasts, on matplotlib's object interface: no window, no global state."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from hourglass_ts.errors import DataError, Problem, raise_problem, raise_problems
from hourglass_ts.report.files import written_aside
from hourglass_ts.report.panels import Panel, draw_panel, history_tail, legend_above, mark_origin
from hourglass_ts.report.style import DPI, HISTORY, INK, QUIET, figure_class

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 12.0  # inches; with DPI, 1200 pixels


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
        yield Panel(
            name=" · ".join(str(part) for part in name),
            history=history_tail(_values(past.get(name, history.iloc[:0]), time, target_label), future),
            forecast=future,
            actual=_values(came_true.get(name, history.iloc[:0]), time, target_label),
        )


def _by_series(frame: pd.DataFrame, keys: list[Hashable]) -> dict[tuple[Hashable, ...], pd.DataFrame]:
    if not keys:
        return {(): frame} if len(frame) else {}
    return dict(iter(frame.groupby(keys, sort=False, observed=True)))


def _values(frame: pd.DataFrame, time: Hashable, target_label: Hashable) -> pd.Series:
    return frame.set_index(time)[target_label].sort_index()


def _draw(panels: list[Panel], *, n_all: int, target_label: Hashable, title: str | None) -> Figure:
    figure = figure_class()(figsize=(WIDTH, 1.0 + 2.4 * max(len(panels), 1.5)), dpi=DPI, layout="constrained")
    figure.get_layout_engine().set(h_pad=0.1, w_pad=0.15, hspace=0.04)
    shared = _share_times(panels)
    axes = figure.subplots(len(panels), 1, squeeze=False, sharex=shared)[:, 0]
    for i, (panel, axis) in enumerate(zip(panels, axes, strict=True)):
        draw_panel(axis, panel)
        if panel.name:
            axis.set_title(panel.name, loc="left", fontsize=11, fontweight="bold", color=HISTORY)
        mark_origin(axis, panel, dated=i == 0 or not shared)
    figure.supylabel(str(target_label), color=QUIET, fontsize=10)
    _draw_heading(figure, axes[0], title or f"Forecast of {target_label}", n_drawn=len(panels), n_all=n_all)
    return figure


def _share_times(panels: list[Panel]) -> bool:
    """Series that end at different times each need their own axis, or the short ones become a blot."""
    return len({(panel.forecast.index[0], panel.forecast.index[-1]) for panel in panels}) == 1


def _draw_heading(figure: Figure, axis: Axes, title: str, *, n_drawn: int, n_all: int) -> None:
    """The title, and under it one legend for all panels."""
    if n_drawn < n_all:
        title = f"{title} (the first {n_drawn} of {n_all} series)"
    bold = {"size": 14, "weight": "bold"}
    legend_above(figure, axis, title=title, title_fontproperties=bold).get_title().set_color(INK)
