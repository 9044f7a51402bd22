"""Charts of a `Story`: whether its intervals hold, what its errors still know, and what the model uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hourglass_ts.report.story import EXPLANATIONS, Story
from hourglass_ts.report.style import (
    ALARM,
    FOCUS,
    FONT_SIZE,
    INK,
    MUTED,
    QUIET,
    THIN_SPACE,
    TINTS,
    WIDE,
    Look,
    NothingToDraw,
    blank,
    dots,
    drawing,
    points,
    short,
    show_shares,
    show_times,
    show_values,
    show_whole_numbers,
    spread,
    tick_text,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LEVELS = 3  # of coverage by lead in one chart
MOST_GROUPS = 12  # of one kind
MOST_BARS = 12
SAME_LEVEL = 1e-6
KINDS = {"level": "size of forecast"}  # where groups are not called after their kind
ROW = 0.22  # inches that a row of dots or bars takes


@drawing()
def calibration(story: Story, *, look: Look = WIDE) -> Figure:
    """How often the intervals hold: over all leads against their nominal level, and by lead.

    Raises:
        NothingToDraw: the story holds no coverage of its model.
    """
    own = story.own(story.coverage)
    if not len(own):
        raise NothingToDraw(f"no coverage of {story.model}")
    pooled, by_lead = own[own["lead"].isna()], own.dropna(subset=["lead"])
    drawn = [(_draw_reliability, pooled, 1.0), (_draw_coverage_by_lead, by_lead, 1.5)]
    drawn = [part for part in drawn if len(part[1])]
    shares = [share for *_, share in drawn]
    if look.columns > 1:
        figure, axes = blank(look, 3.3, 1, len(drawn), width_ratios=shares)
    else:
        figure, axes = blank(look, 3.0 * len(drawn), len(drawn), 1)
    for axis, (draw, rows, _) in zip(axes, drawn, strict=True):
        draw(axis, rows.sort_values(["nominal", "lead"]), look)
    return figure


@drawing()
def conditional_coverage(story: Story, nominal: float | None = None, *, look: Look = WIDE) -> Figure:
    """How often an interval holds within groups of forecasts: by series, weekday, month, size of the forecast.

    `nominal` is the interval's level, by default the highest. Of a kind with many groups, the furthest off are shown.

    Raises:
        NothingToDraw: the story holds no such groups.
    """
    groups = shown_groups(story, nominal)
    if not len(groups):
        raise NothingToDraw(f"no groups of forecasts of {story.model}")
    kinds = groups["kind"].unique()
    counts = [int((groups["kind"] == kind).sum()) for kind in kinds]
    heights = [ROW * (count + 1.6) for count in counts]
    figure, axes = blank(look, sum(heights) + 0.45, len(kinds), 1, sharex=True, height_ratios=heights)
    for kind, axis in zip(kinds, axes, strict=True):
        _draw_groups(axis, groups[groups["kind"] == kind], look)
        axis.set_title(f"by {KINDS.get(kind, kind)}", color=INK)
    axes[-1].spines["bottom"].set_visible(True)
    axes[-1].set_xlabel("observed coverage", loc="left")
    return figure


def shown_groups(story: Story, nominal: float | None = None) -> pd.DataFrame:
    """The groups that `conditional_coverage` shows: of each kind at most a dozen, those furthest from nominal."""
    groups = groups_at(story, nominal)
    off = (groups["coverage"] - groups["nominal"]).abs()
    ranks = off.groupby(groups["kind"]).rank(method="first", ascending=False)
    return groups[ranks <= MOST_GROUPS].sort_values("kind", kind="stable", key=lambda kind: pd.factorize(kind)[0])


def groups_at(story: Story, nominal: float | None = None) -> pd.DataFrame:
    """The model's coverage within groups at one nominal level, by default the highest."""
    own = story.own(story.conditional)
    level = own["nominal"].max() if nominal is None else nominal
    return own[(own["nominal"] - level).abs() < SAME_LEVEL]


@drawing()
def pit_histogram(story: Story, *, look: Look = WIDE) -> Figure:
    """Where among the model's quantiles the actual values fell; flat is calibrated.

    Raises:
        NothingToDraw: the story holds no such histogram of its model.
    """
    own = story.own(story.pit)
    if not len(own):
        raise NothingToDraw(f"no histogram of {story.model}")
    figure, (axis,) = blank(look, 2.5)
    widths = own["high"] - own["low"]
    axis.bar(own["low"], own["share"] / widths, width=widths * 0.94, align="edge", color=TINTS[1])
    axis.axhline(1.0, color=FOCUS, linewidth=1.6)
    axis.set_xlim(-0.01, 1.01)
    axis.set_title("share of values, over the share expected")
    axis.set_xlabel("place within the forecast distribution", loc="left")
    show_values(axis)
    show_shares(axis.xaxis, nbins=5)
    return figure


