"""Revisions against plain loops, whatever the labels, types and order of the frame."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from hourglass_ts.errors import DataError, SettingsError
from hourglass_ts.metrics.revisions import revision_scores, revisions

NAN = float("nan")
few = settings(max_examples=60, phases=[Phase.explicit, Phase.generate], deadline=None)
# series, day, origin → forecast: one forecast of a target from an origin
FORECASTS = st.dictionaries(
    st.tuples(st.sampled_from("ab"), st.integers(1, 3), st.integers(1, 4)),
    st.one_of(st.just(NAN), st.floats(-1e6, 1e6)),
    max_size=20,
)


def frame_of(forecasts):
    rows = [(series, day, origin, value) for (series, day, origin), value in forecasts.items()]
    return pd.DataFrame(rows, columns=["series", "day", "origin", "forecast"]).astype({"forecast": float})


def naive_revisions(forecasts):
    found = {}
    for series, day, origin in forecasts:
        earlier = [o for s, d, o in forecasts if (s, d) == (series, day) and o < origin]
        if earlier:
            change = forecasts[series, day, origin] - forecasts[series, day, max(earlier)]
            if not math.isnan(change):
                found[series, day, origin] = (max(earlier), change)
    return found


def usual(frame, **changed):
    return revisions(frame, **({"keys": ["series", "day"], "origin": "origin", "forecast": "forecast"} | changed))


@given(FORECASTS)
@few
def test_revisions_equal_naive(forecasts):
    found = usual(frame_of(forecasts))
    assert list(found.columns) == ["series", "day", "origin", "previous_origin", "revision"]
    rows = found.itertuples(index=False)
    assert {(r.series, r.day, r.origin): (r.previous_origin, r.revision) for r in rows} == naive_revisions(forecasts)
    assert len(found) == len(naive_revisions(forecasts))


@given(FORECASTS, st.sampled_from([{"a": 2.0, "b": 0.5, "c": 1.0}, {"a": 0.0}]))
@few
def test_scores_equal_naive(forecasts, scale):
    found = revision_scores(usual(frame_of(forecasts)), by=["series"], scale=pd.Series(scale)).set_index("series")
    changes = {}
    for (series, *_), (_, change) in naive_revisions(forecasts).items():
        changes.setdefault(series, []).append(change)
    assert set(found.index) == set(changes) | set(scale)
    for series, row in found.iterrows():
        own = changes.get(series, [])
        size = math.fsum(map(abs, own)) / len(own) if own else NAN
        squared = math.fsum(change**2 for change in own) / len(own) if own else NAN
        scaled = size / scale[series] if scale.get(series) else NAN
        expected = [len(own), size, math.sqrt(squared), scaled]
        assert row.tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)


@pytest.fixture
def daily():
    """Two series, forecast three days ahead from each of five origins, in no order."""
    rng = np.random.default_rng(0)
    origins = pd.date_range("2024-03-29", periods=5, freq="D", tz="UTC")
    grid = pd.MultiIndex.from_product([["a", "b"], origins, [1, 2, 3]], names=["series", "origin", "lead"])
    frame = grid.to_frame(index=False).assign(forecast=rng.normal(size=30))
    frame["day"] = frame["origin"] + pd.to_timedelta(frame["lead"], unit="D")
    return frame.sample(frac=1.0, random_state=1)


def test_the_newer_lead_comes_along(daily):
    found = usual(daily)
    assert list(found.columns) == ["series", "day", "origin", "lead", "previous_origin", "revision"]
    assert (found["origin"] == found["day"] - pd.to_timedelta(found["lead"], unit="D")).all()
    assert (found["previous_origin"] == found["origin"] - pd.Timedelta(days=1)).all()
    assert set(found["lead"]) == {1, 2}
    assert len(found) == 2 * (4 + 4)
    assert found.dtypes[["origin", "previous_origin"]].eq(daily["origin"].dtype).all()


def test_targets_keep_their_order_and_origins_rise(daily):
    found = usual(daily)
    targets = daily[["series", "day"]].drop_duplicates().apply(tuple, axis=1).tolist()
    places = [targets.index(target) for target in found[["series", "day"]].apply(tuple, axis=1)]
    assert places == sorted(places)
    assert found.groupby(["series", "day"])["origin"].apply(lambda origins: origins.is_monotonic_increasing).all()


def test_order_index_and_types_do_not_matter(daily):
    expected = usual(daily).sort_values(["series", "day", "origin"], ignore_index=True)
    indexed = daily.set_index(pd.Index([5] * 30))
    typed = daily.astype({"series": "category", "forecast": "Float64"})
    for changed in (daily[::-1], indexed, typed):
        found = usual(changed).sort_values(["series", "day", "origin"], ignore_index=True)
        pd.testing.assert_frame_equal(found, expected, check_dtype=False, check_categorical=False)


def test_any_label_is_a_column(daily):
    renamed = daily.rename(columns={"series": 0, "day": ("when", 1), "origin": None, "forecast": "y hat"})
    found = revisions(renamed, keys=[0, ("when", 1)], origin=None, forecast="y hat")
    np.testing.assert_array_equal(found["revision"], usual(daily)["revision"])


def test_a_missing_forecast_breaks_the_chain():
    frame = pd.DataFrame({"day": 9, "origin": [1, 2, 3, 4, 5], "forecast": [1.0, NAN, 4.0, 9.0, 8.0]})
    found = revisions(frame, keys=["day"], origin="origin", forecast="forecast")
    assert found["revision"].tolist() == [5.0, -1.0]
    assert found["previous_origin"].tolist() == [3, 4]


def test_the_frame_is_not_changed(daily):
    before = daily.copy()
    revision_scores(usual(daily), by=["series"])
    pd.testing.assert_frame_equal(daily, before)


def test_scores_over_all_pairs(daily):
    changes = usual(daily)
    found = revision_scores(changes, scale=2.0)
    size = changes["revision"].abs().mean()
    expected = [16, size, math.sqrt((changes["revision"] ** 2).mean()), size / 2.0]
    assert found.to_numpy().tolist() == [pytest.approx(expected)]
    assert list(found.columns) == ["pairs", "MAC", "RMSC", "MASC"]
    assert found["pairs"].dtype == "int64"


def test_no_pair_scores_nan(daily):
    nothing = usual(daily[daily["lead"] == 1])
    assert nothing.empty
    overall = revision_scores(nothing, scale=1.0)
    assert overall["pairs"].tolist() == [0]
    assert overall[["MAC", "RMSC", "MASC"]].isna().all(axis=None)
    scale = pd.Series({"b": 2.0, "a": 1.0})
    by_series = revision_scores(nothing, by=["series"], scale=scale)
    assert by_series["series"].tolist() == ["b", "a"]
    assert by_series["MASC"].isna().all()
    assert revision_scores(nothing, by=["series"]).empty


def test_scale_is_found_by_name(daily):
    changes = usual(daily).assign(model="m")
    by_both = revision_scores(changes, by=["series", "lead"])
    keys = pd.MultiIndex.from_frame(by_both[["series", "lead"]][::-1], names=["other", "names"])
    found = revision_scores(changes, by=["series", "lead"], scale=pd.Series([4.0, 3.0, 2.0, 1.0], index=keys))
    np.testing.assert_allclose(found["MASC"], found["MAC"] / [1.0, 2.0, 3.0, 4.0])
    assert list(found.columns[:2]) == ["series", "lead"]
    categories = changes.astype({"series": "category"})
    found = revision_scores(categories, by=["series"], scale=pd.Series({"z": 1.0, "b": 2.0}))
    assert set(found["series"]) == {"a", "b", "z"}
    assert found.set_index("series")["MASC"].notna().to_dict() == {"a": False, "b": True, "z": False}


def cell(daily, column, value):
    changed = daily.copy().astype({column: object})
    changed.iloc[3, changed.columns.get_loc(column)] = value
    return changed


WRONG_FRAMES = {
    "no such columns": (lambda d: usual(d, keys=["Series", "Day"]), DataError, "2 problems.*\n.*'Series'.*\n.*'Day'"),
    "no keys": (lambda d: usual(d, keys=[]), SettingsError, "no keys"),
    "two of a name": (
        lambda d: usual(pd.concat([d, d["forecast"]], axis=1)),
        DataError,
        "column 'forecast': found 2 columns",
    ),
    "a name of the result": (
        lambda d: usual(d.rename(columns={"day": "revision"}), keys=["revision"]),
        DataError,
        "own columns",
    ),
    "two models": (
        lambda d: usual(pd.concat([d, d])),
        DataError,
        r"first at 2024-\S+.*two forecasts of series=., day=2024",
    ),
    "no origin": (lambda d: usual(cell(d, "origin", None)), DataError, "column 'origin': found 1 missing"),
    "no series": (lambda d: usual(cell(d, "series", None)), DataError, "column 'series': found 1 missing"),
    "origins of two kinds": (lambda d: usual(cell(d, "origin", pd.Timestamp("2024"))), DataError, "have no order"),
    "an infinite forecast": (lambda d: usual(cell(d, "forecast", math.inf)), DataError, "forecast with the value inf"),
    "text": (lambda d: usual(cell(d, "forecast", "high")), DataError, "forecast that is not numeric"),
    "by nothing": (lambda d: revision_scores(usual(d), by=["model"]), DataError, "column 'model': found 0 columns"),
    "no revisions": (lambda d: revision_scores(d), DataError, "column 'revision': found 0 columns"),
    "a scale by nothing": (
        lambda d: revision_scores(usual(d), scale=pd.Series({"a": 1.0})),
        SettingsError,
        "a scale by 1 levels",
    ),
    "two scales": (
        lambda d: revision_scores(usual(d), by=["series"], scale=pd.Series([1.0, 2.0], index=["a", "a"])),
        DataError,
        "two scales for 'a'",
    ),
    "a negative scale": (lambda d: revision_scores(usual(d), scale=-1.0), DataError, "scale with the value -1"),
}


@pytest.mark.parametrize(("call", "error", "message"), WRONG_FRAMES.values(), ids=WRONG_FRAMES.keys())
def test_wrong_input_is_named(daily, call, error, message):
    with pytest.raises(error, match=message):
        call(daily)
