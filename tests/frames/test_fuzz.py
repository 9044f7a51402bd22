"""check_frame against a slow reference in plain Python: any shape, dress, order and labels give exactly its rows."""

import math
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hourglass_ts.errors import DataError, HourGlassError
from hourglass_ts.frames.schema import OBSERVED, STEP, TIME, UNIT, VALUE, Roles, check_frame

fuzz = settings(
    max_examples=120,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),  # explaining a failure takes minutes
)

GRIDS = {
    "integers": (pd.Index(range(-15, 105, 3)), 3),
    "hours": (pd.date_range("2021-03-27 20:00", periods=40, freq="h"), "h"),
    "hours in Berlin": (pd.date_range("2021-03-27 20:00", periods=40, freq="h", tz="Europe/Berlin"), "h"),
    "days in Berlin": (pd.date_range("2021-10-20", periods=40, freq="D", tz="Europe/Berlin"), "D"),
    "business days": (pd.date_range("2021-01-01", periods=40, freq="B"), "B"),
    "month ends": (pd.date_range("2020-01-31", periods=40, freq="ME"), "ME"),
}


def arrow(kind):
    """Dress a list of cells as an Arrow column of `kind`."""
    return lambda cells: pd.Series(cells).astype(f"{kind}[pyarrow]")


def objects(make):
    """Dress a list of cells as objects; None stays None."""
    return lambda cells: pd.Series([None if cell is None else make(cell) for cell in cells], dtype=object)


NUMBERS = {  # eighths: exact in every dress
    "float64": lambda cells: pd.Series(cells, dtype="float64"),
    "float32": lambda cells: pd.Series(cells, dtype="float32"),
    "Float64": lambda cells: pd.Series(cells, dtype="Float64"),
    "double[pyarrow]": arrow("double"),
    "floats": objects(float),
    "Decimals": objects(Decimal),
    "texts": objects(str),
    "str": lambda cells: objects(str)(cells).astype("str"),
    "category": lambda cells: pd.Series(cells, dtype="float64").astype("category"),
    "category of text": lambda cells: objects(str)(cells).astype("category"),
    "mixed": objects(lambda cell: int(cell) if cell == int(cell) else np.float32(cell)),
}
NAMES = {
    "str": lambda cells: pd.Series(cells, dtype="str"),
    "object": lambda cells: pd.Series(cells, dtype=object),
    "category": lambda cells: pd.Series(cells, dtype=object).astype("category"),
    "unused categories": lambda cells: pd.Series(pd.Categorical(cells, [" ", *sorted({c for c in cells if c}), "z"])),
    "string": lambda cells: pd.Series(cells, dtype="string[python]"),
    "string[pyarrow]": arrow("string"),
}
TIMES = {
    "plain": pd.Series,
    "objects": lambda times: pd.Series(list(times), dtype=object),
    "category": lambda times: pd.Series(times).astype("category"),
    "pyarrow": lambda times: pd.Series(times).convert_dtypes(dtype_backend="pyarrow"),
    "text": lambda times: pd.Series(
        times if getattr(times, "tz", "") is not None else times.strftime("%Y-%m-%dT%H:%M")
    ),
}
LABELS = {
    "plain": {c: c for c in "styxc"},
    "integers": dict(zip("styxc", [3, 2, 1, 0, -1], strict=True)),
    "tuples": {c: (c, i) for i, c in enumerate("styxc")},
    "words of ours": dict(zip("styxc", ["unit", "step", "time", "value", "id0"], strict=True)),
}


@st.composite
def data(draw, duplicates=True):
    """Give (grid name, rows): rows are (series, place on the grid, value, covariate, category), in any order."""
    name = draw(st.sampled_from(sorted(GRIDS)))
    eighths = st.integers(-800, 800).map(lambda n: n / 8)
    cells = st.tuples(
        st.one_of(st.none(), eighths, eighths), st.one_of(eighths, st.none()), st.sampled_from("ab") | st.none()
    )
    rows = draw(
        st.lists(
            st.tuples(st.sampled_from(["A", "B", "C"]), st.integers(0, 39), cells),
            min_size=1,
            max_size=25,
            unique_by=None if duplicates and draw(st.integers(0, 9)) == 0 else lambda row: row[:2],
        )
    )
    return name, [(series, place, *cells) for series, place, cells in rows]