@drawing()
def residual_checks(story: Story, *, look: Look = WIDE) -> Figure:
    """What the model's errors still know: how they resemble earlier ones, and whether they lean to one side.

    Raises:
        NothingToDraw: the story holds neither autocorrelations nor forecasts of its model.
    """
    own = story.own(story.forecasts)
    bias = (own["forecast"] - own["actual"]).groupby(own["origin"]).mean().dropna()
    drawn: list[tuple[Callable[..., None], Any]] = []
    if len(story.residuals):
        drawn.append((_draw_autocorrelation, story.residuals))
    if len(bias) > 1:  # one origin shows no run
        drawn.append((_draw_bias, bias))
    if not drawn:
        raise NothingToDraw(f"no errors of {story.model}")
    shape = (1, len(drawn)) if look.columns > 1 else (len(drawn), 1)
    figure, axes = blank(look, 2.5 * shape[0], *shape)
    for axis, (draw, rows) in zip(axes, drawn, strict=True):
        draw(axis, rows, story, look)
    return figure


def explanation_charts(story: Story, *, look: Look = WIDE) -> dict[str, Figure]:
    """What the model uses, one chart for each part of the story's explanation: levels, covariates, attention."""
    parts = [part for part in EXPLANATIONS if len(story.explanation.get(part, ()))]
    return {part: explanation_chart(story, part, look=look) for part in parts}


@drawing()
def explanation_chart(story: Story, part: str, *, look: Look = WIDE) -> Figure:
    """One part of the story's explanation: "levels", "covariates" or "attention".

    Raises:
        NothingToDraw: the story does not explain it.
    """
    if not len(story.explanation.get(part, ())):
        raise NothingToDraw(f"no explanation by {part}")
    draws = {"levels": _level_chart, "covariates": _covariate_chart, "attention": _attention_chart}
    return draws[part](story.explanation[part], look)


