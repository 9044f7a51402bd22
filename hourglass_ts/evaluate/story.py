"""A backtest as the story that a report tells."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import pandas as pd

from hourglass_ts.evaluate.evidence import (
    conditional_table,
    pit_table,
    residual_table,
    worst_table,
)
from hourglass_ts.evaluate.explain import Explanation
from hourglass_ts.evaluate.leaks.result import AuditResult
from hourglass_ts.evaluate.words import coverage_sentence, headline, revision_sentence, step_name
from hourglass_ts.forecast.truth import Truth, is_quantile
from hourglass_ts.frames.schema import OBSERVED, TIME, UNIT, VALUE
from hourglass_ts.report.story import Story

PACKAGES = ("hourglass_ts", "torch", "lightning", "pytorch-forecasting", "pandas", "numpy", "scikit-learn")
N_LEVELS = 5
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def tell(
    result: Any,
    *,
    title: str | None = None,
    unit: str = "",
    explanation: Explanation | None = None,
    audit: AuditResult | None = None,
) -> Story:
    """Gather all that the report of a backtest shows, about the first of its models."""
    run, rows = result.run, result.common
    model, truth = result.focus, run.truth
    overlap = result.overlap
    step = step_name(truth.panel.calendars[0].freq)
    skills, covered, revised = result.skill, result.coverage, result.revisions
    origins = pd.Index([fold.origin for fold in run.folds])
    target = ", ".join(str(label) for label in truth.panel.roles.target)
    stride = int(np.median(np.diff(result.places))) if len(result.places) > 1 else 1
    return Story(
        title=title or f"Backtest of {target}",
        headline=headline(skills, [name for name in run.references if name != model], step),
        remarks=(coverage_sentence(covered, model), revision_sentence(revised, model, stride, step)),
        unit=unit,
        model=model,
        forecasts=_forecasts(rows, truth, origins),
        history=_history(truth),
        scores=result.scores.astype({"model": object}),
        score_notes=tuple(result.score_notes),
        skill=skills,
        by_lead=result.scores_by("lead")[["model", "lead", "MAE", "RMSE"]].astype({"model": object}),
        coverage=covered,
        conditional=conditional_table(rows, _groups(rows, truth, model), model, overlap),
        pit=pit_table(rows).astype({"model": object}),
        revisions=revised,
        residuals=residual_table(rows, model),
        worst=worst_table(rows, model, truth.names, origins, overlap),
        explanation={} if explanation is None else _explained(explanation),
        audit=None if audit is None else _audited(audit),
        notes=tuple(result.notes),
        costs=run.costs,
        settings=run.settings,
        versions=_versions(),
    )


def _audited(audit: AuditResult) -> pd.DataFrame:
    """One row per check, with what was found, or what was tried."""
    rows = []
    for check in audit.outcomes:
        told = "; ".join(map(str, check.findings)) or (f"open: {check.open}" if check.open else check.note)
        rows.append((f"{check.stage}: {check.name}", check.verdict != "leak", told))
    return pd.DataFrame(rows, columns=["check", "passed", "detail"])


def _explained(explanation: Explanation) -> dict[str, pd.DataFrame]:
    """An explanation's frames, with the attention of the outermost level alone."""
    attention = explanation.attention
    outermost = attention[attention["level"] == attention["level"].min()]
    return {"levels": explanation.levels, "covariates": explanation.covariates, "attention": outermost}


def _forecasts(rows: pd.DataFrame, truth: Truth, origins: pd.Index) -> pd.DataFrame:
    quantiles = [label for label in rows.columns if is_quantile(label)]
    return pd.DataFrame(
        {
            "model": rows["model"].astype(object),
            "fold": rows["fold"],
            "origin": origins[rows["fold"].to_numpy()],
            "series": np.asarray(truth.names, dtype=object)[rows["unit"]],
            "time": truth.times[rows["time"].to_numpy()],
            **{label: rows[label] for label in ("lead", "actual", "forecast", *quantiles)},
        }
    )


def _history(truth: Truth) -> pd.DataFrame:
    table = truth.panel.table[truth.panel.table[OBSERVED]]
    names = np.asarray(truth.names, dtype=object)[table[UNIT]]
    return pd.DataFrame({"series": names, "time": table[TIME].array, "actual": table[VALUE].to_numpy()})


def _groups(rows: pd.DataFrame, truth: Truth, model: str) -> list[tuple[str, pd.Series]]:
    """What the coverage of the model's intervals is looked at by: series, weekday, month, and size of the forecast."""
    own = rows[rows["model"] == model]
    unit, times = own["unit"].to_numpy(), truth.times[own["time"].to_numpy()]
    rank = own["forecast"].groupby(own["unit"]).rank(pct=True)
    fifth = np.ceil(rank * N_LEVELS).clip(1, N_LEVELS).astype(int).to_numpy() - 1
    groups = {"size of forecast": pd.Categorical.from_codes(fifth, [f"{i}/{N_LEVELS}" for i in range(1, N_LEVELS + 1)])}
    if isinstance(times, pd.DatetimeIndex):
        groups["weekday"] = pd.Categorical.from_codes(times.dayofweek, list(WEEKDAYS))
        groups["month"] = pd.Categorical.from_codes(times.month - 1, list(MONTHS))
    if len(truth.names) > 1:
        groups["series"] = pd.Categorical(np.asarray(truth.names, dtype=object)[unit])
    named = {
        kind: group.rename_categories(lambda label, kind=kind: f"{kind} {label}") for kind, group in groups.items()
    }
    return [
        ("level" if kind == "size of forecast" else kind, pd.Series(group, index=own.index))
        for kind, group in named.items()
    ]


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
