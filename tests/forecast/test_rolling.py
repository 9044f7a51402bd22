"""A forecast from an origin inside a frame is the forecast of the frame that ends there; the rest changes nothing."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hourglass_ts.errors import DataError
from hourglass_ts.forecast.baselines import Drift, EWMAWalk, Naive, RidgeFloor, SeasonalNaive
from hourglass_ts.forecast.climatology import Climatology
from hourglass_ts.forecast.conformal import ConformalForecaster
from hourglass_ts.forecast.rolling import Timeline, rolling_forecasts
from hourglass_ts.forecaster import HourGlassForecaster
from hourglass_ts.frames.schema import Roles
from hourglass_ts.frames.vintages import Vintages
from tests.reference.worlds import FIT_STEP, HORIZON, N_STEPS, ORIGIN_STEPS, WORLDS, World

TINY: dict[str, Any] = {"max_epochs": 1, "steps_per_epoch": 2, "d_model": 8, "n_heads": 2, "d_ff": 8, "progress": False}


def hourglass(**changes: Any) -> HourGlassForecaster:
    """Without the floor, so that the network makes the forecast."""
    return HourGlassForecaster(HORIZON, 10, accelerator="cpu", **{**TINY, "floor": False, **changes})


MODELS: dict[str, Any] = {
    "naive": lambda: Naive(HORIZON),
    "seasonal naive": lambda: SeasonalNaive(HORIZON, 7),
    "drift": lambda: Drift(HORIZON),
    "climatology": lambda: Climatology(HORIZON, season=7),
    "ewma": lambda: EWMAWalk(HORIZON, transform="log"),
    "ridge": lambda: RidgeFloor(HORIZON),
    "ridge, log": lambda: RidgeFloor(HORIZON, 8, transform="log"),
    "hourglass": hourglass,
    "hourglass on its floor": lambda: hourglass(floor=True),
    "hourglass, filled": lambda: hourglass(fill="seasonal", transform="log", normalise="robust", scaler="robust"),
    "conformal": lambda: ConformalForecaster(Naive(HORIZON), (0.1, 0.5, 0.9), calibration=25),
}


FEW = ["days", "holes, late and early", "covariates"]
SOME = [*FEW, "wide", "hours into summer time"]
SHOWN_TO = {"hourglass": SOME, "conformal": SOME[1:], "hourglass on its floor": FEW[1:], "hourglass, filled": FEW[1:]}


def pairs(*names: str) -> list[tuple[str, str]]:
    """Every model with these worlds, all by default; the slower models with some of them."""
    return [(m, name) for m in MODELS for name in names or WORLDS if name in SHOWN_TO.get(m, WORLDS)]


@cache
def fitted(model: str, name: str) -> Any:
    world = WORLDS[name]
    return MODELS[model]().fit(world.up_to(world.axis[FIT_STEP]), **world.roles)


def series_column(world: World) -> str | None:
    return world.roles.get("series")


def expected(model: Any, world: World, origin: Any, ids: pd.Series | None, start: Any = None) -> pd.DataFrame:
    """What `forecast` gives for the frame that ends at the origin, of the series that can be forecast."""
    rows = world.up_to(origin, start)
    if ids is not None:
        rows = rows[rows["id"].isin(ids)]
    before_holes = world.axis[world.axis.get_loc(origin) - 3]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* were not fitted")
        frame = model.forecast(rows, **world.known_after(before_holes))
    keys = [label for label in ("id", "target") if label in frame]
    lead = frame.groupby(keys, observed=True).cumcount() + 1 if keys else np.arange(len(frame)) + 1
    frame.insert(0, "origin", origin)
    frame.insert(frame.columns.get_loc("forecast"), "lead", lead)
    return frame


def ids_in_view(world: World, step: int, model: Any) -> list[Any] | None:
    """By hand: those that had begun, have known values where there are known columns, and were fitted if need be."""
    if series_column(world) is None:
        return None
    takes_new = getattr(model, "takes_new_series", False)
    ids = {
        "holes, late and early": list("abcd" if takes_new else "abc"),
        "categorical ids": list("abc"),
        "several targets": [3, 7],
    }
    ids["days and weeks"] = ["b", "a"]
    return next((found for name, found in ids.items() if WORLDS[name] is world), ["a", "b"] if step < 80 else ["a"])


def assert_same(found: pd.DataFrame, wanted: pd.DataFrame, model: str) -> None:
    """Exactly; a network sums over other batches, and its last bits differ."""
    tolerance = {"rtol": 2e-6, "atol": 1e-6} if model.startswith("hourglass") else {"check_exact": True}
    pd.testing.assert_frame_equal(found, wanted, **tolerance)


@pytest.mark.parametrize(("model", "name"), pairs())
def test_from_an_origin_is_as_if_the_frame_ended_there(model: str, name: str) -> None:
    world, forecaster = WORLDS[name], fitted(model, name)
    steps = ORIGIN_STEPS if "known" in world.roles else (*ORIGIN_STEPS, N_STEPS - 1)
    found = forecaster.forecast_from(world.df, list(world.axis[list(steps)]))
    parts = [expected(forecaster, world, world.axis[step], ids_in_view(world, step, forecaster)) for step in steps]
    wanted = pd.concat(parts, ignore_index=True)
    if model == "conformal" and "known" in world.roles:  # the scores of the last steps need known values after them
        found, wanted = (frame.drop(columns=["q0.1", "q0.5", "q0.9"]) for frame in (found, wanted))
    assert_same(found, wanted, model)


@pytest.mark.parametrize(("model", "name"), pairs("days", "holes, late and early", "wide", "covariates"))
def test_what_comes_after_the_origin_changes_nothing(model: str, name: str) -> None:
    world, forecaster = WORLDS[name], fitted(model, name)
    for step in (66, 80) if model not in SHOWN_TO else (80,):
        origin = world.axis[step]
        honest = forecaster.forecast_from(world.df, [origin])
        assert_same(forecaster.forecast_from(world.with_other_future(origin), [origin]), honest, model)
        if "known" not in world.roles:
            late = np.asarray(world.times > origin)
            numbers = world.df.select_dtypes("number").columns
            emptied = world.df.assign(**{label: world.df[label].mask(late) for label in numbers})
            if name != "holes, late and early":  # its series d would have no value at all
                assert_same(forecaster.forecast_from(emptied, [origin]), honest, model)
            assert_same(forecaster.forecast_from(world.df[~late], [origin]), honest, model)


@pytest.mark.parametrize("model", ["ewma", "ridge, log", "hourglass, filled"])
def test_a_later_value_that_has_no_logarithm_is_no_matter(model: str) -> None:
    world, forecaster = WORLDS["covariates"], fitted(model, "covariates")
    origin = world.axis[80]
    altered = world.df.assign(y=world.df["y"].where(world.df["t"] <= origin, -5.0))
    assert_same(forecaster.forecast_from(altered, [origin]), forecaster.forecast_from(world.df, [origin]), model)
    with pytest.raises(DataError, match="0 or less"):
        forecaster.forecast_from(altered, [world.axis[86]])


@pytest.mark.parametrize(
    ("model", "name"),
    [
        pair
        for pair in pairs("integers", "nights into summer time", "several targets", "covariates")
        if pair[0] != "conformal"
    ],
)
def test_with_starts_it_is_as_if_the_frame_began_there(model: str, name: str) -> None:
    world, forecaster = WORLDS[name], fitted(model, name)
    steps = [66, 80]
    origins, starts = list(world.axis[steps]), list(world.axis[[step - 20 for step in steps]])
    found = forecaster.forecast_from(world.df, origins, starts=starts)
    parts = [
        expected(forecaster, world, origin, ids_in_view(world, step, forecaster), start)
        for step, origin, start in zip(steps, origins, starts, strict=True)
    ]
    assert_same(found, pd.concat(parts, ignore_index=True), model)


@pytest.mark.parametrize("model", ["drift", "climatology", "ridge", "hourglass"])
def test_a_start_hides_what_lies_before_it(model: str) -> None:
    world, forecaster = WORLDS["days"], fitted(model, "days")
    origin, start = world.axis[80], world.axis[60]
    early = np.asarray(world.times < start)
    altered = world.df.assign(y=world.df["y"].where(~early, 99.0))
    honest = forecaster.forecast_from(world.df, [origin], starts=[start])
    assert_same(forecaster.forecast_from(altered, [origin], starts=[start]), honest, model)


@pytest.mark.parametrize("model", MODELS)
def test_from_the_very_first_rows(model: str) -> None:
    """Fewer rows than any window or season has, and too few to show their frequency."""
    world, forecaster = WORLDS["days"], fitted(model, "days")
    for step in (0, 1, 5):
        found = forecaster.forecast_from(world.df, [world.axis[step]])
        assert_same(found, expected(forecaster, world, world.axis[step], None), model)


@pytest.mark.parametrize("model", MODELS)
def test_origins_that_show_no_series_give_no_rows(model: str) -> None:
    world, forecaster = WORLDS["holes, late and early"], fitted(model, "holes, late and early")
    before = world.axis[0] - pd.Timedelta("1D")
    for origins in ([], [before]):
        nothing = forecaster.forecast_from(world.df, origins)
        assert len(nothing) == 0
        assert list(nothing) == list(forecaster.forecast_from(world.df, [world.axis[70]]))
    both = forecaster.forecast_from(world.df, [before, world.axis[70]])
    assert_same(both, forecaster.forecast_from(world.df, [world.axis[70]]), model)


def test_a_series_whose_rows_end_at_once_and_that_was_not_fitted_are_left_out() -> None:
    world, model = WORLDS["covariates"], fitted("naive", "covariates")
    stranger = world.df[world.df["id"] == "a"].assign(id="new")
    found = model.forecast_from(pd.concat([world.df, stranger]), [world.axis[step] for step in (79, 80, 86, 87)])
    assert [part["id"].unique().tolist() for _, part in found.groupby("origin")] == [["a", "b"], ["a"], ["a"]]


@pytest.mark.parametrize("label", ["origin", "lead"])
def test_series_columns_with_our_names_are_refused(label: str) -> None:
    df = WORLDS["several targets"].df.rename(columns={"id": label})
    model = Naive(2).fit(df, time="t", target="y", series=label)
    with pytest.raises(DataError, match=f"column '{label}'.*the forecast's own.*Rename"):
        model.forecast_from(df, [df["t"].iloc[70]])


# --- vintages --------------------------------------------------------------------------------------------------------


def issues_of(world: World) -> pd.DataFrame:
    """Every value was issued three times: six, four and two days ahead, each with an error of its own."""
    parts = []
    for ahead in (6, 4, 2):
        part = world.df[["t", "id", "price", "event"]].copy()
        part["price"] += ahead
        parts.append(part.assign(made=part["t"] - pd.Timedelta(days=ahead)))
    return pd.concat(parts).sample(frac=1.0, random_state=3)


@pytest.mark.parametrize("model", ["naive", "hourglass"])
def test_the_newest_issues_up_to_the_origin_are_used(model: str) -> None:
    """By hand: one and two steps ahead the issue of two days before, if it had been made; else that of four."""
    world, forecaster = WORLDS["covariates"], fitted(model, "covariates")
    vintages = Vintages(issues_of(world), "made", "t", ["id"])
    origin = world.axis[66]
    known = world.known_after(origin)["known"]
    days_ahead = (known["t"] - origin).dt.days
    by_hand = known.assign(price=known["price"] + days_ahead.map({1: 2, 2: 2, 3: 4}))
    wanted = forecaster.forecast(world.up_to(origin), known=by_hand)
    found = forecaster.forecast_from(world.df, [origin], vintages=vintages)
    pd.testing.assert_frame_equal(found.drop(columns=["origin", "lead"]), wanted, check_exact=True)
    if model == "hourglass":
        plain = forecaster.forecast_from(world.df, [origin])
        assert not np.allclose(plain["forecast"], found["forecast"], rtol=1e-6)


@pytest.mark.parametrize("model", ["ridge", "hourglass"])
def test_issues_after_the_origin_change_nothing(model: str) -> None:
    world, forecaster = WORLDS["covariates"], fitted(model, "covariates")
    issues, origins = issues_of(world), [world.axis[66], world.axis[70]]
    honest = forecaster.forecast_from(world.df, origins, vintages=Vintages(issues, "made", "t", ["id"]))
    late = issues["made"] > origins[-1]
    for altered in (issues.assign(price=issues["price"].where(~late, 1e3)), issues[~late]):
        found = forecaster.forecast_from(world.df, origins, vintages=Vintages(altered, "made", "t", ["id"]))
        pd.testing.assert_frame_equal(found, honest, check_exact=True)


def test_issues_that_are_missing_are_named() -> None:
    world, forecaster = WORLDS["covariates"], fitted("naive", "covariates")
    issues = issues_of(world)
    gone = (issues["id"] == "b") & (issues["t"] == world.axis[68])
    vintages = Vintages(issues[~gone], "made", "t", ["id"])
    with pytest.raises(DataError, match=r"'price', first at 2024-03-09.*1 of 6 future values missing.*'b'"):
        forecaster.forecast_from(world.df, [world.axis[66]], vintages=vintages)
    with pytest.raises(DataError, match=r"'price'.*no such column in `vintages`"):
        forecaster.forecast_from(
            world.df, [world.axis[66]], vintages=Vintages(issues.drop(columns="price"), "made", "t", ["id"])
        )


# --- any other forecaster --------------------------------------------------------------------------------------------


class Spy:
    """Forecasts two days after the last row it is given, of every shop; remembers all it is given."""

    def __init__(self, frame: Any = None) -> None:
        self.frame = frame
        self.given: list[pd.DataFrame] = []
        self.known: list[pd.DataFrame | None] = []

    def forecast(self, df: pd.DataFrame | None = None, *, known: pd.DataFrame | None = None) -> Any:
        assert df is not None
        self.given.append(df.copy())
        self.known.append(known)
        if self.frame is not None:
            return self.frame(df)
        parts = []
        for shop, part in df.groupby("shop"):
            times = pd.date_range(part["day"].max(), periods=3)[:0:-1]  # the later time first
            parts.append(pd.DataFrame({"shop": shop, "day": times, "forecast": [2.0, 1.0]}))
        return pd.concat(parts).sample(frac=1.0, random_state=0)


def shops() -> pd.DataFrame:
    days = pd.date_range("2024-01-01", periods=12)
    a = pd.DataFrame({"shop": "a", "day": days, "y": np.arange(12.0), "price": np.arange(12.0) * 10})
    b = pd.DataFrame({"shop": "b", "day": days[4:10], "y": 5.0, "price": 7.0})
    return pd.concat([a, b]).sample(frac=1.0, random_state=1)


def shop_timeline(**roles: Any) -> Timeline:
    return Timeline.of(shops(), Roles.from_arguments("day", "y", "shop", **roles))


def day(number: int) -> pd.Timestamp:
    return pd.Timestamp("2024-01-01") + pd.Timedelta(days=number)


def test_it_sees_no_row_after_the_origin_nor_before_the_start() -> None:
    spy, timeline = Spy(), shop_timeline()
    origins = [day(4), day(6), day(9)]
    found = rolling_forecasts(spy, timeline, origins, starts=[None, day(3), day(9)])
    assert [given["day"].max() for given in spy.given] == origins
    assert [given["day"].min() for given in spy.given] == [day(0), day(3), day(9)]
    assert [len(given) for given in spy.given] == [6, 7, 2]
    assert spy.known == [None] * 3
    assert len(found) == 12


def test_leads_count_each_series_own_times_whatever_the_order_of_the_rows() -> None:
    found = rolling_forecasts(Spy(), shop_timeline(), [day(4), day(8)])
    assert (found["lead"] == found["forecast"]).all()
    assert (found["day"] - found["origin"] == pd.to_timedelta(found["lead"], unit="D")).all()
    assert found["origin"].tolist() == [day(4)] * 4 + [day(8)] * 4
    assert sorted(found) == ["day", "forecast", "lead", "origin", "shop"]


def test_of_the_rows_after_the_origin_it_is_given_the_known_columns_alone() -> None:
    spy = Spy()
    rolling_forecasts(spy, shop_timeline(known=["price"]), [day(8)])
    (known,) = spy.known
    assert known is not None
    assert sorted(known) == ["day", "price", "shop"]
    assert known.sort_values(["shop", "day"])["day"].tolist() == [day(9), day(10), day(11), day(9)]


def test_with_vintages_it_is_given_what_was_issued() -> None:
    spy = Spy()
    issues = shops()[["shop", "day", "price"]].assign(made=lambda issues: issues["day"] - pd.Timedelta(days=2))
    vintages = Vintages(issues, "made", "day", ["shop"])
    rolling_forecasts(spy, shop_timeline(known=["price"]), [day(8)], vintages=vintages)
    (known,) = spy.known
    assert known is not None
    assert known["day"].max() == day(10)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (lambda df: [1.0, 2.0], "a list from Spy.forecast; expected a DataFrame"),
        (lambda df: pd.DataFrame({"shop": "a", "day": [day(9)]}), "column 'forecast'.*Spy.forecast"),
        (lambda df: pd.DataFrame({"forecast": [1.0]}), "(?s)2 problems.*column 'shop'.*column 'day'"),
        (
            lambda df: pd.DataFrame({"shop": "a", "day": [day(9)] * 2, "forecast": 1.0}),
            "column 'day', first at 2024-01-10: found 1 rows of Spy.forecast for a series and time that it gives",
        ),
        (
            lambda df: pd.DataFrame({"shop": "a", "day": [day(9)], "forecast": 1.0, "lead": 1}),
            "column 'lead'.*Leave it out",
        ),
    ],
    ids=["no frame", "no forecast", "no keys", "twice", "a column of ours"],
)
def test_frames_that_cannot_be_used_are_refused(frame: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        rolling_forecasts(Spy(frame), shop_timeline(), [day(8)])


def test_roles_come_back_as_arguments() -> None:
    roles = {"time": "t", "target": ["z", "y"], "series": "id", "known": ["p"], "past": ["q"], "static": ["s"]}
    df = pd.DataFrame({label: [1, 2] for label in ("t", "z", "y", "id", "p", "q", "s")})
    assert Timeline.of(df, Roles.from_arguments(**roles)).arguments == roles
    plain = Timeline.of(df, Roles.from_arguments("t", "y")).arguments
    assert plain == {"time": "t", "target": "y", "series": None}


def test_the_frame_is_left_alone() -> None:
    world = WORLDS["holes, late and early"]
    before = world.df.copy(deep=True)
    for model in MODELS:
        fitted(model, "holes, late and early").forecast_from(world.df, [world.axis[70]])
    pd.testing.assert_frame_equal(world.df, before)
