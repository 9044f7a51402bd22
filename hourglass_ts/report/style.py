"""The look that every picture shares: colours for light and dark, sizes, axes, and numbers as a reader writes them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hourglass_ts.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Role → light, dark. Pictures are drawn in the light colours; a page replaces each by its role, so no two are equal.
# Blue and vermilion are Okabe and Ito's: told apart with every kind of colour vision, and in grey.
ROLES = {
    "surface": ("#ffffff", "#15171a"),
    "ink": ("#1f2328", "#e9e7e2"),
    "history": ("#4d4d4d", "#c3c2be"),
    "quiet": ("#696c70", "#a3a6ab"),
    "grid": ("#e6e6e6", "#2b2e33"),
    "focus": ("#0072b2", "#58b3e8"),
    "actual": ("#d55e00", "#f0935a"),
    "alarm": ("#b3261e", "#ff8a80"),
    "muted": ("#8a8d91", "#85888e"),
    # of "focus", widest interval first; opaque, so that a legend shows them as drawn
    "tint1": ("#d9e8f3", "#1c3648"),
    "tint2": ("#a9cde5", "#27536d"),
    "tint3": ("#7ab2d6", "#347394"),
}
LIGHT = {role: light for role, (light, _) in ROLES.items()}
SURFACE, INK, HISTORY, QUIET, GRID = (LIGHT[role] for role in ("surface", "ink", "history", "quiet", "grid"))
FOCUS, ACTUAL, ALARM, MUTED = (LIGHT[role] for role in ("focus", "actual", "alarm", "muted"))
TINTS = (LIGHT["tint1"], LIGHT["tint2"], LIGHT["tint3"])

FONT_SIZE = 9.0  # points: 12.5 pixels where a drawing is shown at 100 pixels to the inch
DPI = 100
MOST_POINTS = 400  # of a line: more cannot be told apart
THIN_SPACE = "\u202f"
NO_VALUE = "–"


class NothingToDraw(DataError):  # noqa: N818
    """The frame that a chart shows has no rows for it; the message says which."""


@dataclass(frozen=True)
class Look:
    """How large a chart is drawn: its width in inches, panels side by side, ticks along time, letters of a name."""

    width: float
    columns: int
    ticks: int
    letters: int

    @property
    def panel_letters(self) -> int:
        """How many letters a title over one of the panels side by side has room for."""
        return round(11 * self.width / self.columns)


WIDE = Look(width=7.6, columns=3, ticks=8, letters=26)
NARROW = Look(width=3.6, columns=1, ticks=4, letters=20)


def figure_class() -> Any:
    """matplotlib's Figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError('Pictures need matplotlib: pip install "hourglass_ts[plot]"') from error
    return Figure


@contextmanager
def drawing() -> Iterator[None]:
    """A block (or, as a decorator, a function) in which matplotlib draws in this look, not in the user's own style."""
    figure_class()
    from matplotlib import style

    settings = {
        "font.size": FONT_SIZE,
        "text.color": INK,
        "text.parse_math": False,  # a series may be called "$A$"
        "axes.axisbelow": True,
        "axes.edgecolor": QUIET,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.labelcolor": QUIET,
        "axes.labelsize": FONT_SIZE,
        "axes.spines.left": False,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlecolor": QUIET,
        "axes.titlelocation": "left",
        "axes.titlepad": 8.0,
        "axes.titlesize": FONT_SIZE,
        "axes.xmargin": 0.02,
        "axes.ymargin": 0.08,
        "figure.dpi": DPI,
        "grid.color": GRID,
        "legend.columnspacing": 1.5,
        "legend.fontsize": FONT_SIZE,
        "legend.frameon": False,
        "legend.handlelength": 1.6,
        "legend.labelcolor": HISTORY,
        "xtick.color": QUIET,
        "xtick.labelcolor": HISTORY,
        "xtick.labelsize": FONT_SIZE,
        "xtick.major.size": 3.0,
        "ytick.labelcolor": HISTORY,
        "ytick.labelsize": FONT_SIZE,
        "ytick.major.size": 0.0,
    }
    with style.context(["default", settings]):
        yield


