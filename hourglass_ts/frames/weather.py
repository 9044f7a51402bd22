"""Weather stations: from raw rows to tidy variables in their units, to a model's columns, and back."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

from hourglass_ts.errors import DataError, NotFittedError, Problem, SettingsError, raise_problem, raise_problems
from hourglass_ts.frames.atmosphere.layout import Layout
from hourglass_ts.frames.atmosphere.moist_air import derived_columns
from hourglass_ts.frames.atmosphere.reading import Reading, read_weather
from hourglass_ts.frames.atmosphere.resampling import interval_days
from hourglass_ts.frames.atmosphere.settings import label_problems, setting_problems
from hourglass_ts.frames.atmosphere.transforms import Clock, Course, course_notes, cycle_counts
from hourglass_ts.frames.atmosphere.variables import find_columns
from hourglass_ts.frames.columns import to_numbers
from hourglass_ts.frames.features import TimeFeature
from hourglass_ts.frames.harmonics import HarmonicsFeature
from hourglass_ts.frames.plain import from_plain, to_plain
from hourglass_ts.frames.solar import SolarElevationFeature

FEATURE_HARMONICS = 2
LEARNT = ("time", "series", "names", "cycles", "derived", "notes")


# None: scikit-learn would rename and reindex the frames of `transform` where its output is set to pandas. Its class
# keyword is unknown to mypy, which sees no scikit-learn.
class WeatherPipeline(TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):  # type: ignore[call-arg]
    """Weather as stations write it → tidy variables → columns for a model, and forecasts back in the stations' units.

    `tidy` gives one column per variable, in its own unit and under its own label: sentinels are NaN, equal double rows
    left out, impossible values refused. `transform` gives the square root of winds, radiation and vapour deficits, the
    logarithm log(1 + x) of rain, snow and durations (0 stays 0), a logit of humidity and clouds, cosine and sine of
    directions; of all but rain, snow, durations, radiation and directions less their mean course of year and day.

    Args:
        time, series: columns; None: an index or the only column of dates, and one station.
        timezone: of the clock that naive times were read from, such as "Europe/Berlin"; None leaves them as they are.
        latitude, longitude: degrees, for the sun's elevation as a known column.
        columns: what a column is where its label does not say it: {"Feuchte": "humidity"}; None leaves it alone.
        units: of columns, such as {"temp": "°F"}, where neither `df.attrs["units"]` nor brackets in the label say it.
        sentinels: "auto": by `df.attrs["sentinels"]`, and by a list of nines outside a variable's bounds; or values, or
            a dict from columns to values; () for none.
        faults: impossible values and rows that contradict each other: "refuse", or "nan" takes them out and says so.
        resample: "h", "D" …: one row per interval, named by its end, when all of it is known; its `freq`. This has no
            way back. Months are "MS" for rows within the day, "ME" for daily ones.
        aggregate: other ways than the variables' own, or than the last value of unknown columns: {"temp": "median"}.
        wind: "speed" for speed and direction apart, or "components" u and v of both, which come back as the length and
            direction of the mean vector: a length below the mean speed.
        anomalies: False leaves the mean courses in.

    Fitted attributes: `notes_` what was found, assumed and left alone; `derived_` columns that follow from others.

    Example:
        >>> df = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=3), "rain (mm)": [0.0, -9999.0, 2.5]})
        >>> pipeline = WeatherPipeline().fit(df)
        >>> pipeline.transform(df)["rain (mm)"].round(2).tolist()
        [0.0, nan, 1.25]
        >>> pipeline.inverse_transform(pipeline.transform(df))["rain (mm)"].tolist()
        [0.0, nan, 2.5]
    """

    kind: ClassVar[str] = "weather"

    def __init__(
        self,
        time: Hashable = None,
        series: Any = None,
        *,
        timezone: str | None = None,
        latitude: float | None = None,
        longitude: float | None = None,
        columns: Mapping[Hashable, str | None] | None = None,
        units: Mapping[Hashable, str] | None = None,
        sentinels: Any = "auto",
        faults: str = "refuse",
        resample: str | None = None,
        aggregate: Mapping[Hashable, str] | None = None,
        wind: str = "speed",
        anomalies: bool = True,
    ) -> None:
        self.time = time
        self.series = series
        self.timezone = timezone
        self.latitude = latitude
        self.longitude = longitude
        self.columns = columns
        self.units = units
        self.sentinels = sentinels
        self.faults = faults
        self.resample = resample
        self.aggregate = aggregate
        self.wind = wind
        self.anomalies = anomalies

    @property
    def freq(self) -> str | None:
        """The interval of the tidy rows; None where they are the raw ones."""
        return self.resample

    @property
    def features(self) -> tuple[TimeFeature, ...]:
        """Harmonics of the cycles that the training rows show; the sun's elevation where a place is given."""
        self._check_fitted()
        made: list[TimeFeature] = [HarmonicsFeature(**self.cycles_)] if any(self.cycles_.values()) else []
        if self.latitude is not None and self.longitude is not None:
            place, ends = (float(self.latitude), float(self.longitude)), self.resample is not None
            made.append(SolarElevationFeature(*place, self.timezone, ends))
        return tuple(made)

    def tidy(self, df: pd.DataFrame) -> pd.DataFrame:
        """Give one column per variable, without what is no measurement; a tidy frame comes back as it is.

        Rows keep their order, but for `resample`, which sorts them. `attrs["units"]` gains the units. Settings may name
        columns that lack here, as a tidy frame can hold fewer: `fit` refuses them, and `report` says so.

        Raises:
            DataError: with every problem of the frame. SettingsError: with every problem of the settings.
        """
        return self._read(df, self._fitted_units()).frame

    def report(self, df: pd.DataFrame) -> tuple[str, ...]:
        """Say what a frame holds: unknown columns, units taken for granted, what was taken out, gaps."""
        read = self._read(df, self._fitted_units())
        lacking = label_problems(self, read.frame.columns)
        return (*read.notes, *(f"{problem.column!r}: {problem.found}" for problem in lacking))

    def fit(self, df: pd.DataFrame, y: Any = None) -> WeatherPipeline:
        """Learn units, cycles and mean courses of the training rows, raw or tidy."""
        tidy = self._read(df, {})
        raise_problems(SettingsError, label_problems(self, tidy.frame.columns))
        layout = Layout(tidy.columns, self.wind == "components", self._days())
        raise_problems(DataError, layout.clashes(tidy.frame))
        clock, seen = Clock.of(tidy.frame, tidy.time, tidy.keys), layout.forward(tidy.frame)
        with_course = [output for output in layout.owners if self.anomalies and layout.has_course(output)]
        self.courses_ = {output: Course.fit(clock, seen[output]) for output in with_course}
        self.cycles_ = cycle_counts(clock, FEATURE_HARMONICS)
        self.derived_, derived_notes = derived_columns(tidy.frame, tidy.columns)
        learnt_notes = [
            *layout.notes(tidy.frame),
            *course_notes(self.cycles_, len(with_course)),
            *self._sun_notes(tidy),
        ]
        self.notes_ = (*tidy.notes, *derived_notes, *learnt_notes)
        self.names_ = [label for label in seen if label not in (tidy.time, *tidy.keys)]
        self.time_, self.series_, self.layout_ = tidy.time, tidy.keys, layout
        return self

    def transform(self, df: pd.DataFrame) -> pd.DataFrame:
        """Give the columns for a model, row by row of `tidy(df)`. Raises as `tidy`."""
        self._check_fitted()
        tidy = self._read(df, self._fitted_units())
        clock, seen = Clock.of(tidy.frame, tidy.time, tidy.keys), self.layout_.forward(tidy.frame)
        for output in seen.keys() & self.courses_.keys():
            seen[output] = seen[output] - self.courses_[output].at(clock)
        return _frame(seen, tidy.frame)

    def inverse_transform(self, df: pd.DataFrame) -> pd.DataFrame:
        """Give the tidy columns back from those of `transform` that are there, with time and series columns.

        Exact to 1e-9. Numbers beyond a transform's range are put at its end, and a vector of no length has no
        direction (NaN): one warning counts both. What `resample` and `tidy` did has no way back.

        Raises:
            DataError: a column that is needed lacks, or holds no numbers.
        """
        self._check_fitted()
        raise_problems(DataError, self._inverse_problems(df))
        owners = self.layout_.owners
        seen = {label: to_numbers(df[label].reset_index(drop=True))[0] for label in df.columns if label in owners}
        courses = {label: self.courses_[label] for label in seen if label in self.courses_}
        if courses:
            clock = Clock.of(df, self.time_, self.series_)
            seen |= {label: seen[label] + course.at(clock) for label, course in courses.items()}
        made, words = self.layout_.backward(seen)
        if words:
            warnings.warn(f"of {len(df):,} rows: {'; '.join(words)}", stacklevel=2)
        columns: dict[Hashable, Any] = {}
        for label in df.columns:
            columns |= {own: made[own] for own in owners[label]} if label in seen else {label: df[label].array}
        return _frame(columns, df)

    def get_feature_names_out(self, input_features: Sequence[Hashable] | None = None) -> np.ndarray:
        """Name the columns of `transform`."""
        self._check_fitted()
        names = np.empty(len(self.names_), dtype=object)
        names[:] = self.names_
        return names

    def outputs_of(self, label: Hashable) -> tuple[Hashable, ...]:
        """Name the transformed columns of a tidy one: itself, cosine and sine of a direction, or u and v of a wind."""
        self._check_fitted()
        return self.layout_.outputs.get(label, (label,))

    def keeps_order(self, label: Hashable) -> bool:
        """Whether quantiles come back as quantiles: of all but directions, and of speeds that become u and v."""
        return len(self.outputs_of(label)) == 1

    def bounds_of(self, label: Hashable) -> tuple[float, float]:
        """What is physically possible of a tidy column, in its unit."""
        self._check_fitted()
        column = self.layout_.columns.get(label)
        return (-np.inf, np.inf) if column is None else column.bounds(self.layout_.days)

    def to_json(self) -> dict[str, Any]:
        """Give parameters and what was learnt as plain JSON values."""
        self._check_fitted()
        learnt = {name: getattr(self, f"{name}_") for name in LEARNT}
        courses = {label: dict(course.weights) for label, course in self.courses_.items()}
        return {
            "params": to_plain(self.get_params(deep=False)),
            "learnt": to_plain({**learnt, "courses": courses, "units": self._fitted_units()}),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> WeatherPipeline:
        """Rebuild what `to_json` gave."""
        made, learnt = cls(**from_plain(fields["params"])), from_plain(fields["learnt"])
        for name in LEARNT:
            setattr(made, f"{name}_", learnt[name])
        made.courses_ = {
            label: Course({name: np.array(own) for name, own in weights.items()})
            for label, weights in learnt["courses"].items()
        }
        columns, _ = find_columns(learnt["units"], made.columns or {}, learnt["units"])
        made.layout_ = Layout(columns, made.wind == "components", made._days())
        return made

    def _check_fitted(self) -> None:
        if not hasattr(self, "layout_"):
            found = "a WeatherPipeline that was not fitted"
            raise_problem(NotFittedError, Problem(found, "a fitted one", "Call fit(df)."))

    def _read(self, df: pd.DataFrame, fitted_units: Mapping[Hashable, str]) -> Reading:
        raise_problems(SettingsError, setting_problems(self))
        return read_weather(df, self, fitted_units)

    def _fitted_units(self) -> dict[Hashable, str]:
        columns = self.layout_.columns if hasattr(self, "layout_") else {}
        return {label: column.unit.symbol for label, column in columns.items()}

    def _days(self) -> int:
        return interval_days(self.resample) or 1

    def _sun_notes(self, tidy: Reading) -> list[str]:
        naive = pd.DatetimeIndex(tidy.frame[tidy.time]).tz is None
        if self.latitude is None or not naive:
            return []
        return [f"{tidy.time!r} has no time zone: taken for UTC to find the sun; pass timezone= otherwise"]

    def _inverse_problems(self, df: pd.DataFrame) -> list[Problem]:
        """What hinders the way back: columns of outputs that will not do, and no time for a mean course."""
        problems = self.layout_.inverse_problems(df)
        if any(label in df.columns for label in self.courses_):
            missing = [label for label in (self.time_, *self.series_) if label not in df.columns]
            expected, hint = "it, for the mean course of year and day", "Add it."
            problems += [Problem("no such column", expected, hint, column=label) for label in missing]
        return problems


def _frame(columns: Mapping[Hashable, Any], like: pd.DataFrame) -> pd.DataFrame:
    """Columns as a frame with the rows of another, whatever their labels are."""
    labels = np.empty(len(columns), dtype=object)
    labels[:] = list(columns)
    made = pd.DataFrame(dict(enumerate(columns.values())), index=like.index)
    made.columns = pd.Index(labels, tupleize_cols=False)
    made.attrs = dict(like.attrs)
    return made
