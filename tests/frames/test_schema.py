"""check_frame and future_rows: every shape of input gives the same panel; every fault is named; nothing is changed."""

import datetime as dt
import tracemalloc
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hourglass_ts.errors import DataError, HourGlassError, SettingsError
from hourglass_ts.frames.schema import OBSERVED, STEP, TIME, UNIT, VALUE, Roles, check_frame, future_rows

pytestmark = pytest.mark.filterwarnings("error")

ROLES = {"time": "t", "target": "y", "series": "s", "known": "k", "past": ["p", "c"], "static": "z"}


def frame(n=6, ids=("A", "B")):
    """Long and gap-free, one column per role, float and text covariates."""
    parts = []
    for i, name in enumerate(ids):
        times = pd.date_range("2021-03-27", periods=n + i, freq="D")
        steps = np.arange(n + i, dtype=float)
        cells = {"s": name, "t": times, "y": steps + 100 * i, "k": steps * 2, "p": -steps, "c": "w", "z": f"z{i}"}
        parts.append(pd.DataFrame(cells))
    return pd.concat(parts, ignore_index=True)


def check(df, freq=None, **roles):
    return check_frame(df, Roles.from_arguments(**roles), freq)


def simple(times, values=None, **more):
    return pd.DataFrame({"t": times, "y": np.arange(len(times)) * 1.0 if values is None else values, **more})


def check_simple(times, values=None, freq=None, **more):
    return check(simple(times, values, **more), freq, time="t", target="y")


def same(left, right, names=True):
    """Expect equal tables, calendars and (by default) labels."""
    assert left.calendars == right.calendars
    table = right.table if names else right.table.set_axis(left.table.columns, axis=1)
    pd.testing.assert_frame_equal(left.table, table)


# --- the panel ---


def test_the_table_is_the_full_sorted_grid():
    panel = check(frame(), **ROLES)
    table = panel.table
    assert table.columns.tolist() == [UNIT, STEP, TIME, VALUE, OBSERVED, "k", "p", "c", "z"]
    assert [str(dtype) for dtype in table.dtypes] == (
        ["int64", "int64", "datetime64[us]", "float64", "bool", "float64", "float64", "object", "object"]
    )
    assert isinstance(table.index, pd.RangeIndex)
    assert table[UNIT].tolist() == [0] * 6 + [1] * 7
    assert table[STEP].tolist() == [*range(6), *range(7)]
    assert panel.keys["s"].tolist() == ["A", "B"]
    assert panel.notes == ()
    assert [calendar.freq for calendar in panel.calendars] == ["D", "D"]


def test_missing_rows_are_laid_in_and_marked():
    df = frame().drop(index=[2, 3, 9])
    panel = check(df, **ROLES)
    full = check(frame(), **ROLES)
    pd.testing.assert_frame_equal(panel.table[[UNIT, STEP, TIME, "z"]], full.table[[UNIT, STEP, TIME, "z"]])
    gone = [2, 3, 9]
    assert np.flatnonzero(~panel.table[OBSERVED]).tolist() == gone
    assert panel.table.loc[gone, [VALUE, "k", "p", "c"]].isna().all(axis=None)
    assert panel.table.loc[2, "c"] is None
    assert panel.notes == (
        "series 'A': 2 missing steps laid in, first 2021-03-29",
        "series 'B': 1 missing step laid in, first 2021-03-30",
    )


def test_rows_without_target_are_trimmed_outside_and_kept_inside():
    df = frame(8, ids=("A",))
    df.loc[[0, 1, 4, 7], "y"] = np.nan
    panel = check(df, **ROLES)
    assert panel.table[STEP].tolist() == [0, 1, 2, 3, 4]
    assert panel.table[VALUE].isna().tolist() == [False, False, True, False, False]
    assert panel.table["k"].tolist() == [4, 6, 8, 10, 12]
    assert panel.table[TIME][0] == pd.Timestamp("2021-03-29")
    assert panel.notes == (
        "series 'A': 1 row without a value, first 2021-03-31",
        "series 'A': 1 trailing row without a target left out",
    )


def test_notes_of_many_series_are_summed_up():
    df = pd.concat([simple(range(5), s=i) for i in range(10)]).drop(index=2)
    assert check(df, time="t", target="y", series="s").notes[3] == "7 more series: 7 missing steps laid in"


def test_empty_rows_are_dropped_with_a_note():
    df = pd.concat([frame(), pd.DataFrame({"s": [None], "y": [np.nan]})], ignore_index=True)
    panel = check(df, **ROLES)
    assert panel.notes == ("1 row(s) without a time and a target left out",)
    same(check(frame(), **ROLES), panel)


# --- shapes of input ---


def wide_and_long():
    times = pd.date_range("2021-01-01", periods=5, freq="h")
    wide = pd.DataFrame({"t": times, "A": np.arange(5.0), "B": [np.nan, 1, np.nan, 3, 4]})
    return wide, wide.melt("t", var_name="s", value_name="y")


