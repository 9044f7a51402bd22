"""Charts of a `Story`, as matplotlib figures for a notebook or a paper: forecasts, errors, skill, revisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from hourglass_ts.errors import Problem, SettingsError, raise_problem
from hourglass_ts.report.panels import (
    HISTORY_HORIZONS,
    Panel,
    draw_panel,
    few_bands,
    history_tail,
    legend_above,
    mark_origin,
)
from hourglass_ts.report.story import Story
from hourglass_ts.report.style import (
    FOCUS,
    FONT_SIZE,
    INK,
    MUTED,
    QUIET,
    TINTS,
    WIDE,
    Look,
    NothingToDraw,
    blank,
    dots,
    drawing,
    panels,
    points,
    short,
    show_shares,
    show_values,
    show_whole_numbers,
    spread,
    time_text,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_MODELS = 6
MOST_WINDOWS = 6
MOST_BANDS = 3
DASHES = ("solid", (0, (5, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2)), (0, (1, 1.5)))  # of the muted lines, in turn
SHORT_LINE = 31  # leads that can be told apart by a bar each


@drawing()
def fan_chart(story: Story, series: str | None = None, fold: int | None = None, *, look: Look = WIDE) -> Figure:
    """One forecast of the model with its intervals, after the end of its history, and what came true.

    By default the last fold of the first series.

    Raises:
        SettingsError: there is no such series or fold.
        NothingToDraw: the story holds no forecasts of its model.
    """
    panel = _window(story, *_chosen(story, series, fold))
    figure, (axis,) = blank(look, 3.0)
    draw_panel(axis, panel, ticks=look.ticks)
    mark_origin(axis, panel, dated=True, ha="right")
    show_values(axis)
    if story.unit:
        axis.set_title(story.unit)
    legend_above(figure, axis, columns=None if look.columns > 1 else 2)
    return figure


@drawing()
def error_by_lead(story: Story, score: str = "MAE", *, look: Look = WIDE) -> Figure:
    """How the error (`"MAE"` or `"RMSE"`) of each model grows with the lead.

    Raises:
        NothingToDraw: the story holds no errors by lead.
    """
    figure, (axis,) = blank(look, 3.3)
    _draw_models(figure, axis, story, story.by_lead, score, look)
    show_values(axis)
    axis.set_title(f"{score} in {story.unit}" if story.unit else score)
    return figure


@drawing()
def revision_chart(story: Story, *, look: Look = WIDE) -> Figure:
    """How far each model's forecast of one and the same time moves from one origin to the next, by lead.

    Raises:
        NothingToDraw: the story holds no revisions: no time was forecast twice.
    """
    figure, (axis,) = blank(look, 2.9)
    _draw_models(figure, axis, story, story.revisions, "revision", look)
    show_values(axis)
    axis.set_title(f"mean absolute revision in {story.unit}" if story.unit else "mean absolute revision")
    return figure


@drawing()
def skill_by_lead(story: Story, *, look: Look = WIDE) -> Figure:
    """How much smaller the model's error is than that of each reference, by lead, with its interval.

    Raises:
        NothingToDraw: the story holds no skill by lead.
    """
    frame = story.skill.dropna(subset=["lead"])
    names = frame["reference"].unique()[:MOST_MODELS]
    if not len(names):
        raise NothingToDraw("no skill by lead")
    figure, axes = panels(look, len(names), 2.3 if look.columns > 1 else 1.9, sharey=True, sharex=True)
    for name, axis in zip(names, axes, strict=True):
        own = frame[frame["reference"] == name].set_index("lead").sort_index()
        _draw_interval_line(axis, own, "skill")
        axis.axhline(0.0, color=QUIET, linewidth=1.0)
        show_shares(axis.yaxis)
        show_whole_numbers(axis, 6)
        axis.tick_params(labelbottom=True)
        axis.set_title(f"over {short(name, look.panel_letters - 5)}", color=INK)
    _label_leads(axes)
    return figure


@drawing()
def worst_windows(story: Story, *, look: Look = WIDE) -> Figure:
    """The forecasts that went most wrong, the worst first.

    Raises:
        NothingToDraw: the story names no windows, or holds no forecasts of them.
    """
    known = set(window_errors(story).index)
    rows = [row for row in story.worst.to_dict("records") if (row["series"], row["fold"]) in known]
    rows = rows[: MOST_WINDOWS if look.columns > 1 else MOST_WINDOWS - 2]
    if not rows:
        raise NothingToDraw("no windows to show")
    figure, axes = panels(look, len(rows), 2.2 if look.columns > 1 else 1.8)
    for row, axis in zip(rows, axes, strict=True):
        draw_panel(axis, _window(story, row["series"], row["fold"], horizons=2.0), ticks=4, most_dots=10)
        axis.xaxis.get_offset_text().set_visible(False)  # the title dates it
        show_values(axis, nbins=4)
        axis.set_title(_window_title(row, look), color=INK)
    legend_above(figure, axes[0], columns=None if look.columns > 1 else 2)
    return figure


def window_errors(story: Story) -> pd.Series:
    """The mean absolute error of every window of the model, by series and fold."""
    own = story.own(story.forecasts)
    error = (own["actual"] - own["forecast"]).abs()
    return error.groupby([own["series"], own["fold"]], sort=False).mean()


def _chosen(story: Story, series: str | None, fold: int | None) -> tuple[str, int]:
    windows = window_errors(story).index
    if not len(windows):
        raise NothingToDraw(f"no forecasts of {story.model}")
    own = [(name, k) for name, k in windows if (series is None or name == series) and (fold is None or k == fold)]
    if not own:
        raise_problem(
            SettingsError,
            Problem(
                f"no forecast of series {series!r}, fold {fold!r}",
                f"one of {windows.get_level_values(0).nunique()} series and folds up to {windows.levels[1].max()}",
                "See `story.forecasts`.",
            ),
        )
    return max((pair for pair in own if pair[0] == own[0][0]), key=lambda pair: pair[1])


def _window(story: Story, series: str, fold: int, horizons: float = HISTORY_HORIZONS) -> Panel:
    own = story.own(story.forecasts)
    rows = own[(own["series"] == series) & (own["fold"] == fold)].set_index("time").sort_index()
    past = story.history
    seen = past[past["series"] == series].set_index("time")["actual"].sort_index()
    return Panel(
        name="",
        history=history_tail(seen, rows, horizons) if len(seen) else seen,
        forecast=few_bands(rows.dropna(axis="columns", how="all"), MOST_BANDS),
        actual=rows["actual"] if rows["actual"].notna().any() else rows["actual"].iloc[:0],
    )


def _window_title(row: dict[str, Any], look: Look) -> str:
    name = [short(row["series"], look.panel_letters)] if row["series"] else []
    return "\n".join([*name, f"{time_text(row['origin'])}, {row['times']:.1f} × mean"])


def _draw_models(figure: Figure, axis: Axes, story: Story, frame: pd.DataFrame, column: str, look: Look) -> None:
    """One line per model by lead: the story's own in colour, the others muted, each labelled where it ends."""
    present = set(frame["model"])
    names = [name for name in story.models if name in present][:MOST_MODELS]
    lines = {name: frame[frame["model"] == name].set_index("lead")[column].sort_index() for name in names}
    lines = {name: line for name, line in lines.items() if line.notna().any()}
    if not lines:
        raise NothingToDraw(f"no {column} by lead")
    others = [name for name in lines if name != story.model]
    styles = {name: DASHES[i % len(DASHES)] for i, name in enumerate(others)}
    for name, line in lines.items():
        muted: dict[str, Any] = {"color": MUTED, "linewidth": 1.3, "linestyle": styles.get(name), "zorder": 2.0}
        own: dict[str, Any] = {"color": FOCUS, "linewidth": 2.2, "zorder": 3.0}
        marks = dots(len(line), most=31 if name == story.model else 1)
        axis.plot(*points(line), label=short(name, look.letters), **(own if name == story.model else muted), **marks)
    if look.columns > 1:
        _label_ends(figure, axis, lines, story.model, look)
    else:
        legend_above(figure, axis, columns=2)
    show_whole_numbers(axis, look.ticks)
    _label_leads([axis])


