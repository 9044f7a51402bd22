"""How much forecasts of one and the same day change from origin to origin: the stability of a forecast."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hourglass_ts.errors import DataError, Problem, SettingsError, raise_problem, raise_problems
from hourglass_ts.metrics.arrays import aligned, check_no_negative, quotient

LEAD = "lead"
PREVIOUS, REVISION = "previous_origin", "revision"
PAIRS, CHANGE, SQUARED, SCALED = "pairs", "MAC", "RMSC", "MASC"


def revisions(
    forecasts: pd.DataFrame, *, keys: Sequence[Hashable], origin: Hashable, forecast: Hashable
) -> pd.DataFrame:
    """From one origin to the next, how far the forecast of the same target moved.

    `keys` are the columns that together name a target, such as series, time and model. A pair of neighbouring origins
    in which a forecast is NaN is left out; a target forecast from one origin has no pair.

    Returns:
        One row per pair: the keys, the newer origin, its `lead` where the frame has one, `previous_origin`, and
        `revision`, new minus previous. Targets in the order in which they come, origins from old to new.

    Raises:
        DataError: a column is missing, a target has two forecasts from one origin, an origin is missing, or a forecast
            is no finite number.
        SettingsError: `keys` is empty.

    Example:
        >>> table = pd.DataFrame({"day": [3, 3, 4], "origin": [1, 2, 2], "forecast": [5.0, 7.0, 1.0]})
        >>> revisions(table, keys=["day"], origin="origin", forecast="forecast").to_dict("records")
        [{'day': 3, 'origin': 2, 'previous_origin': 1, 'revision': 2.0}]
    """
    if not len(keys):
        raise_problem(SettingsError, Problem("no keys", "the columns that name a target", "Pass, say, ['time']."))
    _check_columns(forecasts, [*keys, origin, forecast], made=(PREVIOUS, REVISION))
    values = aligned(forecast=forecasts[forecast])["forecast"]
    newer, older = _neighbours(forecasts, keys, origin)
    change = values[newer] - values[older]
    known = ~np.isnan(change)
    kept = [*keys, origin, *([LEAD] if LEAD in forecasts.columns else [])]
    result = forecasts[list(dict.fromkeys(kept))].iloc[newer[known]].reset_index(drop=True)
    previous = forecasts[origin].iloc[older[known]].reset_index(drop=True)
    return result.assign(**{PREVIOUS: previous, REVISION: change[known]})


def revision_scores(
    revised: pd.DataFrame, *, by: Sequence[Hashable] = (), scale: float | pd.Series | None = None
) -> pd.DataFrame:
    """Sizes of the revisions that `revisions` gives, over all of them or by columns such as series or model.

    `scale` divides the mean absolute change: one number, or a Series by the values of `by`, such as every series'
    `seasonal_naive_mae` in training. Groups of `scale` without a pair, and frames without one, score NaN.

    Returns:
        One row per group: `by`, `pairs` (their number), `MAC` (mean absolute change), `RMSC` (root mean squared change)
        and, with a scale, `MASC` (mean absolute scaled change).

    Raises:
        DataError: a column is missing, or a scale is negative or given twice.
        SettingsError: `scale` is a Series of other levels than `by`.

    Example:
        >>> table = pd.DataFrame({"series": ["a", "a", "b"], "revision": [1.0, -7.0, 2.0]})
        >>> revision_scores(table, by=["series"], scale=pd.Series({"a": 2.0, "b": 1.0}))
          series  pairs  MAC  RMSC  MASC
        0      a      2  4.0   5.0   2.0
        1      b      1  2.0   2.0   2.0
    """
    _check_columns(revised, [*by, REVISION], made=(PAIRS, CHANGE, SQUARED, SCALED))
    change = aligned(revision=revised[REVISION])["revision"]
    sizes = pd.DataFrame({PAIRS: ~np.isnan(change), CHANGE: np.abs(change), SQUARED: change**2}, index=revised.index)
    table = _by_group(sizes, revised, by)
    table[SQUARED] = np.sqrt(table[SQUARED])
    if scale is None:
        return _flat(table, by)
    if isinstance(scale, pd.Series):
        _check_scale(scale, by)
        table = table.reindex(table.index.append(scale.index.difference(table.index, sort=False)))
        scale = scale.reindex(table.index)
    divisors = aligned(scale=scale)["scale"]
    check_no_negative(scale=divisors)
    table[SCALED] = quotient(table[CHANGE].to_numpy(), divisors)
    return _flat(table, by)


def _neighbours(
    forecasts: pd.DataFrame, keys: Sequence[Hashable], origin: Hashable
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows of every pair of neighbouring origins of one target: the newer ones, the older ones."""
    _check_known(forecasts, [*keys, origin])
    target = forecasts.groupby(list(keys), sort=False, observed=True).ngroup().to_numpy()
    issued, origins = _ordered(forecasts, origin)
    place = target * len(origins) + issued
    order = np.argsort(place, kind="stable")
    repeated = order[1:][np.diff(place[order]) == 0]
    if repeated.size:
        row = forecasts.iloc[repeated[0]]
        problem = Problem(
            f"two forecasts of {', '.join(f'{label}={row[label]}' for label in keys)} from one origin",
            "one",
            "Add the column that tells them apart, such as the model, to the keys.",
            column=origin,
            at=row[origin],
        )
        raise_problem(DataError, problem)
    same = np.diff(target[order]) == 0
    return order[1:][same], order[:-1][same]


