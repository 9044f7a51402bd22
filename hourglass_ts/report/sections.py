"""The sections of the report page, in reading order: what each says, draws and tabulates."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain

import numpy as np
import pandas as pd

from hourglass_ts.report import charts
from hourglass_ts.report.parts import Check, Section, picture
from hourglass_ts.report.sections_on_trust import (
    calibration_section,
    conditional_section,
    explanation_section,
    pit_section,
    residuals_section,
)
from hourglass_ts.report.story import Story
from hourglass_ts.report.style import NO_VALUE, time_text
from hourglass_ts.report.tables import Column, Table, counts, numbers, ranges, seconds, shares, table, texts, times

MOST_WORST = 12


def sections(story: Story) -> list[Section]:
    """Every section of the page; the explanation and the audit only where the story has them."""
    found = [
        _forecasts(story),
        _scores(story),
        _skill(story),
        _by_lead(story),
        calibration_section(story),
        conditional_section(story),
        pit_section(story),
        _revisions(story),
        residuals_section(story),
        _worst(story),
    ]
    if any(len(frame) for frame in story.explanation.values()):
        found.append(explanation_section(story))
    if story.audit is not None:
        found.append(_audit(story))
    return [*found, _data(story), _costs(story), _made_with(story)]


def _forecasts(story: Story) -> Section:
    windows = _example_windows(story)
    drawn = [
        picture(
            story,
            partial(charts.fan_chart, series=series, fold=fold),
            f"fan-{k}",
            label=f"Forecast of {_window_name(story, series, fold)} with its intervals, and what came true",
            caption=f"{label}: {_window_name(story, series, fold)}.",
        )
        for k, (label, (series, fold)) in enumerate(windows.items())
    ]
    return Section(
        "forecasts",
        "Forecasts",
        pictures=tuple(chain(*drawn)),
        missing="" if windows else f"There are no forecasts of {story.model} to draw.",
    )


def _example_windows(story: Story) -> dict[str, tuple[str, int]]:
    """The last window of a typical series, and the window whose error is the median of all."""
    errors = charts.window_errors(story).dropna()
    if not len(errors):
        return {}
    last = errors[errors.index.get_level_values(1) == errors.index.get_level_values(1).max()]
    middle = {"The last forecast": last, "A typical one, of median error": errors}
    picked = {label: own.sort_values(kind="stable").index[len(own) // 2] for label, own in middle.items()}
    return {label: window for k, (label, window) in enumerate(picked.items()) if window not in [*picked.values()][:k]}


def _window_name(story: Story, series: str, fold: int) -> str:
    own = story.own(story.forecasts)
    origin = own.loc[(own["series"] == series) & (own["fold"] == fold), "origin"].iloc[0]
    return f"{series}, from {time_text(origin)}" if series else f"from {time_text(origin)}"


def _scores(story: Story) -> Section:
    frame = story.scores
    columns = [_score_column(str(name), frame[name]) for name in frame.columns if name != "model"]
    return Section(
        "scores",
        "Scores",
        text="Every model forecast the same times from the same origins.",
        table=_model_table(story, frame, columns),
        notes=story.score_notes,
        missing="" if len(frame) else "There are no scores: nothing that was forecast has come true yet.",
    )


def _model_table(story: Story, frame: pd.DataFrame, columns: list[Column]) -> Table | None:
    """A table whose rows each begin with a model."""
    models = Column("Model", texts(frame["model"]), numeric=False)
    return table([models, *columns], marked=frame["model"] == story.model) if len(frame) else None


def _score_column(name: str, values: pd.Series) -> Column:
    if pd.api.types.is_numeric_dtype(values):
        return Column(name, numbers(values))
    return Column(name, texts(values), numeric=False)


def _skill(story: Story) -> Section:
    return Section(
        "skill",
        "Skill",
        text=f"By how much the error of {story.model} is smaller than that of each reference.",
        pictures=picture(
            story,
            charts.skill_by_lead,
            "skill",
            label=f"Skill of {story.model} over each reference by lead, with intervals",
            caption="By lead. Above zero the model is better; where a bar crosses zero, the data cannot tell.",
        ),
        table=_skill_table(story.skill[story.skill["lead"].isna()]),
        missing="" if len(story.skill) else "There is no model to compare with.",
    )


def _skill_table(pooled: pd.DataFrame) -> Table | None:
    columns = [
        Column("Over", texts(pooled["reference"]), numeric=False),
        Column("Skill", shares(pooled["skill"])),
        Column("Interval", ranges(pooled["low"], pooled["high"])),
        Column("Verdict", _verdicts(pooled), numeric=False),
    ]
    return table(columns) if len(pooled) else None


def _verdicts(rows: pd.DataFrame) -> list[str]:
    known = rows[["low", "high"]].notna().all(axis=1)
    cases = [~known, rows["low"] > 0, rows["high"] < 0]
    return list(np.select(cases, [NO_VALUE, "better", "worse"], "unclear"))


def _by_lead(story: Story) -> Section:
    found = _lead_table(story)
    drawn = picture(
        story,
        charts.error_by_lead,
        "error",
        label=f"Mean absolute error of each model by lead. {_first_and_last(story)}",
        caption=_shown_models(story),
        data=found,
    )
    one = story.by_lead["lead"].nunique() == 1  # a point is no chart
    return Section(
        "error-by-lead",
        "Error by lead",
        text="" if one else "How the error grows the further ahead a forecast looks.",
        pictures=() if one else drawn,
        table=found if one else None,
        missing="" if drawn else "There are no errors by lead.",
    )


def _first_and_last(story: Story) -> str:
    own = story.own(story.by_lead).dropna(subset=["MAE"]).sort_values("lead")
    if len(own) < 2:
        return ""
    errors, leads = numbers(own["MAE"].iloc[[0, -1]]), counts(own["lead"].iloc[[0, -1]])
    return f"{story.model}: {errors[0]} at lead {leads[0]}, {errors[1]} at lead {leads[1]}."


def _shown_models(story: Story) -> str:
    n = story.by_lead["model"].nunique()
    return f"{charts.MOST_MODELS} of {n} models are drawn; the table has them all." if n > charts.MOST_MODELS else ""


def _lead_table(story: Story) -> Table | None:
    if not len(story.by_lead):
        return None
    grid = story.by_lead.pivot_table(index="lead", columns="model", values=["MAE", "RMSE"], dropna=False)
    names = [name for name in story.models if name in set(story.by_lead["model"])]
    columns = [Column(f"{score}, {name}", numbers(grid[score, name])) for score in ("MAE", "RMSE") for name in names]
    return table([Column("Lead", counts(grid.index)), *columns])


def _revisions(story: Story) -> Section:
    frame = story.revisions
    columns = [
        Column("Lead", counts(frame["lead"])),
        Column("Mean absolute revision", numbers(frame["revision"])),
        Column("Over the MAE", shares(frame["relative"])),
    ]
    drawn = picture(
        story,
        charts.revision_chart,
        "revisions",
        label="Mean absolute revision of the forecasts of each model, by lead",
        data=_model_table(story, frame, columns),
    )
    return Section(
        "revisions",
        "Stability",
        text="How far the forecast of one and the same time moves from one origin to the next.",
        pictures=drawn,
        missing="" if drawn else "No time was forecast from two origins, so no forecast was revised.",
    )


def _worst(story: Story) -> Section:
    found = _worst_table(story)
    drawn = picture(
        story,
        charts.worst_windows,
        "worst",
        label=f"The forecasts of {story.model} that went most wrong, and what came true",
        caption="Each with its origin, and its mean absolute error over that of all windows.",
        data=found,
    )
    return Section(
        "worst",
        "Worst windows",
        text="The forecasts with the largest errors, the worst first.",
        pictures=drawn,
        table=None if drawn else found,
        missing="" if found else "There are no windows to rank.",
    )


def _worst_table(story: Story) -> Table | None:
    rows = story.worst.head(MOST_WORST)
    columns = [
        Column("Series", texts(rows["series"]), numeric=False),
        Column("Origin", times(rows["origin"]), numeric=False),
        Column("Fold", counts(rows["fold"])),
        Column(f"MAE, {story.unit}" if story.unit else "MAE", numbers(rows["MAE"])),
        Column("Over the mean", [f"{value:.1f} ×" if value == value else NO_VALUE for value in rows["times"]]),
    ]
    return table(columns if any(rows["series"]) else columns[1:]) if len(rows) else None


def _audit(story: Story) -> Section:
    rows = [] if story.audit is None else story.audit.to_dict("records")
    checks = tuple(Check(str(row["check"]), bool(row["passed"]), str(row["detail"])) for row in rows)
    n_passed = sum(check.passed for check in checks)
    return Section(
        "audit",
        "Leakage audit",
        text=f"{n_passed} of {len(checks)} checks passed. None may fail: a leak makes every number above too good.",
        checks=checks,
        missing="" if checks else "The audit made no checks.",
    )


def _data(story: Story) -> Section:
    missing = "" if story.notes else "No problems were found in the data."
    return Section("data", "Data", notes=story.notes, missing=missing)


def _costs(story: Story) -> Section:
    frame = story.costs
    columns = [
        Column("Fitting", seconds(frame["fit_seconds"])),
        Column("Forecasting", seconds(frame["forecast_seconds"])),
        Column("Fits", counts(frame["fits"])),
    ]
    found = _model_table(story, frame, columns)
    return Section("costs", "Costs", table=found, missing="" if found else "No times were measured.")


def _made_with(story: Story) -> Section:
    lists = {"Settings": story.settings, "Versions": story.versions}
    pairs = tuple(
        (name, tuple((str(key), str(value)) for key, value in own.items())) for name, own in lists.items() if own
    )
    missing = "" if pairs else "No settings or versions were recorded."
    return Section("made-with", "Settings and versions", pairs=pairs, missing=missing)


def facts(story: Story) -> Iterator[tuple[str, str]]:
    """What the head of the page says about the backtest: the model, and how much was forecast."""
    yield "Model", story.model
    own = story.own(story.forecasts)
    if len(own):
        n_series = own["series"].nunique()
        if n_series > 1:
            (yield "Series", counts([n_series])[0])
        yield "Origins", counts([own["origin"].nunique()])[0]
        first, last = own["lead"].min(), own["lead"].max()
        yield ("Leads", f"{first} to {last}") if last > first else ("Lead", str(first))
        yield "From", time_text(own["origin"].min())
        yield "Until", time_text(own["time"].max())
    yield "Unit", story.unit or "as given"
