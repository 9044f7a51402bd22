"""A figure as SVG to be put into a page: its text stays text, and its colours are the page's own."""

from __future__ import annotations

import io
import re
import warnings
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from hourglass_ts.report.style import LIGHT, drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NO_METADATA = {"Creator": None, "Date": None, "Format": None, "Type": None}
TAG = re.compile(r"<[^>]*>")  # attributes hold no ">": matplotlib escapes it
NUMBERS = re.compile(r' (d|x|y|width|height|transform|viewBox|points)="([^"]*)"')
REFERENCE = re.compile(r'(xlink:href="|url\()#([^")]+)')


@drawing()
def inline_svg(figure: Figure, *, prefix: str, label: str) -> Markup:
    """The `<svg>` element of a figure, the same bytes each time.

    Colours of `style.ROLES` become CSS variables (`var(--focus)`), the font `var(--sans)`; ids begin with `prefix`, for
    those of several drawings in one page would meet. `label` says to a screen reader what the drawing shows.
    """
    svg = _drawn(figure)
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->|<style.*?</style>|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r">\s+<", "><", svg).strip()
    used = dict.fromkeys(name for tag in TAG.findall(svg) for _, name in REFERENCE.findall(tag))
    names = {old: f"{prefix}-{k}" for k, old in enumerate(used)}
    svg = TAG.sub(lambda tag: _cleaned(tag[0], names), svg)
    box = re.search(r'viewBox="[^"]*"', svg)
    head = f'<svg {box[0] if box else ""} role="img" aria-label="{escape(label)}">'
    return Markup(head + svg[svg.index(">") + 1 :])


def _drawn(figure: Figure) -> str:
    from matplotlib import rc_context

    file = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "hourglass_ts"}), warnings.catch_warnings():
        # the reader's browser has the letters of every script; the font that measures them need not
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure.savefig(file, format="svg", transparent=True, metadata=NO_METADATA)
    return file.getvalue()


def _cleaned(tag: str, names: dict[str, str]) -> str:
    """One tag with its own ids (those that nothing refers to go), roles for colours, and short numbers."""
    tag = re.sub(r' id="([^"]*)"', lambda found: f' id="{names[found[1]]}"' if found[1] in names else "", tag)
    tag = REFERENCE.sub(lambda found: f"{found[1].removeprefix('xlink:')}#{names[found[2]]}", tag)
    tag = re.sub(r"font-family: [^;\"]*", "font-family: var(--sans)", tag)
    tag = re.sub(r"(font: [^;\"]*?px) [^;\"]*", r"\1 var(--sans)", tag)
    tag = re.sub(r' transform="rotate\(-0 [^"]*"', "", tag)
    for role, colour in LIGHT.items():
        tag = tag.replace(colour, f"var(--{role})")
    return NUMBERS.sub(lambda found: f' {found[1]}="{_shorter(found[2])}"', tag)


def _shorter(numbers: str) -> str:
    """Numbers to a hundredth of a point: finer than any screen shows."""
    rounded = re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), numbers)
    return " ".join(rounded.split())
