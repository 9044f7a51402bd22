"""Tables on disk → frames: CSV and Parquet by suffix, with text times read as one format or refused."""

from __future__ import annotations

import warnings
from collections.abc import Hashable
from pathlib import Path

import pandas as pd

from hourglass_ts.errors import DataError, Problem, raise_problem


def read_table(path: Path, time: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Give the file as a frame, its time column as dates when it is text, and notes on what was changed in doing so.

    Raises DataError for a file that cannot be read, and for times of several formats.
    """
    is_parquet = path.suffix.lower() == ".parquet"
    try:
        frame = (pd.read_parquet if is_parquet else pd.read_csv)(path)
    # pandas and pyarrow raise their own subclasses of these for what is empty, ragged, wrongly encoded or not Parquet.
    except (ValueError, OSError) as error:
        kind = "Parquet" if is_parquet else "CSV"
        problem = Problem(f"file {str(path)!r} that cannot be read ({error})", f"{kind} data", "Check it.")
        raise DataError(str(problem)) from error
    label = column_named(frame, time)
    if label not in frame.columns or not _is_text(frame[label]):
        return frame, ()
    frame[label], notes = _parse_times(frame[label], path)
    return frame, notes


def column_named(frame: pd.DataFrame, name: str) -> Hashable:
    """Give the column that the header writes as `name`; `name` itself when there is none."""
    return next((column for column in frame.columns if str(column) == name), name)


def _is_text(values: pd.Series) -> bool:
    """Say whether values are text or loose objects, such as Parquet's dates without hours."""
    return pd.api.types.is_object_dtype(values) or pd.api.types.is_string_dtype(values)


def _parse_times(texts: pd.Series, path: Path) -> tuple[pd.Series, tuple[str, ...]]:
    """Read text as times of one format; refuse it when day and month could be either, or a value is something else."""
    year_first = texts.dropna().astype(str).str.match(r"\d{4}").all()
    attempts = [_times_as(texts, day_first) for day_first in ((False,) if year_first else (False, True))]
    readings = [times for times in attempts if times is not None]
    if not readings:
        note = f"the UTC offsets in column {texts.name!r} of {str(path)!r} change; its times are in UTC."
        return _times_in_utc(texts, path), (note,)
    if not readings[0].equals(readings[-1]):
        found = f"dates such as {texts.iloc[0]!r} in {str(path)!r}, of which day and month could be either"
        raise_problem(DataError, Problem(found, "the year first", "Write them as 2024-12-31.", column=texts.name))
    return readings[0], ()


def _times_as(texts: pd.Series, day_first: bool) -> pd.Series | None:
    # pandas reads these as the time of the run.
    if texts.isin(["now", "today"]).any():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the first date contradicts `dayfirst`: both readings are compared
        try:
            return pd.to_datetime(texts, dayfirst=day_first)
        except (ValueError, TypeError):
            return None


def _times_in_utc(texts: pd.Series, path: Path) -> pd.Series:
    """Offsets that change with daylight saving have no zone in common but UTC; anything else is refused."""
    times = pd.to_datetime(texts.mask(texts.isin(["now", "today"]), "?"), utc=True, errors="coerce")
    bad = texts[times.isna() & texts.notna()]
    if len(bad):
        raise_problem(
            DataError,
            Problem(
                f"{len(bad)} values in {str(path)!r} that are not times like the first, such as {bad.iloc[0]!r}",
                "dates in one format or whole numbers",
                "Write them as 2024-12-31 or 2024-12-31 23:00.",
                column=texts.name,
                at=f"row {bad.index[0] + 1}",
            ),
        )
    return times
