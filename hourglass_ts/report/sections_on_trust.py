"""The sections of the report page on trust: whether intervals hold, what errors still know, what the model uses."""

from __future__ import annotations

from functools import partial
from itertools import chain

import pandas as pd

from hourglass_ts.report import diagnostics
from hourglass_ts.report.parts import Section, picture
from hourglass_ts.report.story import Story
from hourglass_ts.report.style import THIN_SPACE
from hourglass_ts.report.tables import Column, Table, counts, ranges, shares, table, texts


def calibration_section(story: Story) -> Section:
    """How often the intervals hold."""
    drawn = picture(
        story,
        diagnostics.calibration,
        "calibration",
        label=f"Observed against nominal coverage of the intervals of {story.model}, and coverage by lead",
        caption="Bars and bands are intervals; dashed, where a calibrated forecast would be.",
        data=_coverage_by_lead_table(story),
    )
    pooled = story.coverage[story.coverage["lead"].isna()]
    return Section(
        "calibration",
        "Calibration",
        text="An 80 % interval is worth its name when 80 % of what came true lies inside.",
        pictures=drawn,
        table=_coverage_table(story, pooled) if len(pooled) else None,
        missing="" if len(story.coverage) else "No model gave quantiles, so there are no intervals to check.",
    )


def _coverage_table(story: Story, pooled: pd.DataFrame) -> Table:
    """One row per model, one column per nominal level."""
    names = [name for name in story.models if name in set(pooled["model"])]
    levels = sorted(pooled["nominal"].unique())
    grid = pooled.pivot_table(index="model", columns="nominal", values="coverage", dropna=False).reindex(names)
    sizes = pooled.groupby("model")["n"].max().reindex(names)
    columns = [Column(f"{100 * level:.4g}{THIN_SPACE}% interval", shares(grid[level])) for level in levels]
    return table(
        [Column("Model", texts(names), numeric=False), *columns, Column("Forecasts", counts(sizes))],
        marked=[name == story.model for name in names],
    )


def _coverage_by_lead_table(story: Story) -> Table | None:
    own = story.own(story.coverage).dropna(subset=["lead"]).sort_values(["lead", "nominal"])
    return table(_coverage_columns(own, Column("Lead", counts(own["lead"])))) if len(own) else None


def _coverage_columns(rows: pd.DataFrame, first: Column) -> list[Column]:
    return [
        first,
        Column("Nominal", shares(rows["nominal"], decimals=0)),
        Column("Observed", shares(rows["coverage"])),
        Column("Interval", ranges(rows["low"], rows["high"])),
        Column("Forecasts", counts(rows["n"])),
    ]


def conditional_section(story: Story) -> Section:
    """Whether the intervals hold within groups of forecasts."""
    rows = diagnostics.shown_groups(story)
    level = f"{100 * rows['nominal'].max():.4g}{THIN_SPACE}%"
    n_all = len(diagnostics.groups_at(story))
    few = f" Of {n_all} groups those furthest off are shown." if n_all > len(rows) else ""
    columns = _coverage_columns(rows, Column("Group", texts(rows["group"]), numeric=False))
    drawn = picture(
        story,
        diagnostics.conditional_coverage,
        "conditional",
        label=f"Observed coverage of the {level} interval by group, with intervals",
        caption=f"The {level} interval. A diamond marks a group whose own interval leaves {level} out; "
        f"about one group in twenty would by chance.{few}",
        data=table(columns),
    )
    return Section(
        "conditional",
        "Coverage within groups",
        text="Intervals that hold on average may still fail where it matters.",
        pictures=drawn,
        missing="" if drawn else f"There are no groups of intervals of {story.model} to compare.",
    )


def pit_section(story: Story) -> Section:
    """Where among the quantiles the actual values fell."""
    drawn = picture(
        story,
        diagnostics.pit_histogram,
        "pit",
        label="Histogram of where the actual values fell within the forecast distribution",
        caption="Flat is calibrated. A heap in the middle: intervals too wide. "
        "Heaps at both ends: too narrow. A slope: a forecast that leans to one side.",
    )
    return Section(
        "pit",
        "Probability integral transform",
        text="Where among its quantiles what came true fell, over all forecasts.",
        pictures=drawn,
        missing="" if drawn else f"{story.model} gave no quantiles to place the actual values in.",
    )


def residuals_section(story: Story) -> Section:
    """What the errors still know."""
    drawn = picture(
        story,
        diagnostics.residual_checks,
        "residuals",
        label=f"Autocorrelation of the lead-1 errors of {story.model}, and its mean error at each origin",
        caption="The band holds the autocorrelation of errors without memory. "
        "A mean error above zero: forecasts too high. A run on one side: a lasting bias.",
    )
    return Section(
        "residuals",
        "Residuals",
        text="Errors that resemble earlier ones leave something to be learned.",
        pictures=drawn,
        missing="" if drawn else f"There are no errors of {story.model} to look at.",
    )


EXPLAINED = {
    "levels": "The levels of shortening: how much of what the network adds passes through each.",
    "covariates": "Each covariate is shuffled in turn; the more the error grows, the more the model relied on it.",
    "attention": "How much of the past the model looks at. Attention shows where it looks, not why.",
}


def explanation_section(story: Story) -> Section:
    """What the model uses; for a story that has an explanation."""
    drawn = [
        picture(story, partial(diagnostics.explanation_chart, part=name), name, label=text, caption=text)
        for name, text in EXPLAINED.items()
    ]
    return Section("explanation", "Explanation", pictures=tuple(chain(*drawn)))