def blank(look: Look, height: float, rows: int = 1, columns: int = 1, **grid: Any) -> tuple[Figure, list[Axes]]:
    """An empty figure of `height` inches and its axes, row by row."""
    figure = figure_class()(figsize=(look.width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.04, wspace=0.06, hspace=0.04)
    return figure, list(figure.subplots(rows, columns, squeeze=False, **grid).flat)


def panels(look: Look, n: int, height: float, **grid: Any) -> tuple[Figure, list[Axes]]:
    """A figure of `n` panels, each `height` inches high, as many side by side as `look` has room for."""
    rows = math.ceil(n / look.columns)
    columns = math.ceil(n / rows)
    figure, axes = blank(look, rows * height, rows, columns, **grid)
    for spare in axes[n:]:
        spare.remove()
    return figure, axes[:n]


def points(values: pd.Series) -> tuple[Any, Any]:
    """Times and values as matplotlib takes them: time zones kept, missing values a gap in the line."""
    index = values.index.to_timestamp() if isinstance(values.index, pd.PeriodIndex) else values.index
    times = index.floor("us").to_pydatetime() if isinstance(index, pd.DatetimeIndex) else index.to_numpy()
    numbers = values.to_numpy(dtype=float, na_value=float("nan"))
    return times, np.where(np.isfinite(numbers), numbers, np.nan)


def thin(values: pd.Series) -> pd.Series:
    """At most `MOST_POINTS` of a long line, among them the highest and the lowest of every stretch.

    Example:
        >>> long = pd.Series([0.0] * 5_000 + [9.0] + [0.0] * 5_000)
        >>> len(thin(long)) <= MOST_POINTS, float(thin(long).max())
        (True, 9.0)
    """
    if len(values) <= MOST_POINTS:
        return values
    _, numbers = points(values)
    kept = {0, len(values) - 1}
    for stretch in np.array_split(np.arange(len(values)), MOST_POINTS // 2 - 1):
        seen = stretch[~np.isnan(numbers[stretch])]
        kept |= {seen[numbers[seen].argmin()], seen[numbers[seen].argmax()]} if len(seen) else {stretch[0]}
    return values.iloc[sorted(kept)]


def dots(n: int, most: int = 31) -> dict[str, Any]:
    """A dot on each of `n` points of a line while they can be told apart."""
    return {"marker": "o", "markersize": 3.5} if n <= most else {}


def show_times(axis: Axes, times: pd.Index, ticks: int) -> None:
    """Ticks along a drawn axis of time: dates in their own zone, two at the least; whole numbers as such."""
    if not isinstance(times, (pd.DatetimeIndex, pd.PeriodIndex)):
        show_whole_numbers(axis, ticks)
        return
    from matplotlib.dates import ConciseDateFormatter, num2date

    zone = getattr(times, "tz", None)
    low, high = (num2date(at, tz=zone) for at in axis.get_xlim())
    locators = [_time_locator(zone, most) for most in range(ticks, ticks + 6)]
    seen = (sum(low <= num2date(at, tz=zone) <= high for at in each.tick_values(low, high)) for each in locators)
    locator = next((each for each, n in zip(locators, seen, strict=True) if n > 1), locators[0])
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))
    axis.xaxis.get_offset_text().set_color(QUIET)


def _time_locator(zone: Any, ticks: int) -> Any:
    from matplotlib.dates import DAILY, HOURLY, MINUTELY, MONTHLY, SECONDLY, AutoDateLocator

    locator = AutoDateLocator(tz=zone, minticks=min(ticks - 1, 4), maxticks=ticks)
    # the next larger unit, so that spans between two of them (60 hours, say) have an interval that fits
    for unit, whole in ((MONTHLY, 12), (DAILY, 31), (HOURLY, 24), (MINUTELY, 60), (SECONDLY, 60)):
        locator.intervald[unit] = [*locator.intervald[unit], whole]
    return locator