def reference(rows):
    """Give {series: {place: (value, covariate, category)}} from first to last value; None where it must fail."""
    if len({row[:2] for row in rows}) < len(rows):
        return None
    panel = {}
    for series in sorted({row[0] for row in rows}):
        own = {place: cells for name, place, *cells in rows if name == series}
        seen = [place for place, cells in own.items() if cells[0] is not None]
        if not seen:
            return None
        panel[series] = {place: tuple(own.get(place, (None,) * 3)) for place in range(min(seen), max(seen) + 1)}
    return panel


def build(name, rows, number="float64", id_dress="str", time="plain", labels="plain"):
    """Dress rows as a frame."""
    names = LABELS[labels]
    columns = [list(column) for column in zip(*rows, strict=True)]
    cells = {
        names["s"]: NAMES[id_dress](columns[0]),
        names["t"]: TIMES[time](GRIDS[name][0][columns[1]]),
        names["y"]: NUMBERS[number](columns[2]),
        names["x"]: NUMBERS["float64" if number in ("texts", "str") or number.startswith("cat") else number](
            columns[3]
        ),
        names["c"]: NAMES[id_dress](columns[4]),
    }
    df = pd.DataFrame(dict(enumerate(cells.values())))
    df.columns = pd.Index(list(cells), tupleize_cols=False)
    return df


def check(df, name, labels="plain", **roles):
    names = LABELS[labels]
    given = {"time": names["t"], "target": names["y"], "series": names["s"], "past": [names["x"], names["c"]]} | roles
    return check_frame(df, Roles.from_arguments(**given), GRIDS[name][1])


def plain(panel, name, covariates=True):
    """Turn a panel into what `reference` gives, and check the columns that say what a row is."""
    table, found = panel.table, {}
    places = {time: place for place, time in enumerate(GRIDS[name][0])}
    assert (table[OBSERVED] == table[VALUE].notna()).all()
    for unit, own in table.groupby(UNIT):
        assert own[STEP].tolist() == list(range(len(own)))
        columns = [own[VALUE], *(own.iloc[:, place] for place in ((-2, -1) if covariates else ()))]
        cells = zip(*[[None if pd.isna(cell) else cell for cell in column] for column in columns], strict=True)
        found[panel.keys.iloc[unit, 0]] = {places[time]: row for time, row in zip(own[TIME], cells, strict=True)}
    assert list(found) == sorted(found)
    return found


def meet(df, expected, name, run, covariates=True):
    """Expect the reference's panel, or a DataError where there is none; never a changed frame."""
    before = df.copy(deep=True)
    try:
        panel = run(df)
    except DataError:
        assert expected is None
        return None
    finally:
        pd.testing.assert_frame_equal(df, before)
    assert plain(panel, name, covariates) == expected
    return panel


@fuzz
@given(
    data(),
    st.sampled_from(sorted(NUMBERS)),
    st.sampled_from(sorted(NAMES)),
    st.sampled_from(sorted(TIMES)),
    st.sampled_from(sorted(LABELS)),
)
def test_any_dress_and_labels_give_the_reference(case, number, id_dress, time, labels):
    name, rows = case
    df = build(name, rows, number, id_dress, time, labels)
    meet(df, reference(rows), name, lambda df: check(df, name, labels))


@fuzz
@given(data(duplicates=False), st.randoms(use_true_random=False))
def test_order_of_rows_and_columns_says_nothing(case, random):
    name, rows = case
    expected = meet(build(name, rows), reference(rows), name, lambda df: check(df, name))
    again = build(name, random.sample(rows, len(rows)))[random.sample("styxc", 5)]
    panel = meet(again, reference(rows), name, lambda df: check(df, name))
    if expected is not None:
        pd.testing.assert_frame_equal(panel.table, expected.table)
        assert panel.notes == expected.notes