SHAPES = {
    "wide": lambda wide, long: check(wide, time="t"),
    "wide, targets named": lambda wide, long: check(wide, time="t", target=["A", "B"]),
    "wide, indexed": lambda wide, long: check(wide.set_index("t")),
    "wide, indexed, named": lambda wide, long: check(wide.set_index("t"), time="t"),
    "wide, index without a name": lambda wide, long: check(wide.set_index("t").rename_axis(None)),
    "long, indexed": lambda wide, long: check(long.set_index("t"), time="t", target="y", series="s"),
    "long, index not named": lambda wide, long: check(long.set_index("t"), target="y", series="s"),
    "long, two levels": lambda wide, long: check(long.set_index(["s", "t"]), target="y", series="s"),
    "long, odd index": lambda wide, long: check(long.set_axis([7] * 10), time="t", target="y", series="s"),
    "long, shuffled": lambda wide, long: check(long.sample(frac=1, random_state=1), time="t", target="y", series="s"),
    "long, without rows that are NaN": lambda wide, long: check(long.dropna(), time="t", target="y", series="s"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_long_wide_and_indexed_give_the_same_panel(name):
    wide, long = wide_and_long()
    expected = check(long, time="t", target="y", series="s")
    panel = SHAPES[name](wide, long)
    same(expected, panel)
    assert panel.keys.iloc[:, 0].tolist() == ["A", "B"]


def test_named_integer_index_and_several_targets_with_series():
    df = pd.DataFrame({"s": ["A", "A", "B"], "y": [1, 2, 3], "x": [4, 5, 6]}, index=pd.Index([1, 2, 1], name="step"))
    panel = check(df, series="s")
    assert panel.roles == Roles("step", ("y", "x"), ("s",))
    assert panel.keys.to_dict("list") == {"s": ["A", "A", "B", "B"], "target": ["y", "x", "y", "x"]}
    assert panel.table[VALUE].tolist() == [1, 2, 4, 5, 3, 6]


def test_several_id_columns():
    df = pd.concat([simple(range(4), s=a, r=b) for a in "xy" for b in (1, 2)])
    panel = check(df, time="t", target="y", series=["s", "r"])
    assert panel.keys.to_dict("list") == {"s": ["x", "x", "y", "y"], "r": [1, 2, 1, 2]}
    assert panel.keys.dtypes.tolist() == df[["s", "r"]].dtypes.tolist()


RENAMES = {
    "integers": lambda columns: range(10, 10 + len(columns)),
    "tuples": lambda columns: [("a", column) for column in columns],
    "spaces and dots": lambda columns: [f"my {column}.x[0]" for column in columns],
    "mixed": lambda columns: [column if i % 2 else (i, column) for i, column in enumerate(columns)],
    "role names": lambda columns: ["time", "series", "target", "known", "past", "static", "unit"],
    "time stamps": lambda columns: pd.date_range("2021", periods=len(columns)),
}


@pytest.mark.parametrize("name", RENAMES)
def test_column_names_do_not_matter(name):
    df = frame().drop(index=[2, 9])
    new = list(RENAMES[name](df.columns))
    names = dict(zip(df.columns, new, strict=True))
    roles = {
        role: [names[c] for c in label] if isinstance(label, list) else names[label] for role, label in ROLES.items()
    }
    renamed = df.copy()
    renamed.columns = pd.Index(new)
    panel = check(renamed, **roles)
    same(check(df, **ROLES), panel, names=False)
    assert list(panel.table.columns[5:]) == [names[c] for c in "kpcz"]
    ahead = future_rows(panel, 2, future_of(df).rename(columns=names).set_axis([names[c] for c in "stk"], axis=1))
    assert ahead.iloc[:, 3].tolist() == [1, 1, 1, 1]


def future_of(df, n=20):
    ids = df["s"].unique()
    times = pd.date_range("2021-03-27", periods=n, freq="D")
    return pd.DataFrame({"s": np.repeat(ids, n), "t": np.tile(times, len(ids)), "k": 1.0})


# --- times ---

DAYS = pd.date_range("2021-03-26", periods=5, freq="D")
TIME_COLUMNS = {
    "us": DAYS,
    "ns": DAYS.as_unit("ns"),
    "s": DAYS.as_unit("s"),
    "python dates": [day.date() for day in DAYS],
    "python datetimes": pd.Series(DAYS.to_pydatetime(), dtype=object),
    "ISO text": DAYS.strftime("%Y-%m-%d"),
    "ISO text, objects": DAYS.strftime("%Y-%m-%d %H:%M").astype(object),
    "slashes, year first": DAYS.strftime("%Y/%m/%d"),
    "category": pd.Categorical(DAYS),
    "category of text": pd.Categorical(DAYS.strftime("%Y-%m-%d")),
    "periods": DAYS.to_period("D"),
    "periods as objects": DAYS.to_period("D").astype(object),
}


@pytest.mark.parametrize("name", TIME_COLUMNS)
def test_dates_in_every_dress(name):
    panel = check_simple(pd.Series(TIME_COLUMNS[name])[[0, 1, 3, 4]].reset_index(drop=True))
    assert panel.table[TIME].tolist() == list(DAYS)
    assert panel.calendars[0].freq == "D"
    if name in ("us", "ns", "s"):
        assert panel.table[TIME].dtype == f"datetime64[{name}]"


@pytest.mark.parametrize("dtype", ["int64", "int8", "Int64", "uint8", "float64", object, "int64[pyarrow]"], ids=str)
def test_integer_times(dtype):
    if dtype == "int64[pyarrow]":
        pytest.importorskip("pyarrow")
    panel = check_simple(pd.Series([0, 10, 20, 30, 50]).astype(dtype))
    assert panel.table[TIME].tolist() == [0, 10, 20, 30, 40, 50]
    assert panel.table[TIME].dtype == "int64"


def test_single_period_row_knows_its_frequency():
    for freq, alias in (("M", "MS"), ("W-SUN", "W-MON"), ("Q-DEC", "QS-OCT"), ("D", "D")):
        panel = check_simple(pd.PeriodIndex(["2021-03-01"], freq=freq))
        assert panel.calendars[0].freq == alias


@pytest.mark.parametrize(("day", "hours"), [("2021-03-28", 23), ("2021-10-31", 25)])
def test_hourly_over_both_changes_of_the_clock(day, hours):
    times = pd.date_range(pd.Timestamp(day) - pd.Timedelta("1D"), periods=72, freq="h", tz="Europe/Berlin")
    panel = check_simple(times.delete(range(20, 40)))
    assert panel.table[TIME].tolist() == list(times)
    assert str(panel.table[TIME].dtype) == "datetime64[us, Europe/Berlin]"
    assert (panel.table[TIME].dt.date == pd.Timestamp(day).date()).sum() == hours
    assert panel.notes[0].startswith("20 missing steps")
    ahead = future_rows(panel, 30)[TIME]
    assert ahead.tolist() == list(pd.date_range(times[-1], periods=31, freq="h")[1:])
    assert ahead.dtype == panel.table[TIME].dtype


def test_daily_in_a_zone_keeps_the_wall_clock():
    times = pd.date_range("2021-03-20 06:00", periods=20, tz="Europe/Berlin")
    panel = check_simple(times.delete([7, 8]))
    assert panel.table[TIME].tolist() == list(times)
    assert set(future_rows(panel, 300)[TIME].dt.hour) == {6}


def test_business_days_months_and_weeks_continue_as_such():
    for freq in ("B", "ME", "MS", "W-WED", "QE-DEC", "BME"):
        times = pd.date_range("2021-01-01", periods=30, freq=freq)
        panel = check_simple(times[:25].delete([4, 9]))
        assert panel.table[TIME].tolist() == list(times[:25])
        assert future_rows(panel, 5)[TIME].tolist() == list(times[25:])


def test_exchange_holidays_are_no_gaps():
    days = pd.bdate_range("2021-01-01", "2021-02-15").delete([0, 11])
    offset = pd.offsets.CustomBusinessDay(holidays=["2021-01-01", "2021-01-18", "2021-02-16"])
    panel = check_simple(days, freq=offset)
    assert panel.notes == ()
    assert future_rows(panel, 1)[TIME][0] == pd.Timestamp("2021-02-17")


# --- several series ---


def joined(**series):
    return pd.concat([simple(times, s=name) for name, times in series.items()])


def freqs(df, freq=None):
    return [calendar.freq for calendar in check(df, freq, time="t", target="y", series="s").calendars]


def test_series_share_a_frequency_unless_they_differ():
    day = pd.date_range("2021-01-01", periods=40)
    assert freqs(joined(a=day, b=day[3:20:3].delete(1), c=day[5:6], d=day[[0, 5]])) == ["D", "3D", "D", "D"]
    business = pd.date_range("2021-01-01", periods=60, freq="B")
    assert freqs(joined(a=business, b=day, c=business[:3])) == ["B", "D", "B"]
    assert freqs(joined(a=day, b=business[:20])) == ["D", "B"]
    weeks = pd.date_range("2021-01-01", periods=9, freq="W-TUE")
    ones = {"c": pd.DatetimeIndex(["2021-01-07"]), "d": pd.DatetimeIndex(["2021-01-12"])}
    assert freqs(joined(a=weeks, b=weeks + pd.Timedelta("2D"), **ones)) == ["W-TUE", "W-THU", "W-THU", "W-TUE"]
    hours = pd.date_range("2021-01-01", periods=50, freq="h")
    assert freqs(joined(a=hours, b=hours + pd.Timedelta("7min"), c=hours[[0, 3, 9, 20, 21]])) == ["h"] * 3
    assert freqs(joined(a=hours, b=hours[[0, 7, 9, 20, 31]])) == ["h", "h"]  # sparse, not coarser


def test_calendars_that_alternate_between_series():
    axes = {
        "a": pd.date_range("2021-01-01", periods=20),
        "b": pd.date_range("2021-01-01", periods=12, freq="MS"),
        "c": pd.date_range("2021-01-01", periods=19),
        "d": pd.date_range("2021-01-01", periods=11, freq="MS"),
    }
    panel = check(
        joined(**{name: axis[:-1].delete(4) for name, axis in axes.items()}), time="t", target="y", series="s"
    )
    assert [calendar.freq for calendar in panel.calendars] == ["D", "MS", "D", "MS"]
    assert panel.table[TIME].tolist() == [time for axis in axes.values() for time in axis[:-1]]
    assert future_rows(panel, 1)[TIME].tolist() == [axis[-1] for axis in axes.values()]


def test_series_of_one_row():
    day = pd.DatetimeIndex(["2021-01-02"])
    assert freqs(joined(a=day), "D") == ["D"]
    assert freqs(joined(a=day, b=day), "W") == ["W-SAT", "W-SAT"]
    with pytest.raises(DataError, match=r"series 'a'.*single row \(and 1 more such series\).*freq="):
        freqs(joined(a=day, b=day))
    months = pd.date_range("2021-01-01", periods=5, freq="MS")
    with pytest.raises(DataError, match="series 'b'"):
        freqs(joined(a=months, b=day))


def test_unsorted_categories_and_mixed_ids():
    df = frame().sample(frac=1, random_state=3)
    same(check(frame(), **ROLES), check(df, **ROLES))
    same(check(frame(), **ROLES), check(df.astype({"s": "category"}), **ROLES))
    mixed = df.assign(s=df["s"].map({"A": 1, "B": "B"}).astype(object))
    assert check(mixed, **ROLES).keys["s"].tolist() == [1, "B"]


def test_many_series_are_quick_and_right():
    rng = np.random.default_rng(0)
    times = pd.date_range("2000-01-31", periods=100, freq="ME")
    df = pd.DataFrame({"s": np.repeat(np.arange(3000), 100), "t": np.tile(times, 3000), "y": rng.normal(size=300_000)})
    kept = df[rng.random(len(df)) > 0.1].sample(frac=1, random_state=0)
    panel = check(kept, time="t", target="y", series="s")
    back = panel.table[panel.table[OBSERVED]]
    expected = kept.sort_values(["s", "t"])
    np.testing.assert_array_equal(back[VALUE], expected["y"])
    np.testing.assert_array_equal(panel.keys["s"].to_numpy()[back[UNIT]], expected["s"])
    assert back[TIME].tolist() == expected["t"].tolist()


# --- kinds of values ---

NUMBERS = {
    "int": pd.Series([1, 2, 3, 4]),
    "Int64": pd.Series([1, None, 3, 4], dtype="Int64"),
    "Float64": pd.Series([1, None, 3, 4], dtype="Float64"),
    "boolean": pd.Series([True, None, False, True], dtype="boolean"),
    "bool": pd.Series([True, False, False, True]),
    "float32": pd.Series([1, 2, np.nan, 4], dtype="float32"),
    "Decimal": pd.Series([Decimal("1"), None, Decimal("3"), Decimal("4")]),
    "objects": pd.Series([1, 2.5, None, np.int8(4)], dtype=object),
    "NA": pd.Series([1, pd.NA, 3, 4], dtype=object),
    "text": pd.Series(["1", " 2", None, "4e0"]),
    "category": pd.Series([1, None, 3, 4]).astype("category"),
    "category of text": pd.Series(["1", None, "3", "4"]).astype("category"),
    "sparse": pd.Series(pd.arrays.SparseArray([1.0, np.nan, 3, 4])),
    "float16": pd.Series([0.5, 1, 2, 3], dtype="float16"),
    "longdouble": pd.Series([0.5, 1, 2, 3], dtype="longdouble"),
    "uint64": pd.Series([2**64 - 1, 1, 2, 3], dtype="uint64"),
    "beyond int64": pd.Series([2**63, -1, 10**30, 3], dtype=object),
    "negative zero": pd.Series([-0.0, 1, 2, 3]),
    "fractions": pd.Series([Fraction(1, 2), 1, 2.5, 3], dtype=object),
    "every kind of missing": pd.Series(
        [1, np.nan, pd.NA, None, pd.NaT, Decimal("NaN"), 2.5, np.float32(4)], dtype=object
    ),
    "ordered, unused categories": pd.Series(pd.Categorical([2, 1, None, 2], [2, 9, 1], ordered=True)),
    "unused category that is no number": pd.Series(pd.Categorical(["2", "1", "1", "2"], ["2", "1", "z"])),
    "Float64 with NaN inside": pd.Series([0.0, 1, 2, 3], dtype="Float64") / pd.Series([0.0, 1, 2, 3], dtype="Float64"),
    "string[python]": pd.Series(["1", "2", None, "4"], dtype="string[python]"),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_targets_of_every_dtype(name):
    column = NUMBERS[name]
    expected = [np.nan if pd.isna(cell) else float(cell) for cell in column]
    first, last = np.flatnonzero(~np.isnan(expected))[[0, -1]]
    panel = check_simple(range(len(column)), column)
    np.testing.assert_array_equal(panel.table[VALUE], expected[first : last + 1])
    assert np.signbit(panel.table[VALUE]).tolist() == np.signbit(expected[first : last + 1]).tolist()


def test_arrow_backed_frames():
    pytest.importorskip("pyarrow")
    df = frame().convert_dtypes(dtype_backend="pyarrow")
    same(check(frame(), **ROLES), check(df, **ROLES))


ARROW = {  # type, cells
    "int8": ("int8", [1, None, 3]),
    "halffloat": ("float16", [1.0, None, 3.0]),
    "bool": ("bool_", [True, None, False]),
    "decimal128": ("decimal128", [Decimal("1.5"), None, Decimal("3.5")]),
    "string": ("large_string", ["1", None, "3"]),
}


@pytest.mark.parametrize("name", [*ARROW, "dictionary"])
def test_arrow_columns_as_targets_and_ids(name):
    arrow = pytest.importorskip("pyarrow")
    kind, cells = ARROW.get(name, ("string", ["1", None, "3"]))
    cells = arrow.array(cells, arrow.decimal128(9, 2) if kind == "decimal128" else getattr(arrow, kind)())
    column = pd.Series(pd.arrays.ArrowExtensionArray(cells.dictionary_encode() if name == "dictionary" else cells))
    expected = [float(cells[0].as_py()), np.nan, float(cells[2].as_py())]
    np.testing.assert_array_equal(check_simple(range(3), column).table[VALUE], expected)
    panel = check(simple(range(3), s=column).dropna(), 1, time="t", target="y", series="s")
    assert sorted(panel.keys["s"].map(float)) == sorted([expected[0], expected[2]])
    assert sorted(panel.table[VALUE]) == [0, 2]


def test_arrow_times_as_column_and_index():
    arrow = pytest.importorskip("pyarrow")
    days = pd.date_range("2021-03-26", periods=5, tz="Europe/Berlin")
    zoned = pd.array(days, dtype=pd.ArrowDtype(arrow.timestamp("ns", "Europe/Berlin")))
    assert check_simple(zoned).table[TIME].tolist() == list(days)
    assert check(pd.DataFrame({"y": 1.0}, index=pd.Index(zoned))).table[TIME].tolist() == list(days)
    for dates in (arrow.date32(), arrow.date64()):
        column = pd.array([day.date() for day in days], dtype=pd.ArrowDtype(dates))
        assert check_simple(column).table[TIME].tolist() == list(days.tz_localize(None))


def test_equal_objects_are_one_category_each_in_any_order():
    cells = pd.Series([1, True, 1.0, "1", "a", None], dtype=object)
    for order in (slice(None), slice(None, None, -1)):
        df = simple(range(6), c=cells)[order]
        assert check(df, time="t", target="y", past="c").table["c"].tolist() == ["1", "True", "1.0", "1", "a", None]


TEXTS = {
    "bool": (pd.Series([True, False, True]), ["True", "False", "True"]),
    "nullable": (pd.Series([True, None, True], dtype="boolean"), ["True", None, "True"]),
    "category": (pd.Categorical(["a", None, "b"]), ["a", None, "b"]),
    "category of numbers": (pd.Categorical([1, 2, 1]), ["1", "2", "1"]),
    "mixed": (pd.Series([1, "a", None], dtype=object), ["1", "a", None]),
    "text of numbers": (["1", "2", "3"], ["1", "2", "3"]),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("role", ["known", "past"])
def test_categories_become_text(name, role):
    column, expected = TEXTS[name]
    panel = check(simple(range(3), c=column), time="t", target="y", **{role: "c"})
    assert panel.table["c"].dtype == object
    assert panel.table["c"].tolist() == expected


def test_static_is_filled_from_what_is_known():
    df = frame()
    df.loc[[0, 3, 8], "z"] = None
    same(check(frame(), **ROLES), check(df, **ROLES))
    numbers = frame().assign(z=[1.0] * 6 + [np.nan] * 7).drop(index=2)
    assert check(numbers, **ROLES).table["z"].tolist()[:8] == pytest.approx([1] * 6 + [np.nan] * 2, nan_ok=True)


# --- faults ---


def edit(row, column, value):
    def change(df):
        df = df if isinstance(value, float | pd.Timestamp) or value is pd.NaT else df.astype({column: object})
        df.at[row, column] = value
        return df

    return change


BAD = {
    "no frame": (lambda df: df.to_dict(), {}, ["dict", "DataFrame"]),
    "no rows": (lambda df: df.iloc[:0], {}, ["without rows"]),
    "missing column": (lambda df: df, {"target": "Y"}, ["'Y'", "`target`", "Did you mean 'y'"]),
    "two missing": (lambda df: df, {"target": "q", "known": "nothing"}, ["2 problems", "'q'", "'nothing'", "`known`"]),
    "tuple for a list": (lambda df: df, {"past": ("p", "c")}, ["pass a list: ['p', 'c']"]),
    "duplicate labels": (lambda df: df.set_axis([*"styykcz"], axis=1), {}, ["'y'", "more than once"]),
    "reserved label": (lambda df: df.rename(columns={"p": TIME}), {"past": []}, [TIME, "reserved"]),
    "text target": (
        edit(8, "y", "oops"),
        {},
        ["column 'y'", "series 'B'", "2021-03-29", "1 cell(s)", "'oops'", "to_numeric"],
    ),
    "date target": (lambda df: df.assign(y=df["t"]), {}, ["column 'y'", "no numbers", "datetime64"]),
    "duplicates": (
        lambda df: pd.concat([df, df.iloc[[7, 8]]]),
        {},
        ["series 'B'", "2021-03-28", "2 duplicate row(s)", "drop_duplicates"],
    ),
    "duplicates without series": (lambda df: df, {"series": None}, ["6 duplicate", "pass `series=`"]),
    "NaT": (edit(9, "t", pd.NaT), {}, ["column 't'", "series 'B'", "row 9", "1 row(s) without a time"]),
    "only NaT": (lambda df: df.assign(t=pd.NaT), {}, ["column 't'", "no time at all"]),
    "missing id": (edit(2, "s", None), {}, ["column 's'", "2021-03-29", "without a series id"]),
    "all ids missing": (lambda df: df.assign(s=None), {}, ["13 row(s) without a series id"]),
    "empty series": (lambda df: df.assign(y=df["y"].where(df["s"] == "A")), {}, ["no value at all in 1 series: 'B'"]),
    "infinite": (edit(3, "y", np.inf), {}, ["column 'y'", "series 'A'", "2021-03-30", "infinite"]),
    "infinite covariate": (edit(3, "k", -np.inf), {}, ["column 'k'", "series 'A'", "-inf"]),
    "static varies": (edit(8, "z", "other"), {}, ["column 'z'", "series 'B'", "2021-03-29", "'z1', then 'other'"]),
    "date covariate": (lambda df: df.assign(k=df["t"]), {}, ["column 'k'", "datetime64", "dayofweek"]),
    "complex covariate": (lambda df: df.assign(k=1j), {}, ["column 'k'", "complex"]),
    "American dates": (
        lambda df: df.assign(t=df["t"].dt.strftime("%m/%d/%Y")),
        {},
        ["column 't'", "'03/27/2021'", "ISO", "pd.to_datetime"],
    ),
    "the word now": (lambda df: df.assign(t="now"), {}, ["'now'"]),
    "text integers": (lambda df: df.assign(t=df.index.astype(str)), {}, ["'0'", "integers"]),
    "times of day": (lambda df: df.assign(t=dt.time(3)), {}, ["column 't'", "'time'"]),
    "booleans as time": (lambda df: df.assign(t=True), {}, ["column 't'", "bool"]),
    "uneven numbers": (lambda df: df.assign(t=df.index / 2), {}, ["0.5", "whole numbers"]),
    "mixed zones": (
        lambda df: df.assign(t=[pd.Timestamp(t, tz="UTC" if i else None) for i, t in enumerate(df["t"])]),
        {},
        ["column 't'", "time zone", "utc=True"],
    ),
    "mixed offsets": (
        lambda df: df.assign(t=["2021-03-27T00:00+01:00"] + ["2021-03-29T00:00+02:00"] * 12),
        {},
        ["time zone", "tz_convert"],
    ),
    "off the grid": (
        edit(4, "t", pd.Timestamp("2021-03-31 05:00")),
        {},
        ["series 'A'", "2021-03-31 05:00", "2021-04-01", "freq="],
    ),
    "no time": (lambda df: df, {"time": None}, ["Pass time='t'"]),
    "no numeric column": (lambda df: df[["t", "s", "c"]], {"target": None}, ["no numeric column"]),
    "a column called target": (
        lambda df: df.rename(columns={"s": "target"}),
        {"series": "target", "target": ["y", "p"]},
        ["'target'", "Rename"],
    ),
    "a Series": (lambda df: df["y"], {}, ["a Series", "to_frame"]),
    "levels of one name": (lambda df: df.set_index(["s", "t"]).rename_axis(["t", "t"]), {}, ["'t'", "more than once"]),
    "labels that are NaN": (
        lambda df: df.set_axis(["s", "t", "y", np.nan, np.nan, "c", "z"], axis=1),
        {},
        ["nan", "more than once"],
    ),
    "an index of text dates": (
        lambda df: df[["y"]].set_axis(pd.Index(df["t"].astype(str), name="when")),
        {"time": None, "series": None},
        ["no index of times", "Pass time='when'"],
    ),
    "complex objects": (edit(4, "y", 1j), {}, ["column 'y'", "series 'A'", "2021-03-31", "1j"]),
    "an endless integer": (edit(4, "y", 10**5000), {}, ["column 'y'", "series 'A'", "a very long int"]),
    "a longdouble too large": (
        lambda df: df.assign(y=np.full(13, np.longdouble("1e400"))),
        {},
        ["column 'y'", "series 'A'", "2021-03-27", "13 infinite value(s)"],
    ),
    "lists as ids": (lambda df: df.assign(s=[["A"]] * 13), {}, ["column 's'", "row 0", "['A']", "astype(str)"]),
    "lists as covariate": (edit(8, "k", [1]), {}, ["column 'k'", "series 'B'", "2021-03-29", "[1]"]),
    "dates as objects as covariate": (
        lambda df: df.assign(k=df["t"].astype(object)),
        {},
        ["column 'k'", "series 'A'", "2021-03-27", "Timestamp", "dayofweek"],
    ),
    "dates as categories as covariate": (
        lambda df: df.assign(k=df["t"].astype("category")),
        {},
        ["column 'k'", "dayofweek"],
    ),
    "all text": (lambda df: df.assign(y="1,5"), {}, ["column 'y'", "13 cell(s)", "'1,5'"]),
    "a missing id is not named": (edit(2, "s", None), {}, ["column 's', first at 2021-03-29"]),
    "unsigned times too large": (
        lambda df: df.assign(t=pd.array([2**63 + i for i in range(13)], dtype="UInt64")),
        {},
        ["column 't'", "9223372036854775808", "whole numbers"],
    ),
    "integer times too far apart": (
        lambda df: df.assign(t=[-(2**63), *range(11), 2**63 - 1]),
        {},
        ["column 't'", "span of less than 2⁶³"],
    ),
    "nanoseconds too far apart": (
        lambda df: df.assign(t=pd.DatetimeIndex(["1700-01-01", "2200-01-01", *df["t"][2:]]).as_unit("ns")),
        {},
        ["column 't'", "1700-01-01 to 2200-01-01", "datetime64[us]"],
    ),
    "stray year": (
        lambda df: pd.DataFrame({"t": pd.DatetimeIndex(["1970-01-01 00:00:00", "2021-01-01"]), "y": 1.0}),
        {"freq": "s"},
        ["1,609,459,201 steps", "strays"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_frames_are_refused_in_words(name):
    change, other, pieces = BAD[name]
    freq = other.get("freq")
    roles = {"time": "t", "target": "y"} if freq else {**{k: v for k, v in ROLES.items() if k in "time target series"}}
    roles |= {k: v for k, v in other.items() if k != "freq"}
    column = pieces[0].removeprefix("column ").strip("'")
    roles |= {"k": {"known": "k"}, "z": {"static": "z"}}.get(column, {}) if pieces[0].startswith("column") else {}
    with pytest.raises(DataError) as caught:
        check(change(frame()), freq, **roles)
    for piece in pieces:
        assert piece in str(caught.value)


def test_a_column_at_fault_throughout_is_named_once():
    with pytest.raises(DataError) as caught:
        check_simple(range(4), ["x"] * 4)
    assert str(caught.value).count("column 'y'") == 1


def test_all_faults_come_in_one_error():
    df = frame().astype({"s": object})
    df.loc[1, "y"], df.loc[2, "s"], df.loc[3, "t"], df.loc[8, "z"] = np.inf, None, pd.NaT, "other"
    df = pd.concat([df, df.iloc[[10]]])
    with pytest.raises(DataError, match=r"(?s)5 problems.*infinite.*series id.*without a time.*duplicate.*varies"):
        check(df, **ROLES)


OVERLAPS = [{"time": "t", "target": "t"}, {"target": ["y", "y"]}, {"known": "a", "past": ["b", "a"]}, {"series": [[1]]}]


@pytest.mark.parametrize("roles", OVERLAPS, ids=str)
def test_bad_roles(roles):
    with pytest.raises(SettingsError):
        Roles.from_arguments(**roles)


def test_bad_freq_is_a_setting():
    with pytest.raises(SettingsError, match="nonsense"):
        check_simple(range(3), freq="nonsense")
    with pytest.raises(SettingsError, match="int64 times"):
        check_simple(range(3), freq="D")


# --- the callers' frame, and what follows it ---


@pytest.mark.parametrize("wide", [False, True])
def test_the_callers_frame_is_not_changed(wide):
    df = frame().sample(frac=1, random_state=0).astype({"c": "category", "k": "Float64"}).drop(index=3)
    before = df.copy(deep=True)
    panel = check(df[["t", "y"]].drop_duplicates("t"), time="t") if wide else check(df, **ROLES)
    panel.table.loc[:, VALUE] = 0.0
    panel.table["k" if not wide else STEP].array[:] = 0
    panel.keys.loc[:, "s"] = "q"
    if not wide:
        future_rows(check(df, **ROLES), 2, future_of(df))
    pd.testing.assert_frame_equal(df, before)


def test_a_panel_shares_no_memory_with_a_sorted_frame_without_holes():
    df = frame()
    before = df.copy(deep=True)
    panel = check(df, **ROLES)
    for label in panel.table.columns:
        cells = panel.table[label].array
        cells[:] = cells[::-1].copy()
    pd.testing.assert_frame_equal(df, before)


BIG = {
    "sorted": lambda df: df,
    "shuffled": lambda df: df.sample(frac=1, random_state=0, ignore_index=True),
    "holes": lambda df: df[np.random.default_rng(0).random(len(df)) > 0.1].reset_index(drop=True),
    "text ids": lambda df: df.assign(s="series " + df["s"].astype(str).astype(object)),
    "categories": lambda df: df.assign(s=df["s"].astype("category")),
    "categories, shuffled": lambda df: BIG["shuffled"](BIG["categories"](df)),
}


@pytest.mark.parametrize("name", BIG)
def test_the_checks_take_at_most_three_times_the_frame(name):
    rows, series = 200_000, 50
    days = pd.date_range("2000-01-01", periods=rows // series, freq="h")
    df = pd.DataFrame({"s": np.repeat(np.arange(series), len(days)), "t": np.tile(days, series), "y": 1.0, "k": 2.0})
    df = BIG[name](df)
    check(df, **{role: ROLES[role] for role in ("time", "target", "series", "known")})  # first calls cost once
    tracemalloc.start()
    try:
        check(df, **{role: ROLES[role] for role in ("time", "target", "series", "known")})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= 3 * df.memory_usage(deep=True).sum()


def test_future_rows_follow_the_last_observed_step():
    panel = check(frame().drop(index=4), **ROLES)
    ahead = future_rows(panel, 3, future_of(frame()).sample(frac=1, random_state=1).assign(k=lambda d: d["t"].dt.day))
    assert ahead.columns.tolist() == [UNIT, STEP, TIME, "k"]
    assert ahead[UNIT].tolist() == [0, 0, 0, 1, 1, 1]
    assert ahead[STEP].tolist() == [6, 7, 8, 7, 8, 9]
    assert ahead["k"].tolist() == [2, 3, 4, 3, 4, 5]
    assert ahead["k"].dtype == "float64"
    assert ahead[TIME].dt.day.tolist() == [2, 3, 4, 3, 4, 5]


def test_future_values_may_come_from_trailing_rows_of_the_frame_itself():
    df = frame(10)
    df.loc[[8, 9, 19, 20], "y"] = np.nan
    panel = check(df, **ROLES)
    assert future_rows(panel, 2, df)["k"].tolist() == [16, 18, 18, 20]
    assert future_rows(panel, 2, df.set_index(["t", "s"]))["k"].tolist() == [16, 18, 18, 20]
    assert future_rows(panel, 2, df.astype({"t": "datetime64[s]", "s": "category"}))["k"].tolist() == [16, 18, 18, 20]


def test_future_text_and_wide_targets():
    df = simple(range(4), x=1.0, c=list("abab"))
    panel = check(df, time="t", target=["y", "x"], known="c")
    ahead = future_rows(panel, 2, pd.DataFrame({"t": [4, 5], "c": ["a", "q"]}))
    assert ahead["c"].tolist() == ["a", "q"] * 2
    assert ahead["c"].dtype == object


MISSING_AHEAD = {
    "no frame": (lambda f: None, ["no future values of 'k'", "2021-04-02"]),
    "no column": (lambda f: f.drop(columns="k"), ["'k'", "`known`"]),
    "a series": (lambda f: f[f["s"] == "A"], ["column 'k'", "2021-04-03", "3 of 6", "series 'B'"]),
    "a time": (lambda f: f[f["t"] != "2021-04-03"], ["2 of 6", "series 'A'", "first at 2021-04-03"]),
    "a value": (lambda f: f.assign(k=f["k"].where(f.index != 8)), ["1 of 6", "2021-04-04"]),
    "twice": (lambda f: pd.concat([f, f]), ["duplicate"]),
    "text": (lambda f: f.assign(k="x"), ["no numbers"]),
    "zone": (lambda f: f.assign(t=f["t"].dt.tz_localize("UTC")), ["UTC", "time zone"]),
    "kind": (lambda f: f.assign(t=1), ["int64"]),
    "bad time": (lambda f: f.assign(t="x"), ["'x'"]),
    "infinite": (lambda f: f.assign(k=np.inf), ["infinite"]),
}


@pytest.mark.parametrize("name", MISSING_AHEAD)
def test_missing_future_values_are_named(name):
    change, pieces = MISSING_AHEAD[name]
    panel = check(frame(), **ROLES)
    with pytest.raises(DataError) as caught:
        future_rows(panel, 3, change(future_of(frame())))
    for piece in pieces:
        assert piece in str(caught.value)


@pytest.mark.parametrize("horizon", [0, -1, 1.5, True, "3"])
def test_bad_horizon(horizon):
    with pytest.raises(SettingsError, match="horizon"):
        future_rows(check_simple(range(3)), horizon)


# --- fuzz ---

CELLS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=False, width=32), st.none(), st.sampled_from([np.inf, "text", "3", True])
)
MOMENTS = st.one_of(
    st.integers(-5, 40),
    st.integers(0, 60).map(lambda k: pd.Timestamp("2021-03-27") + k * pd.Timedelta("1h")),
    st.integers(0, 60).map(lambda k: pd.Timestamp("2021-03-27", tz="Europe/Berlin") + k * pd.Timedelta("12h")),
    st.integers(0, 60).map(lambda k: pd.Timestamp("2021-01-29") + k * pd.offsets.BDay()),
    st.sampled_from([pd.NaT, None, "2021-01-01", "x", 1.5, dt.date(2021, 1, 1)]),
)


@st.composite
def frames(draw):
    kind = draw(st.integers(0, 3))
    times = MOMENTS.original_strategies[kind] if draw(st.integers(0, 4)) else MOMENTS
    cells = st.floats(-1e6, 1e6) if draw(st.integers(0, 3)) else CELLS
    ids = st.sampled_from(["A", "B"] + ([None] if draw(st.integers(0, 4)) == 0 else []))
    rows = draw(
        st.lists(st.tuples(ids, times, cells), min_size=2, max_size=12, unique_by=lambda row: (row[0], str(row[1])))
    )
    return pd.DataFrame(rows, columns=["s", "t", "y"])


@settings(max_examples=300, deadline=None)
@given(frames(), st.sampled_from([None, None, None, 1, "h", "B", "W"]))
def test_a_panel_with_the_input_values_or_a_clear_error(df, freq):
    before = df.copy(deep=True)
    try:
        panel = check(df, freq, time="t", target="y", series="s")
    except HourGlassError:
        return
    finally:
        pd.testing.assert_frame_equal(df, before)
    table = panel.table[panel.table[OBSERVED]]
    filled = df[df["y"].notna()]
    expected = sorted(zip(filled["s"], filled["t"].map(str), filled["y"].astype(float), strict=True))
    found = sorted(zip(panel.keys["s"].to_numpy()[table[UNIT]], table[TIME].map(str), table[VALUE], strict=True))
    if df["t"].map(type).isin([str, dt.date, float]).any():
        expected, found = ([(row[0], row[2]) for row in rows] for rows in (expected, found))
    assert sorted(found) == sorted(expected)
    for _, unit in panel.table.groupby(UNIT):
        assert unit[STEP].tolist() == list(range(len(unit)))
        assert unit[OBSERVED].iloc[[0, -1]].all()
        assert unit[TIME].is_monotonic_increasing