def show_whole_numbers(axis: Axes, ticks: int) -> None:
    """Ticks at whole numbers along the horizontal axis."""
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(nbins=ticks, integer=True, min_n_ticks=1))


def show_values(axis: Axes, *, nbins: int = 5) -> None:
    """Ticks up the vertical axis, written without powers and offsets."""
    from matplotlib.ticker import MaxNLocator

    axis.yaxis.set_major_locator(MaxNLocator(nbins=nbins, steps=[1, 2, 2.5, 5, 10]))
    axis.yaxis.set_major_formatter(lambda value, _: tick_text(value))


def show_shares(axis: Any, *, nbins: int = 5) -> None:
    """Ticks of one axis (`axes.xaxis` or `axes.yaxis`) in percent."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=nbins, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(lambda value, _: f"{tick_text(100 * value)}{THIN_SPACE}%")


def tick_text(value: float) -> str:
    """A round number as short as it goes.

    Example:
        >>> [tick_text(value) for value in (0.30000000000000004, -2.0, 12_500.0, 3e7)]
        ['0.3', '−2', '12\u202f500', '30\u202fM']
    """
    if abs(value) >= 1e6:
        text, tail = f"{value / 1e6:.6g}", f"{THIN_SPACE}M"
    elif abs(value) >= 1e4:
        text, tail = f"{value:,.0f}".replace(",", THIN_SPACE), ""
    else:
        text, tail = f"{value:.6g}", ""
    return text.replace("-", "−") + tail


def short(name: object, letters: int) -> str:
    """A name in one line and at most so many letters; both its ends stay, for names often differ in the last.

    Example:
        >>> short("seasonal\\nnaive", 20), short("gradient boosting 12", 12)
        ('seasonal naive', 'gradient… 12')
    """
    text = " ".join(str(name).split())
    tail = (letters - 1) // 3
    return text if len(text) <= letters else f"{text[: letters - 1 - tail]}…{text[-tail:]}"


def time_text(time: Any) -> str:
    """A date as a reader writes it, with the hour only where there is one.

    Example:
        >>> time_text(pd.Timestamp("2015-12-03")), time_text(pd.Timestamp("2015-12-03 06:00")), time_text(7)
        ('3 Dec 2015', '3 Dec 2015 06:00', '7')
    """
    if not isinstance(time, pd.Timestamp):
        return str(time)
    day = f"{time.day} {time:%b %Y}"
    return day if time == time.normalize() else f"{day} {time:%H:%M}"


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places for labels as near as can be to where they are wanted, at least `gap` apart, between `low` and `high`.

    Example:
        >>> spread([1.0, 1.1, 5.0], gap=1.0, low=0.0, high=6.0)
        [0.55, 1.55, 5.0]
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    groups: list[list[float]] = []  # [sum of wanted places less their rank's offset, count]
    for i in order:
        groups.append([wanted[i], 1])
        while len(groups) > 1 and _top(groups[-2], gap) + gap > _bottom(groups[-1], gap):
            total, count = groups.pop()
            groups[-1] = [groups[-1][0] + total, groups[-1][1] + count]
    placed = [_bottom(group, gap) + gap * k for group in groups for k in range(int(group[1]))]
    # the edges win over nearness: from below, then from above
    for k in range(len(placed)):
        placed[k] = max(placed[k], low if k == 0 else placed[k - 1] + gap)
    for k in reversed(range(len(placed))):
        placed[k] = min(placed[k], high if k == len(placed) - 1 else placed[k + 1] - gap)
    return [placed[order.index(i)] for i in range(len(wanted))]


def _bottom(group: list[float], gap: float) -> float:
    return group[0] / group[1] - gap * (group[1] - 1) / 2


def _top(group: list[float], gap: float) -> float:
    return group[0] / group[1] + gap * (group[1] - 1) / 2
