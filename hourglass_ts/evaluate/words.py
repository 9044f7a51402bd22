"""A backtest in words: better than what, by how much, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

UNITS = {"D": "day", "B": "day", "C": "day", "h": "hour", "min": "minute", "W": "week", "MS": "month", "ME": "month"}


def headline(skills: pd.DataFrame, references: Sequence[str], unit: str) -> str:
    """One sentence from a skill table: the model against each reference, and from which lead on it is no better.

    Example:
        >>> table = pd.DataFrame({"reference": "naive", "lead": [math.nan, 1, 2], "skill": [0.12, 0.2, 0.01],
        ...                       "low": [0.09, 0.1, -0.1], "high": [0.15, 0.3, 0.1]})
        >>> headline(table, ["naive"], "day")
        'Better than naive by 12 % ± 3; no better beyond day 1.'
    """
    clauses = [clause for reference in references if (clause := _clause(skills, reference, unit))]
    text = "; ".join(clauses)
    return f"{text[:1].upper()}{text[1:]}." if text else "Nothing to compare with."


def revision_sentence(revised: pd.DataFrame, model: str, stride: int, unit: str) -> str:
    """How much the forecast of a given time moves from origin to origin."""
    own = revised[(revised["model"] == model) & revised["lead"].isna()]
    if not len(own) or math.isnan(own["relative"].iloc[0]):
        return "No time is forecast from two origins, so revisions are unknown: pass a stride shorter than the horizon."
    steps = f"{'an' if unit == 'hour' else 'a'} {unit}" if stride == 1 else f"{stride} {unit}s"
    return (
        f"From one origin to the next, {steps} later, the forecast of a given time moves by "
        f"{own['revision'].iloc[0]:.3g} on average, {100 * own['relative'].iloc[0]:.0f} % of its mean error."
    )


def coverage_sentence(covered: pd.DataFrame, model: str) -> str:
    """How often the model's intervals held, all leads together."""
    own = covered[(covered["model"] == model) & covered["lead"].isna()]
    parts = [
        f"{100 * row.nominal:.0f} % intervals held {100 * row.coverage:.1f} %" + _range(row.low, row.high)
        for row in own.itertuples()
    ]
    return f"Its {', its '.join(parts)} of the time." if parts else "It gives no intervals."


def step_name(freq: object) -> str:
    """What a step of a calendar is called.

    Example:
        >>> step_name("h"), step_name("W-SUN"), step_name("XNYS"), step_name(3)
        ('hour', 'week', 'session', 'step')
    """
    text = str(freq).partition("-")[0]
    if len(text) == 4 and text.isupper():
        return "session"
    return UNITS.get(text, "step")


def _clause(skills: pd.DataFrame, reference: str, unit: str) -> str:
    own = skills[skills["reference"] == reference]
    pooled = own[own["lead"].isna()]
    if not len(pooled) or math.isnan(pooled["skill"].iloc[0]):
        return ""
    value, low, high = (float(pooled[name].iloc[0]) for name in ("skill", "low", "high"))
    size = f"{100 * abs(value):.0f} %" + _reach(abs(value), *sorted((abs(low), abs(high))))
    if math.isnan(low):
        return f"{'better' if value > 0 else 'worse'} than {reference} by {size}, from too few origins to be sure"
    if high < 0:
        return f"worse than {reference} by {size}"
    if low <= 0:
        return f"no better than {reference} ({100 * value:+.0f} %{_reach(value, low, high)})".replace("-", "−")
    leads = own[own["lead"].notna()].sort_values("lead")
    better = leads[leads["low"] > 0]["lead"]
    last = int(leads["lead"].max())
    beyond = int(better.max()) if len(better) else 0
    tail = f"; no better beyond {unit} {beyond}" if 0 < beyond < last else ""
    return f"better than {reference} by {size}{tail}"


def _reach(value: float, low: float, high: float) -> str:
    """± half the interval, or its ends where it lies lopsided around the value."""
    if math.isnan(low):
        return ""
    lopsided = abs((high - value) - (value - low)) > (high - low) / 4
    return f", {100 * low:.0f} to {100 * high:.0f}" if lopsided else f" ± {100 * (high - low) / 2:.0f}"


def _range(low: float, high: float) -> str:
    return "" if math.isnan(low) else f" ({100 * low:.1f} to {100 * high:.1f})"
