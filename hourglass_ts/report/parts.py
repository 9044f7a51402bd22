"""What a section of the report page is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from hourglass_ts.report.story import Story
from hourglass_ts.report.style import NARROW, WIDE, NothingToDraw
from hourglass_ts.report.svg import inline_svg
from hourglass_ts.report.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """One chart drawn twice, for wide and for narrow screens, with a caption and the numbers behind it."""

    wide: Markup
    narrow: Markup
    caption: str = ""
    data: Table | None = None


@dataclass(frozen=True)
class Check:
    """One line of the audit."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Section:
    """One part of the page; `missing` says why there is nothing to show."""

    key: str
    title: str
    text: str = ""
    pictures: tuple[Picture, ...] = ()
    table: Table | None = None
    checks: tuple[Check, ...] = ()
    notes: tuple[str, ...] = ()
    pairs: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    missing: str = ""


def picture(
    story: Story, draw: Callable[..., Figure], key: str, *, label: str, caption: str = "", data: Table | None = None
) -> tuple[Picture, ...]:
    """Both drawings of a chart of `story`, as one picture, or none where its frame has nothing to draw."""
    try:
        wide, narrow = draw(story, look=WIDE), draw(story, look=NARROW)
    except NothingToDraw:
        return ()
    drawings = (
        inline_svg(wide, prefix=f"{key}-wide", label=label),
        inline_svg(narrow, prefix=f"{key}-narrow", label=label),
    )
    return (Picture(*drawings, caption, data),)
