"""A `Story` as one HTML page that needs nothing else: no network, no second file."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from hourglass_ts.errors import Problem, SettingsError, raise_problem
from hourglass_ts.report.files import written_aside
from hourglass_ts.report.parts import Section
from hourglass_ts.report.sections import facts, sections
from hourglass_ts.report.story import Story
from hourglass_ts.report.style import ROLES


def render(story: Story, first: Sequence[Section] = ()) -> str:
    """The page as HTML: self-contained, light and dark, wide and narrow; equal stories give equal bytes.

    first: sections of one's own, before those of the story.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    parts = [*first, *sections(story)]
    return _template().render(story=story, sections=parts, facts=list(facts(story)), roles=ROLES)


def write_page(story: Story, path: str | Path, first: Sequence[Section] = ()) -> Path:
    """Write the page of a story, whole or not at all, and return its path; `first` as in `render`.

    Raises:
        SettingsError: the folder of `path` does not exist.
        MissingExtraError: matplotlib is not installed.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise_problem(
            SettingsError,
            Problem(f"no folder {str(path.parent)!r}", "a folder to write into", "Make it, or pass another path."),
        )
    html = render(story, first)
    with written_aside(path) as aside:
        aside.write_text(html, encoding="utf-8", newline="\n")
    return path


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")
