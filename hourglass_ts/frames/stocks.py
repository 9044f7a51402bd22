"""Daily bars of stocks: from prices as they were traded to returns and volatility, to a model's columns, and back."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

from hourglass_ts.errors import DataError, NotFittedError, Problem, SettingsError, raise_problem, raise_problems
from hourglass_ts.frames.features import SessionFeature, TimeFeature, TradingDayFeature
from hourglass_ts.frames.market.bars import MADE, SESSION, UNITS, make_columns
from hourglass_ts.frames.market.columns import (
    PARTS,
    PRICES,
    currency_notes,
    currency_problems,
    event_notes,
    fault_problems,
    find_parts,
    holds_numbers,
    impossible,
    number_problems,
    span_notes,
    split_notes,
    split_problems,
    twin_notes,
    without_bars,
)
from hourglass_ts.frames.market.scale import factors_of, names_of, owner_of, rescaled
from hourglass_ts.frames.pipelines import in_columns
from hourglass_ts.frames.plain import from_plain, to_plain
from hourglass_ts.frames.sessions import exchange_code
from hourglass_ts.frames.wording import show_time

LOGARITHMS = ("adjusted_close", "range_variance", "volatility", "ewma_volatility", "realised_volatility")
FLOOR = 1e-3  # of the median: what a variance of nothing is taken for, since it has no logarithm
LARGEST_LOGARITHM = 700.0
FAULTS = ("refuse", "nan")
OF_ALL_BEFORE = ("adjusted_close", "ewma_volatility", "return_score")  # of a part of the rows they are others
LOOSE = 0.5  # relative: how far these may be from the made ones before they are told
OF_WINDOWS = ("realised_volatility", "volume_score")


class Reading(NamedTuple):
    """A tidy frame, its columns of time and series, and what was found on the way."""

    frame: pd.DataFrame
    time: Hashable
    series: list[Hashable]
    notes: tuple[str, ...]


# None: scikit-learn would rename and reindex the frames of `transform` where its output is set to pandas. Its class
# keyword is unknown to mypy, which sees no scikit-learn.
class StockPipeline(TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):  # type: ignore[call-arg]
    """Prices, returns and volatility of stocks from daily bars: one row per series and session.

    `tidy` adds to the given columns, each row from itself and those before it, in percent where they are returns:
    `adjusted_close` (as given, else made forward from prices as traded, `split` and `dividend`, starting at the first
    close), `return` (100 × its log return since the last close before), `range_variance` (percent²) and `volatility`
    (its root, percent) of the session, `ewma_volatility` (decay .94), `realised_volatility` (percent per session:
    Yang-Zhang over the window; from closes alone, their deviation), `absolute_return`, `negative_return` (0 where
    positive), `return_score` (over the `ewma_volatility` of the session before), `log_volume`, and `volume_score`
    (standardised by the window before it).

    As targets, prices and volatilities are logarithms to the model. A price forecast is then the last price times the
    exponential of the log return accumulated up to its lead, and so are its quantiles. No half-variance drift is added:
    the forecast is the median path, and a zero expected log return is a random walk in logs.

    Args:
        time, series: columns of the session's day and of the name; None: an index of times or the only column of dates,
            and one name.
        exchange: whose sessions the rows are, which needs the extra `calendars`; pass None for what trades every day.
        columns: the column of a part whose label is not understood: {"close": "Schluss"}.
        volatility: of a session: "garman-klass-yang-zhang" adds the squared jump overnight to "garman-klass"; the other
            ranges are of the trading day alone: "parkinson", "rogers-satchell"; "close-to-close" is the squared return.
        window: sessions of the rolling columns.
        faults: bars that cannot be (high below low, a close outside them, a price of 0 or infinite): "refuse", or
            "nan" takes them out and says so.

    Fitted attributes: `notes_` what was found; `parts_` which column is what; `floors_` what a volatility of nothing is
    taken for; `factors_` the made adjusted close over the close, which later frames of the same series go on with.

    Example:
        >>> days = pd.bdate_range("2024-01-01", periods=4)
        >>> df = pd.DataFrame({"day": days, "close": [100.0, 110.0, 99.0, 99.0]})
        >>> StockPipeline(exchange=None).tidy(df)["return"].round(2).tolist()
        [nan, 9.53, -10.54, 0.0]
    """

    kind: ClassVar[str] = "stocks"

    def __init__(
        self,
        time: Hashable = None,
        series: Any = None,
        *,
        exchange: str | None = "XNYS",
        columns: Mapping[str, Hashable] | None = None,
        volatility: str = "garman-klass-yang-zhang",
        window: int = 22,
        faults: str = "refuse",
    ) -> None:
        self.time = time
        self.series = series
        self.exchange = exchange
        self.columns = columns
        self.volatility = volatility
        self.window = window
        self.faults = faults

    @property
    def freq(self) -> str | None:
        """The exchange whose sessions the rows are."""
        return self.exchange

    @property
    def features(self) -> tuple[TimeFeature, ...]:
        """Weekday and place in the month; of an exchange, half days and closed days before and after, too."""
        days = TradingDayFeature(self.exchange)
        return (days,) if self.exchange is None else (SessionFeature(self.exchange), days)

    def tidy(self, df: pd.DataFrame) -> pd.DataFrame:
        """Give the columns with those made from them, sorted by series and time; a tidy frame comes back as it is.

        Raises:
            DataError: with every problem of the frame. SettingsError: with every problem of the settings.
        """
        return self._read(df).frame

    def report(self, df: pd.DataFrame) -> tuple[str, ...]:
        """Say what a frame holds: unknown columns, splits, series that come, go and pause, bars that are taken out."""
        return self._read(df).notes

    def fit(self, df: pd.DataFrame, y: Any = None) -> StockPipeline:
        """Learn what a volatility of nothing is taken for: a thousandth of the training rows' median.

        Raises as `tidy`, and DataError for a frame without closing prices or without a column that `columns` names.
        """
        tidy, time, series, notes = self._read(df, fitted=False)
        raise_problems(DataError, self._missing(tidy))
        volatile = [label for label in LOGARITHMS if label in tidy and label != "adjusted_close"]
        medians = {label: float(tidy[label].where(tidy[label] > 0).median()) for label in volatile}
        self.floors_: dict[Hashable, float] = {
            label: FLOOR * (1.0 if np.isnan(median) else median) for label, median in medians.items()
        }
        self.names_ = [label for label in tidy.columns if label not in (time, *series)]
        self.parts_ = find_parts(self.names_, self.columns)
        self.factors_ = factors_of(tidy, self.parts_, time, series)
        self.notes_ = notes
        return self

    def transform(self, df: pd.DataFrame) -> pd.DataFrame:
        """Give tidy columns with logarithms of prices, volatilities and volume.

        A volatility below its floor is taken for the floor, with a warning.
        """
        self._check_fitted()
        out = self.tidy(df)
        clipped: dict[Hashable, int] = {
            label: int((out[label] < floor).sum()) for label, floor in self.floors_.items() if label in out
        }
        for label in self._logarithms(out):
            out[label] = np.log(out[label].clip(lower=self.floors_.get(label)))
        for label in self._volume(out):
            out[label] = np.log1p(out[label].astype("float64"))
        out.attrs.pop("units", None)  # they are those of the tidy columns
        _tell(clipped, "of nearly 0 taken for their floor, since 0 has no logarithm")
        return out

    def inverse_transform(self, df: pd.DataFrame) -> pd.DataFrame:
        """Give the tidy columns back; a volatility that was below its floor comes back as the floor.

        Logarithms beyond those of any number, and of volumes below 0, are clipped with a warning. Raises DataError for
        a column that holds no numbers.
        """
        self._check_fitted()
        out = df.copy()
        volume = self._volume(df)
        labels = [*self._logarithms(df), *volume]
        raise_problems(DataError, number_problems(df, {str(place): label for place, label in enumerate(labels)}))
        clipped: dict[Hashable, int] = {}
        for label in labels:
            given = df[label].astype("float64")
            inside = given.clip(0.0 if label in volume else -LARGEST_LOGARITHM, LARGEST_LOGARITHM)
            clipped[label] = int((inside != given).sum() - given.isna().sum())
            out[label] = np.expm1(inside) if label in volume else np.exp(inside)
        _tell(clipped, "beyond the range of their logarithms put at its end")
        return out

    def get_feature_names_out(self, input_features: Sequence[Hashable] | None = None) -> np.ndarray:
        """Name the columns of `transform`."""
        self._check_fitted()
        return np.array(self.names_, dtype=object)

    def outputs_of(self, label: Hashable) -> tuple[Hashable, ...]:
        """Every column keeps its name."""
        return (label,)

    def keeps_order(self, label: Hashable) -> bool:
        """Logarithms keep the order of all columns."""
        return True

    def bounds_of(self, label: Hashable) -> tuple[float, float]:
        """Prices, volatilities, volumes and sizes of returns are 0 or more, negative returns 0 or less."""
        if label == "negative_return":
            return -np.inf, 0.0
        of_a_part = not self._parts([label]).keys() <= {"currency"}
        return (0.0 if of_a_part or label in (*LOGARITHMS, "absolute_return") else -np.inf), np.inf

    def to_json(self) -> dict[str, Any]:
        """Give parameters and what was learnt as plain JSON values."""
        self._check_fitted()
        names = ("floors", "names", "notes", "parts", "factors")
        learnt = {name: getattr(self, f"{name}_") for name in names}
        return {"params": to_plain(self.get_params(deep=False)), "learnt": to_plain(learnt)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> StockPipeline:
        """Rebuild what `to_json` gave."""
        made, learnt = cls(**from_plain(fields["params"])), from_plain(fields["learnt"])
        for name, value in learnt.items():
            setattr(made, f"{name}_", value)
        return made

    def _check_fitted(self) -> None:
        if not hasattr(self, "floors_"):
            found = "a StockPipeline that was not fitted"
            raise_problem(NotFittedError, Problem(found, "a fitted one", "Call fit(df)."))

    def _logarithms(self, df: pd.DataFrame) -> list[Hashable]:
        """The columns that become logarithms: prices, and what is made of them."""
        prices = [label for part, label in self._parts(df.columns).items() if part in PRICES]
        return list(dict.fromkeys([*prices, *(label for label in LOGARITHMS if label in df)]))

    def _volume(self, df: pd.DataFrame) -> list[Hashable]:
        return [label for part, label in self._parts(df.columns).items() if part == "volume"]

    def _parts(self, labels: Iterable[Hashable], fitted: bool = True) -> dict[str, Hashable]:
        """Which of these labels is what: as learnt, since a part that lacks must not be taken for another column."""
        if not fitted or not hasattr(self, "parts_"):
            return find_parts(labels, self.columns)
        labels = list(labels)
        return {part: label for part, label in self.parts_.items() if label in labels}

    def _read(self, df: pd.DataFrame, fitted: bool = True) -> Reading:
        """The tidy frame, and what was found on the way.  fitted: whether what was learnt, if anything, counts."""
        raise_problems(SettingsError, self._setting_problems())
        frame, time, series = in_columns(df, self.time, self.series)
        parts = self._parts([label for label in frame.columns if label not in (time, *series)], fitted)
        kinds = [*number_problems(frame, parts), *_time_problems(frame, time), *_double_problems(frame, time, series)]
        raise_problems(DataError, kinds)
        frame = frame.sort_values([*series, time], kind="stable", ignore_index=True)
        owner = owner_of(frame, series)
        names = names_of(frame, series, owner)
        frame = frame.astype({parts[part]: "float64" for part in PRICES if part in parts})
        faults = list(impossible(frame, parts))
        found = list(fault_problems(frame, faults, time, owner, names))
        problems = [*found] if self.faults == "refuse" else []
        problems += split_problems(without_bars(frame, faults, parts), parts, time, owner, names)
        if "currency" in parts:
            problems += currency_problems(frame, parts["currency"], time, owner, names)
        raise_problems(DataError, problems)
        notes = [str(replace(problem, next_step="Taken out.")) for problem in found]
        frame = without_bars(frame, faults, parts)
        made = make_columns(frame, parts, owner, self.volatility, self.window)
        strange, differing = _strangers(frame, parts, made, time, owner, names)
        if fitted and "adjusted_close" in made and hasattr(self, "factors_"):
            made["adjusted_close"], lost = rescaled(
                made["adjusted_close"], self.factors_, frame, parts, time, series, owner
            )
            strange += lost
        raise_problems(DataError, strange)
        others = [label for label in frame.columns if label not in (*parts.values(), time, *series)]
        twins = twin_notes(others, parts)
        unknown = [label for label in others if label not in (*MADE, *twins)]
        frame = frame.assign(**{label: made[label] for label in made if label not in frame})
        notes += [f"{label!r} is no column that stocks are known to have: passed on untouched" for label in unknown]
        notes += [
            *twins.values(),
            *differing,
            *event_notes(frame, parts),
            *split_notes(frame, parts, time, owner, names),
        ]
        notes += span_notes(frame, time, owner, names)
        if "currency" in parts:
            notes += currency_notes(frame, parts["currency"], owner, names)
        given = df.attrs.get("units", {})
        units = {**UNITS, "adjusted_close": given.get(parts.get("close")), **given}
        frame.attrs["units"] = {label: unit for label, unit in units.items() if label in frame and unit is not None}
        return Reading(frame, time, series, tuple(notes))

    def _missing(self, tidy: pd.DataFrame) -> list[Problem]:
        """What training rows lack."""
        problems = [
            Problem(f"no such column for the {part}", "one of the frame's columns", "Correct `columns`.", column=label)
            for part, label in (self.columns or {}).items()
            if label not in tidy.columns
        ]
        if "return" not in tidy.columns:
            hint = (
                'Name theirs: columns={"close": ...}. Of a wide frame, first make one row per name and day with melt.'
            )
            problems.append(Problem("no closing prices", "a column of them, such as 'close'", hint))
        return problems

    def _setting_problems(self) -> list[Problem]:
        problems = []
        for name, options in {"volatility": list(SESSION), "faults": list(FAULTS)}.items():
            given = getattr(self, name)
            if not isinstance(given, str) or given not in options:
                problems.append(Problem(f"{name}={given!r}", f"one of {options}", "Pass one of them."))
        if isinstance(self.window, bool) or not isinstance(self.window, (int, np.integer)) or self.window < 2:
            problems.append(Problem(f"window={self.window!r}", "2 sessions or more", "Pass for example 22."))
        if self.exchange is not None and not isinstance(self.exchange, str):
            problems.append(Problem(f"exchange={self.exchange!r}", "a code such as 'XNYS', or None", "Pass one."))
        elif self.exchange is not None and exchange_code(self.exchange) is None:
            hint = "Pass None for what trades on no exchange."
            problems.append(Problem(f"exchange={self.exchange!r}", "a code such as 'XNYS', or None", hint))
        if self.columns is not None and not _names_parts(self.columns):
            expected = f"a dict from some of {list(PARTS)} to a column for each"
            problems.append(Problem(f"columns={self.columns!r}", expected, "Correct it, or leave it out."))
        return problems


def _names_parts(columns: Any) -> bool:
    if not isinstance(columns, Mapping) or not set(columns) <= set(PARTS):
        return False
    labels = list(columns.values())
    return all(isinstance(label, Hashable) and labels.count(label) == 1 for label in labels)


def _time_problems(frame: pd.DataFrame, time: Hashable) -> list[Problem]:
    dtype = frame[time].dtype
    if dtype.kind == "M":
        return []
    hint = "Convert them with pd.to_datetime."
    return [Problem(f"times of type {dtype}", "the day of every session", hint, column=time)]


def _double_problems(frame: pd.DataFrame, time: Hashable, series: list[Hashable]) -> list[Problem]:
    doubled = frame.duplicated([*series, time])
    if not doubled.any():
        return []
    first = frame[doubled].iloc[0]
    name = " ".join(str(first[label]) for label in series)
    found = f"{doubled.sum():,} row(s) for a series and day that are there already"
    hint = "Drop them." if series else "Drop them, or name the column that tells series apart: `series`."
    return [Problem(found, "one row each", hint, column=time, series=name or None, at=show_time(first[time]))]


def _strangers(
    frame: pd.DataFrame,
    parts: Mapping[str, Hashable],
    made: pd.DataFrame,
    time: Hashable,
    owner: pd.Series,
    names: list[str],
) -> tuple[list[Problem], list[str]]:
    """The user's columns that have the name of one that is made: those that hold something else, and notes on others.

    Some rows may differ: where rows between were left out, or prices corrected.
    """
    problems, notes = [], []

    def stranger(rows: pd.Series, expected: Any, what: str = "") -> Problem:
        first = int(rows.to_numpy().argmax())
        return Problem(
            f"{frame[label][first]:g} in a column with the name of one that is made, and {rows.sum():,} such row(s)",
            expected if isinstance(expected, str) else f"{expected[first]:g}",
            f"Rename the column{what}.",
            column=label,
            series=names[owner[first]] or None,
            at=show_time(frame[time][first]),
        )

    for label in MADE:
        if label not in frame or label in parts.values():
            continue
        if not holds_numbers(frame[label]):
            found = f"values of type {frame[label].dtype} in a column with the name of one that is made"
            problems.append(Problem(found, "numbers", "Rename the column.", column=label))
            continue
        given = frame[label].astype("float64")
        below = given <= 0 if label == "adjusted_close" else given < 0
        if label in LOGARITHMS and below.any():
            problems.append(stranger(below, "what has a logarithm"))
        elif label in made:
            loose = LOOSE if label in OF_ALL_BEFORE else 1e-6
            differ = (given - made[label]).abs() > loose * made[label].abs() + 1e-6
            most = 2 * differ.sum() > (given - made[label]).notna().sum()
            if not differ.any() or (label in OF_ALL_BEFORE and not most):
                continue
            problem = stranger(differ, made[label], ", or pass the settings that it was made with")
            if most and label not in (*OF_WINDOWS, *OF_ALL_BEFORE):
                problems.append(problem)
            else:
                notes.append(str(replace(problem, next_step="Kept as it is.")))
    return problems, notes


def _tell(counts: Mapping[Hashable, int], what: str) -> None:
    """One warning about all columns with values that were clipped."""
    listed = [f"{count:,} of {label!r}" for label, count in counts.items() if count]
    if listed:
        warnings.warn(f"values {what}: {', '.join(listed)}", stacklevel=3)