def _draw_reliability(axis: Axes, rows: pd.DataFrame, look: Look) -> None:
    nominal, observed = rows["nominal"].to_numpy(), rows["coverage"].to_numpy()
    low = np.fmin(rows["low"].to_numpy(), observed)
    high = np.fmax(rows["high"].to_numpy(), observed)
    axis.plot([0, 1], [0, 1], color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
    axis.vlines(nominal, low, high, color=TINTS[2], linewidth=5)
    axis.plot(nominal, observed, color=FOCUS, marker="o", markersize=4.5, linewidth=1.4)
    start = max(0.0, np.floor(10 * min(np.nanmin(nominal), np.nanmin(low, initial=1.0))) / 10 - 0.1)
    axis.set_xlim(start, 1.02)
    axis.set_ylim(start, 1.02)
    axis.grid(axis="x")
    axis.set_title("observed coverage, all leads")
    axis.set_xlabel("nominal coverage", loc="left")
    show_shares(axis.xaxis)
    show_shares(axis.yaxis)


def _draw_coverage_by_lead(axis: Axes, rows: pd.DataFrame, look: Look) -> None:
    """A band for each level around what was observed, and a dashed line where it should be."""
    levels = rows["nominal"].unique()
    levels = levels[np.unique(np.linspace(0, len(levels) - 1, MOST_LEVELS).round().astype(int))]
    lines = {level: rows[rows["nominal"] == level].set_index("lead") for level in levels}
    for own in lines.values():
        _fill(axis, own["low"], own["high"])
    for level, own in lines.items():
        axis.axhline(level, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
        axis.plot(*points(own["coverage"]), color=FOCUS, linewidth=1.6, **dots(len(own)))
    low, high = axis.get_ylim()
    axis.set_ylim(low, high := min(high, 1.02))
    gap = (high - low) * 1.2 * FONT_SIZE / (2.2 * 72)
    for level, y in zip(levels, spread([float(level) for level in levels], gap, low, high), strict=True):
        at: dict[str, Any] = {"xycoords": axis.get_yaxis_transform(), "textcoords": "offset points", "va": "center"}
        axis.annotate(f"{tick_text(100 * level)}{THIN_SPACE}%", (1.0, y), xytext=(3, 0), color=QUIET, **at)
    axis.set_title("observed coverage, by lead")
    axis.set_xlabel("lead, in steps", loc="left")
    show_shares(axis.yaxis)
    show_whole_numbers(axis, look.ticks)


def _fill(axis: Axes, low: pd.Series, high: pd.Series) -> None:
    leads, lower = points(low)
    _, upper = points(high)
    if len(leads) == 1:
        axis.vlines(leads, lower, upper, color=TINTS[0], linewidth=8)
    else:
        axis.fill_between(leads, lower, upper, color=TINTS[0], linewidth=0)


def _draw_groups(axis: Axes, rows: pd.DataFrame, look: Look) -> None:
    """A dot and an interval per group; a diamond where the interval leaves the nominal level out."""
    places = np.arange(len(rows))
    off = ((rows["low"] > rows["nominal"]) | (rows["high"] < rows["nominal"])).to_numpy()
    for held, colour, marker in ((~off, FOCUS, "o"), (off, ALARM, "D")):
        own = rows[held]
        axis.hlines(places[held], own["low"], own["high"], color=colour, linewidth=1.4)
        axis.plot(own["coverage"], places[held], color=colour, marker=marker, markersize=4.5, linestyle="none")
    axis.axvline(rows["nominal"].iloc[0], color=QUIET, linewidth=1.0, linestyle=(0, (4, 3)))
    heading = KINDS.get(rows["kind"].iloc[0], rows["kind"].iloc[0])
    axis.set_yticks(places, [short(group.removeprefix(f"{heading} "), look.letters) for group in rows["group"]])
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.grid(visible=False)
    axis.spines["bottom"].set_visible(False)
    axis.tick_params(axis="x", length=0)
    show_shares(axis.xaxis)


def _draw_autocorrelation(axis: Axes, rows: pd.DataFrame, story: Story, look: Look) -> None:
    rows = rows[rows["lag"] > 0].sort_values("lag")
    lags, values = rows["lag"].to_numpy(), rows["autocorrelation"].to_numpy()
    edges = np.r_[lags - 0.5, lags[-1:] + 0.5]
    for bound in ("low", "high"):
        axis.stairs(rows[bound], edges, baseline=0, fill=True, color=TINTS[0], linewidth=0)
    axis.axhline(0.0, color=QUIET, linewidth=1.0)
    axis.vlines(lags, 0.0, values, color=FOCUS, linewidth=2.2)
    axis.set_title("autocorrelation of lead-1 errors")
    axis.set_xlabel("lag, in origins", loc="left")
    show_values(axis)
    show_whole_numbers(axis, look.ticks)


def _draw_bias(axis: Axes, bias: pd.Series, story: Story, look: Look) -> None:
    """Each origin's mean error: a lean that lasts shows as a run on one side of zero."""
    times, values = points(bias)
    axis.axhline(0.0, color=QUIET, linewidth=1.0)
    axis.vlines(times, 0.0, values, color=TINTS[2], linewidth=1.4)
    axis.plot(times, values, color=FOCUS, marker="o", markersize=3.5, linestyle="none")
    axis.set_title(f"mean error by origin, in {story.unit}" if story.unit else "mean error by origin")
    show_values(axis)
    show_times(axis, bias.index, min(look.ticks, 5))


def _level_chart(frame: pd.DataFrame, look: Look) -> Figure:
    names = [f"level {row.level:g}, factor {row.factor:g}" for row in frame.itertuples()]
    figure, axis = _bars(names, frame["share"], look)
    axis.set_title("share of the change, by level")
    show_shares(axis.xaxis)
    return figure


def _covariate_chart(frame: pd.DataFrame, look: Look) -> Figure:
    rows = frame.sort_values("increase", ascending=False, kind="stable").head(MOST_BARS)
    names = [f"{short(row.covariate, look.letters)} ({row.role})" for row in rows.itertuples()]
    figure, axis = _bars(names, rows["increase"], look)
    axis.hlines(np.arange(len(rows)), rows["low"], rows["high"], color=FOCUS, linewidth=1.4)
    axis.axvline(0.0, color=QUIET, linewidth=1.0)
    axis.set_title("increase of the error without it")
    show_shares(axis.xaxis)
    return figure


def _bars(names: list[str], values: pd.Series, look: Look) -> tuple[Figure, Axes]:
    figure, (axis,) = blank(look, ROW * 1.2 * len(names) + 0.8)
    axis.barh(np.arange(len(names)), values, height=0.66, color=TINTS[1])
    axis.set_yticks(np.arange(len(names)), names)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.grid(visible=False, axis="y")
    axis.grid(axis="x")
    axis.spines["bottom"].set_visible(False)
    axis.tick_params(axis="x", length=0)
    return figure, axis


def _attention_chart(frame: pd.DataFrame, look: Look) -> Figure:
    rows = frame.sort_values("lag").set_index("lag")["weight"]
    figure, (axis,) = blank(look, 2.5)
    lags, weights = points(rows)
    axis.fill_between(lags, 0.0, weights, color=TINTS[0], linewidth=0)
    axis.plot(lags, weights, color=FOCUS, linewidth=1.6, **dots(len(lags)))
    axis.set_title("mean attention to each step of the past")
    axis.set_xlabel("steps before the origin", loc="left")
    show_shares(axis.yaxis)
    show_whole_numbers(axis, look.ticks)
    return figure