SHAPES = {
    "series and time in the index": (["s", "t"], {}),
    "time and series in the index": (["t", "s"], {"time": None}),
    "time in the index": (["t"], {"time": None}),
    "series in the index": (["s"], {}),
}


@fuzz
@given(data(), st.sampled_from(sorted(SHAPES)))
def test_indexed_frames_give_the_reference(case, shape):
    name, rows = case
    index, roles = SHAPES[shape]
    if name == "integers" and len(index) == 2:
        roles = {}  # two levels that are no datetimes: which is the time must be said
    meet(build(name, rows).set_index(index), reference(rows), name, lambda df: check(df, name, **roles))


@fuzz
@given(data(duplicates=False), st.booleans())
def test_wide_frames_give_the_reference(case, indexed):
    name, rows = case
    long = build(name, rows)
    wide = long.pivot(index="t", columns="s", values="y").astype("float64")
    df = wide if indexed else wide.reset_index()
    expected = reference(rows)
    expected = expected and {series: {place: row[:1] for place, row in own.items()} for series, own in expected.items()}
    if wide.shape[1] == 1:
        return  # one column makes one unit without a name
    roles = Roles.from_arguments(time=None if indexed else "t")
    meet(df, expected, name, lambda df: check_frame(df, roles, GRIDS[name][1]), covariates=False)


@fuzz
@given(data(duplicates=False), st.integers(1, 39))
def test_nothing_after_a_cutoff_changes_a_row_before_it(case, cutoff):
    name, rows = case
    known = [row for row in rows if row[1] < cutoff]
    if not known or reference(rows) is None or reference(known) is None:
        return
    whole, head = check(build(name, rows), name), check(build(name, known), name)
    ids = {series: unit for unit, series in enumerate(whole.keys["s"])}
    for unit, series in enumerate(head.keys["s"]):
        early = head.table[head.table[UNIT] == unit].drop(columns=UNIT).reset_index(drop=True)
        late = whole.table[whole.table[UNIT] == ids[series]].drop(columns=UNIT).reset_index(drop=True)
        pd.testing.assert_frame_equal(early, late.head(len(early)))


JUNK = [
    np.inf,
    -np.inf,
    "x",
    "",
    pd.NaT,
    pd.NA,
    1j,
    10**400,
    [1],
    {},
    b"1",
    True,
    math.nan,
    Decimal("NaN"),
    pd.Timestamp(0),
]


@fuzz
@given(
    data(),
    st.lists(st.tuples(st.integers(0, 24), st.sampled_from("styxc"), st.sampled_from(JUNK)), min_size=1, max_size=3),
)
def test_junk_is_refused_in_words_or_read(case, junk):
    name, rows = case
    df = build(name, rows).astype(object)
    for row, column, cell in junk:
        df[column] = pd.Series([cell if i == row % len(df) else old for i, old in enumerate(df[column])], dtype=object)
    before = df.copy(deep=True)
    try:
        panel = check(df, name)
    except HourGlassError:
        pass
    else:
        assert np.isfinite(panel.table[VALUE].dropna()).all()
    pd.testing.assert_frame_equal(df, before)


def test_the_comparison_sees_a_wrong_value():
    rows = [("A", 0, 1.0, 2.0, "a"), ("A", 2, 3.0, None, None)]
    wrong = [("A", 0, 1.0, 2.0, "a"), ("A", 2, 4.0, None, None)]
    meet(build("hours", rows), reference(rows), "hours", lambda df: check(df, "hours"))
    with pytest.raises(AssertionError):
        meet(build("hours", rows), reference(wrong), "hours", lambda df: check(df, "hours"))
    with pytest.raises(AssertionError):
        meet(build("hours", rows), None, "hours", lambda df: check(df, "hours"))
