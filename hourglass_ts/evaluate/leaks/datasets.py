"""The leak audit of a `TimeSeriesDataSet`: its statistics and windows must come from rows up to the cutoff."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from pytorch_forecasting import TimeSeriesDataSet
from pytorch_forecasting.data.encoders import EncoderNormalizer, MultiNormalizer

from hourglass_ts.errors import DataError, Problem
from hourglass_ts.evaluate.leaks.result import AuditResult, Check, Finding

ROUNDING = 1e-9
COUNT = "n_samples_seen_"  # how many rows a scaler saw says nothing of what it learnt


def audit_dataset(training: TimeSeriesDataSet, df: pd.DataFrame, cutoff: Any) -> AuditResult:
    """Audit the data set that a model is trained on: scalers, normalisers, encoders, and where its windows end.

    A data set with the same settings is made of the rows up to the cutoff alone; fitted numbers must be the same.

    Args:
        training: the data set.  df: the whole frame with its columns, later rows too.  cutoff: the last step that is
            past, counted as in the data set's `time_idx`.

    Raises:
        DataError: no data set can be made of the rows up to the cutoff.

    Example:
        >>> df = pd.DataFrame({"t": range(40), "y": [float(n) for n in range(40)], "id": "a"})
        >>> settings = {"time_idx": "t", "target": "y", "group_ids": ["id"], "time_varying_unknown_reals": ["y"]}
        >>> data = TimeSeriesDataSet(df, max_encoder_length=8, max_prediction_length=2, **settings)
        >>> audit_dataset(data, df, cutoff=29).findings["column"].tolist()
        ['y', None]
    """
    rebuilt = _rebuilt(training, df, cutoff)
    return AuditResult((_statistics_check(training, rebuilt), _window_check(training, cutoff)))


def _rebuilt(training: TimeSeriesDataSet, df: pd.DataFrame, cutoff: Any) -> TimeSeriesDataSet:
    parameters = training.get_parameters()
    for name in ("scalers", "categorical_encoders"):
        parameters[name] = {key: _unfitted(part) for key, part in parameters[name].items()}
    parameters["target_normalizer"] = _unfitted(parameters["target_normalizer"])
    early = df[df[training.time_idx] <= cutoff].copy()
    try:
        with warnings.catch_warnings():  # series that begin later make no window
            warnings.simplefilter("ignore")
            return TimeSeriesDataSet.from_parameters(parameters, early)
    except (AssertionError, KeyError, ValueError) as error:
        found = f"rows up to {cutoff} that make no data set ({error})"
        hint = "Pass the frame that the data set was made of, and a later cutoff."
        raise DataError(str(Problem(found, "enough rows for one window", hint, column=training.time_idx))) from error


def _unfitted(part: Any) -> Any:
    """A copy without what was fitted; scikit-learn's `clone` refuses upstream's normalisers."""
    if isinstance(part, MultiNormalizer):
        return MultiNormalizer([_unfitted(each) for each in part.normalizers])
    unfitted = copy.deepcopy(part)
    for name in _fitted(part):
        delattr(unfitted, name)
    return unfitted


def _statistics_check(training: TimeSeriesDataSet, rebuilt: TimeSeriesDataSet) -> Check:
    name = "scalers, normalisers and encoders know rows up to the cutoff alone"
    pairs = list(_fitted_pairs(training, rebuilt))
    findings = []
    for what, column, own, other in pairs:
        gaps = {label: _gap(own[label], other.get(label)) for label in own if label != COUNT}
        worst = max(gaps, key=lambda label: gaps[label], default=None)
        if worst is not None and gaps[worst] > ROUNDING:
            text = f"of itself: `{worst}` of the {what} is {_shown(own[worst])}, and {_shown(other.get(worst))} from "
            detail = text + "rows up to the cutoff"
            findings.append(Finding("dataset", name, column, effect=gaps[worst], detail=detail))
    return Check("dataset", name, len(pairs), tuple(findings))


def _fitted_pairs(
    training: TimeSeriesDataSet, rebuilt: TimeSeriesDataSet
) -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """What is fitted, of which column, and the fitted numbers of both data sets."""
    normalizers = zip(training.target_names, training.target_normalizers, rebuilt.target_normalizers, strict=True)
    for column, own, other in normalizers:
        if not isinstance(own, EncoderNormalizer):  # which is fitted on every window anew
            yield f"target normaliser {type(own).__name__}", column, _fitted(own), _fitted(other)
    for kind, own, other in (
        ("scaler", training._scalers, rebuilt._scalers),
        ("encoder", training._categorical_encoders, rebuilt._categorical_encoders),
    ):
        for column in own:
            if column.startswith("__group_id__") or isinstance(own[column], EncoderNormalizer):
                continue
            yield f"{kind} {type(own[column]).__name__}", column, _fitted(own[column]), _fitted(other.get(column))
    for column in training.group_ids:
        key = f"__group_id__{column}"
        own, other = (_fitted(each._categorical_encoders[key]) for each in (training, rebuilt))
        yield "numbering of the series", column, own, other


def _fitted(part: Any) -> dict[str, Any]:
    """The fitted attributes: their names end with an underscore, as in scikit-learn."""
    named = vars(part) if part is not None else {}
    return {name: value for name, value in named.items() if name.endswith("_") and name[0] != "_"}


def _gap(one: Any, two: Any) -> float:
    """How far two fitted values lie apart, relative to the first; 1 for levels that differ."""
    if isinstance(one, pd.DataFrame) and isinstance(two, pd.DataFrame):
        if not one.index.equals(two.index):
            return 1.0
        return _gap(one.to_numpy(), two.to_numpy())
    if isinstance(one, dict) and isinstance(two, dict):
        if one.keys() != two.keys():
            return 1.0
        return max((_gap(one[key], two[key]) for key in one), default=0.0)
    try:
        own, other = np.asarray(one, dtype=float), np.asarray(two, dtype=float)
    except (TypeError, ValueError):
        return float(not np.array_equal(np.asarray(one, dtype=object), np.asarray(two, dtype=object)))
    if own.shape != other.shape:
        return 1.0
    gaps = np.abs(own - other) / np.maximum(np.abs(own), 1e-12)
    return float(np.where(np.isnan(own) & np.isnan(other), 0.0, np.nan_to_num(gaps, nan=1.0)).max(initial=0.0))


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        labels = [str(label) for label in value]
        return f"{len(labels)} levels, the last {labels[-1]!r}" if labels else "empty"
    if isinstance(value, pd.DataFrame):
        return f"{len(value)} groups, the first {value.iloc[0].round(4).to_dict()}"
    flat = np.asarray(value).ravel()
    return f"{flat[0]:.4g}" if flat.size and flat.dtype.kind in "iuf" else str(value)


def _window_check(training: TimeSeriesDataSet, cutoff: Any) -> Check:
    name = "windows of training end at the cutoff"
    last = training.decoded_index["time_idx_last"]
    late = last > cutoff
    if not late.any():
        return Check("dataset", name, len(last))
    text = f"of the windows: {int(late.sum())} have targets after the cutoff"
    first = last[late].min()
    return Check("dataset", name, len(last), (Finding("dataset", name, None, None, first, float(late.mean()), text),))