def _label_ends(figure: Figure, axis: Axes, lines: dict[str, pd.Series], model: str, look: Look) -> None:
    """Names to the right of the axes, each beside the end of its line and clear of the others."""
    ends = {name: float(line.dropna().iloc[-1]) for name, line in lines.items()}
    low, high = axis.get_ylim()
    axis.set_ylim(low, high)
    width, height = (72 * inches for inches in figure.get_size_inches())
    places = spread(list(ends.values()), 1.25 * FONT_SIZE * (high - low) / (height - 5 * FONT_SIZE), low, high)
    sample = 1.4 * FONT_SIZE / (0.75 * width)
    across = axis.get_yaxis_transform()
    for line, (name, y) in zip(list(axis.lines), zip(ends, places, strict=True), strict=True):
        dash: dict[str, Any] = {
            "color": line.get_color(),
            "linewidth": line.get_linewidth(),
            "linestyle": line.get_linestyle(),
        }
        axis.plot([1.01, 1.01 + sample], [y, y], transform=across, clip_on=False, **dash)
        label: dict[str, Any] = {"color": FOCUS, "fontweight": "bold"} if name == model else {"color": QUIET}
        axis.text(1.02 + sample, y, short(name, look.letters), transform=across, va="center_baseline", **label)


def _draw_interval_line(axis: Axes, frame: pd.DataFrame, column: str) -> None:
    leads, middle = points(frame[column])
    (_, low), (_, high) = points(frame["low"]), points(frame["high"])
    if len(leads) <= SHORT_LINE:
        axis.vlines(leads, low, high, color=TINTS[1], linewidth=5 if len(leads) <= 15 else 3)
    else:
        axis.fill_between(leads, low, high, color=TINTS[0], linewidth=0)
    axis.plot(leads, middle, color=FOCUS, linewidth=1.6, **dots(len(leads)))


def _label_leads(axes: list[Axes]) -> None:
    """Say once per column of panels what runs along the bottom."""
    first = axes[0].get_subplotspec()
    for axis in axes[-(first.get_gridspec().ncols if first else 1) :]:
        axis.set_xlabel("lead, in steps", loc="left")