def _ordered(forecasts: pd.DataFrame, origin: Hashable) -> tuple[NDArray[np.intp], pd.Index]:
    try:
        return pd.factorize(forecasts[origin], sort=True)
    except TypeError:
        problem = Problem("values that have no order", "times of one kind", "Convert them.", column=origin)
        raise_problem(DataError, problem)


def _by_group(sizes: pd.DataFrame, revised: pd.DataFrame, by: Sequence[Hashable]) -> pd.DataFrame:
    how = {PAIRS: "sum", CHANGE: "mean", SQUARED: "mean"}
    if not len(by):
        return sizes.agg(how).to_frame().T
    return sizes.groupby([revised[label] for label in by], sort=False, observed=True, dropna=False).agg(how)


def _flat(table: pd.DataFrame, by: Sequence[Hashable]) -> pd.DataFrame:
    table = table.assign(**{PAIRS: table[PAIRS].fillna(0).astype("int64")})
    return table.rename_axis(index=list(by)).reset_index() if len(by) else table


def _check_columns(frame: pd.DataFrame, labels: Sequence[Hashable], made: Sequence[str]) -> None:
    own = list(frame.columns)
    found = [
        Problem(f"{own.count(label)} columns of this name", "one", "Name a column of the frame.", column=label)
        for label in dict.fromkeys(labels)
        if own.count(label) != 1
    ]
    taken = [
        Problem("a name that the result's own columns have", "another name", "Rename it.", column=label)
        for label in dict.fromkeys(labels)
        if label in made
    ]
    raise_problems(DataError, found + taken)


def _check_known(forecasts: pd.DataFrame, labels: Sequence[Hashable]) -> None:
    gaps = {label: int(forecasts[label].isna().sum()) for label in labels}
    raise_problems(
        DataError,
        [
            Problem(f"{count} missing values", "none", "Fill them, or leave these rows out.", column=label)
            for label, count in gaps.items()
            if count
        ],
    )


def _check_scale(scale: pd.Series, by: Sequence[Hashable]) -> None:
    if scale.index.nlevels != len(by):
        problem = Problem(
            f"a scale by {scale.index.nlevels} levels", f"one by {list(by)}", "Index the scale by what `by` names."
        )
        raise_problem(SettingsError, problem)
    twice = scale.index[scale.index.duplicated()]
    if len(twice):
        problem = Problem(f"two scales for {twice[0]!r}", "one per group", "Keep one of them.")
        raise_problem(DataError, problem)
