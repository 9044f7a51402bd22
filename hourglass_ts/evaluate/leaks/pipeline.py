"""The user's own feature pipeline and split: do rows up to the cutoff know what comes after it?"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from hourglass_ts.errors import DataError, Problem, raise_problem
from hourglass_ts.evaluate.leaks.compare import ROUNDING, Change, changes, keyed, one_name
from hourglass_ts.evaluate.leaks.result import Check, Finding
from hourglass_ts.evaluate.leaks.trials import outcomes, repeatable, summary
from hourglass_ts.evaluate.leaks.worlds import Cut, row_times, with_hole_before

N_NAMED = 4


@dataclass(frozen=True)
class Pipeline:
    """The user's way from a whole frame to features, and on to training and test rows."""

    cut: Cut
    prepare: Callable[[pd.DataFrame], pd.DataFrame]
    split: Callable[[pd.DataFrame, Any], tuple[pd.DataFrame, pd.DataFrame]]
    seed: int

    def features(self, frame: pd.DataFrame) -> pd.DataFrame:
        """What the pipeline makes of a whole frame, which it may alter."""
        with repeatable(self.seed):
            return _frame_from(self.prepare(frame.copy()), "prepare(df)")

    def parts(self, features: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Training and test rows."""
        with repeatable(self.seed):
            pair = self.split(features.copy(), self.cut.at(row_times(features, self.cut.time)))
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            found, hint = f"a {type(pair).__name__} from split(df, cutoff)", "Return (train, test)."
            raise_problem(DataError, Problem(found, "two frames, for training and test", hint))
        return _frame_from(pair[0], "split(df, cutoff)"), _frame_from(pair[1], "split(df, cutoff)")

    def past(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows that are no future at the cutoff, each under its name."""
        cut = self.cut if self.cut.known_at in frame.columns else replace(self.cut, known_at=None)
        return keyed(frame[~cut.late(frame)], cut.series, cut.time, self.cut.known_at)


def split_by_time(frame: pd.DataFrame, cut: Cut) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The split of someone who looks at the time alone: up to the cutoff, and after it."""
    after = cut.after(frame)
    return frame[~after], frame[after]


def _frame_from(value: Any, source: str) -> pd.DataFrame:
    if not isinstance(value, pd.DataFrame):
        raise_problem(DataError, Problem(f"a {type(value).__name__} from {source}", "a frame", "Return a DataFrame."))
    return value


# --- stage "prepare" -------------------------------------------------------------------------------------------------


def prepare_checks(
    pipeline: Pipeline,
    frame: pd.DataFrame,
    features: pd.DataFrame,
    unknown: Sequence[Hashable],
    seed: int,
    name: str = "rows up to the cutoff do not know what follows",
) -> list[Check]:
    """Run the pipeline on frames with other futures: what it makes of rows up to the cutoff must stay.

    features: what it makes of `frame`.  unknown: the columns of `frame` that are not known beforehand.
    """
    reference = pipeline.past(features)
    again = changes(reference, pipeline.past(pipeline.features(frame)), len(pipeline.cut.series))
    if again:
        text = f"prepare is not deterministic (column {again[0].column!r}): nothing can be concluded"
        return [Check("prepare", name, open=text)]
    n_series = len(pipeline.cut.series)

    def run(altered: pd.DataFrame) -> list[Change]:
        return changes(reference, pipeline.past(pipeline.features(altered)), n_series, ROUNDING)

    tried = list(outcomes(frame, pipeline.cut, unknown, seed, run))
    causes: dict[Hashable, tuple[Change, list[str]]] = {}
    for outcome in tried:
        for change in outcome.changes or []:
            worst, labels = causes.setdefault(change.column, (change, []))
            labels.append(outcome.label)
            causes[change.column] = (worst if worst.effect >= change.effect else change, labels)
    findings = tuple(_prepare_finding(name, change, labels) for change, labels in causes.values())
    count = sum(outcome.changes is not None for outcome in tried)
    undecided = "" if count else "prepare raised in every altered case"
    return [Check("prepare", name, count, findings, summary(tried), undecided)]


def hole_checks(pipeline: Pipeline, frame: pd.DataFrame, unknown: Sequence[Hashable], seed: int) -> list[Check]:
    """The same where the last values before the cutoff are missing: a filling from later rows shows nowhere else.

    Only for frames that have holes; a pipeline that cannot take these is left in peace.
    """
    if not any(frame[label].isna().any() for label in unknown if label in frame.columns):
        return []
    holed = with_hole_before(frame, pipeline.cut, unknown)
    try:
        features = pipeline.features(holed)
    except Exception:  # a user's pipeline may refuse holes with any error
        return []
    return prepare_checks(pipeline, holed, features, unknown, seed, "holes are not filled from later rows")


def _prepare_finding(check: str, change: Change, labels: Sequence[str]) -> Finding:
    shown = ", ".join(labels[:N_NAMED]) + (f" and {len(labels) - N_NAMED} more" if len(labels) > N_NAMED else "")
    what = "rows" if change.column is None else "cells"
    detail = f"{change.unit}; {change.count} {what} change with what follows the cutoff: {shown}"
    return Finding("prepare", check, change.column, change.series, change.first_time, change.effect, detail)


def known_checks(
    pipeline: Pipeline, features: pd.DataFrame, altered: pd.DataFrame, known: Sequence[Hashable], ahead: int
) -> list[Check]:
    """Known columns of the `ahead` steps after the cutoff must not be made of anything that is unknown then."""
    listed, cut = [label for label in known if label in features.columns], pipeline.cut
    if not listed:
        return []
    name = "known columns are not made of later targets"

    def rows(whole: pd.DataFrame) -> pd.DataFrame:
        steps = cut.steps_after(whole)
        near = whole[(steps > 0) & (steps <= ahead)]
        return keyed(near, cut.series, cut.time)[listed]

    found = changes(rows(features), rows(altered), len(cut.series), ROUNDING)
    text = "a column declared as known beforehand changes with unknown values after the cutoff"
    findings = tuple(
        Finding("prepare", name, c.column, c.series, c.first_time, c.effect, f"{c.unit}; {text}") for c in found
    )
    return [Check("prepare", name, len(listed), findings, f"the first {ahead} steps after the cutoff")]


# --- stage "split" ---------------------------------------------------------------------------------------------------


def split_checks(pipeline: Pipeline, features: pd.DataFrame, altered: pd.DataFrame) -> list[Check]:
    """Training rows must all lie up to the cutoff, be known by then, be tested on nowhere, and stay as they are.

    features, altered: what the pipeline made of the frame, and of one with other values after the cutoff.
    """
    cut = pipeline.cut
    train, test = pipeline.parts(features)
    after = cut.after(train)
    text = "lie after the cutoff"
    tested = row_times(test, cut.time)
    if after.any() and len(test) and tested.min() <= cut.at(tested):
        text += "; test rows lie before it, as in a shuffled split"
    checks = [
        _rows_check("training rows end at the cutoff", cut, train, after, text),
        _rows_check("no row in both parts", cut, train, _in_both(cut, train, test), "stand in the test part too"),
        _change_check(pipeline, features, altered),
    ]
    if cut.known_at is not None and cut.known_at in train.columns:
        text = f"became known after the cutoff (column {cut.known_at!r}): later revisions, or late arrivals"
        revised = cut.revised(train)
        checks.append(_rows_check("training rows were known at the cutoff", cut, train, revised, text, cut.known_at))
    return checks


def _change_check(pipeline: Pipeline, features: pd.DataFrame, altered: pd.DataFrame) -> Check:
    """A split may compute, too. What had changed before it came is the pipeline's finding, not the split's."""
    name, n_series = "training rows do not know what follows", len(pipeline.cut.series)
    train, again, other = (pipeline.past(pipeline.parts(frame)[0]) for frame in (features, features, altered))
    if changes(train, again, n_series):
        return Check("split", name, open="split is not deterministic: nothing can be concluded")
    before = {change.column for change in changes(pipeline.past(features), pipeline.past(altered), n_series, ROUNDING)}
    found = [c for c in changes(train, other, n_series, ROUNDING) if c.column not in before]
    text = "changes with values after the cutoff"
    return Check(
        "split",
        name,
        1,
        tuple(Finding("split", name, c.column, c.series, c.first_time, c.effect, f"{c.unit}; {text}") for c in found),
    )


def _in_both(cut: Cut, train: pd.DataFrame, test: pd.DataFrame) -> np.ndarray:
    """Whether each training row's series and time stand in the test part too, with whatever values."""
    keys = [
        pd.MultiIndex.from_arrays([*[part[label] for label in cut.series], row_times(part, cut.time)])
        for part in (train, test)
    ]
    return keys[0].isin(keys[1]) if len(test) else np.zeros(len(train), dtype=bool)


def _rows_check(
    name: str, cut: Cut, train: pd.DataFrame, wrong: np.ndarray, text: str, column: Hashable = None
) -> Check:
    note = f"{len(train)} training rows"
    if not wrong.any():
        return Check("split", name, note=note)
    rows = train[wrong]
    times = row_times(rows, cut.time)
    first = int(np.argmin(times))
    names = tuple(rows[label].iloc[first] for label in cut.series)
    detail = f"of the training rows: {wrong.sum()} {text}"
    finding = Finding("split", name, column, one_name(names), times[first], float(wrong.mean()), detail)
    return Check("split", name, 1, (finding,), note)
