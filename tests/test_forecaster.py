"""The forecaster as a user meets it: frames of every shape in, the right rows with sound numbers out."""

from __future__ import annotations

import inspect
import random
import signal
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from hourglass_ts.errors import DataError, NotFittedError, SettingsError
from hourglass_ts.forecaster import HourGlassForecaster
from hourglass_ts.model._model import HourGlassModel

TINY = {
    "max_epochs": 1,
    "steps_per_epoch": 3,
    "d_model": 16,
    "n_heads": 2,
    "d_ff": 16,
    "progress": False,
    "accelerator": "cpu",
}


def forecaster(horizon: int = 3, context: int | None = 14, **changes: Any) -> HourGlassForecaster:
    return HourGlassForecaster(horizon=horizon, context=context, **{**TINY, **changes})


def weekly_wave(n: int, seed: int = 0, level: float = 0.0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=n)
    return level + np.sin(2 * np.pi * np.arange(n) / 7) + 0.1 * noise


def one_series(n: int = 100, **changes: Any) -> pd.DataFrame:
    return pd.DataFrame({"day": pd.date_range("2024-01-01", periods=n), "y": weekly_wave(n), **changes})


SHOPS = {"north": 120, "east": 90, "west": 105}  # in this order, and of these lengths


def shops(**lengths: int) -> pd.DataFrame:
    """Three shops that open on one day and close on different ones, with every kind of covariate, rows shuffled."""
    parts = []
    for number, (shop, n) in enumerate((SHOPS | lengths).items()):
        rng = np.random.default_rng(number)
        price = 5 + rng.normal(size=n).cumsum() / 10
        parts.append(
            pd.DataFrame(
                {
                    "shop": shop,
                    "day": pd.date_range("2024-01-01", periods=n),
                    "sales": weekly_wave(n, number, level=10.0 * number) - 0.5 * price,
                    "price": price,
                    "event": np.where(rng.random(n) < 0.2, "sale", "none"),
                    "visits": np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n)),
                    "sky": pd.Series(np.where(rng.random(n) < 0.5, "sun", "rain"), dtype=object).where(
                        rng.random(n) < 0.7, None
                    ),
                    "size": 100.0 * (number + 1),
                    "region": ["n", "e", "w"][number],
                }
            )
        )
    return pd.concat(parts).sample(frac=1.0, random_state=1).reset_index(drop=True)


SHOP_ROLES: dict[str, Any] = {
    "time": "day",
    "target": "sales",
    "series": "shop",
    "known": ["price", "event"],
    "past": ["visits", "sky"],
    "static": ["size", "region"],
}


def known_rows(steps: int = 3, **lengths: int) -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            {
                "shop": shop,
                "day": pd.date_range("2024-01-01", periods=n + steps)[-steps:],
                "price": np.linspace(4.0, 6.0, steps),
                "event": "sale",
            }
        )
        for shop, n in (SHOPS | lengths).items()
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def shop_model() -> HourGlassForecaster:
    """Every role at once; tests only ask it for forecasts."""
    return forecaster(max_epochs=2).fit(shops(), **SHOP_ROLES)


@pytest.fixture(scope="module")
def plain_model() -> HourGlassForecaster:
    return forecaster().fit(one_series(), time="day", target="y")


def numbers(forecast: pd.DataFrame) -> np.ndarray:
    """The forecast columns alone."""
    own = [label for label in forecast.columns if label == "forecast" or str(label).startswith("q")]
    return forecast[own].to_numpy()


def assert_sound(forecast: pd.DataFrame, quantiles: tuple[str, ...] = ("q0.1", "q0.5", "q0.9")) -> None:
    """Finite numbers, and quantiles in their order."""
    values = forecast[["forecast", *quantiles]].to_numpy(dtype=float)
    assert np.isfinite(values).all()
    assert (np.diff(values[:, 1:], axis=1) >= 0).all()


# --- a scikit-learn estimator ----------------------------------------------------------------------------------------


def test_it_is_a_scikit_learn_estimator() -> None:
    levels = [0.2, 0.8]
    model = HourGlassForecaster(5, quantiles=levels, transform="log")
    assert model.get_params()["quantiles"] is levels
    assert set(model.get_params()) == set(inspect.signature(HourGlassForecaster).parameters)
    twin = clone(model)
    assert twin is not model
    assert twin.get_params() == model.get_params()
    assert twin.set_params(horizon=7).horizon == 7
    assert "horizon=5" in repr(model)


def test_making_one_does_no_work_and_checks_nothing() -> None:
    model = HourGlassForecaster(horizon="nonsense", quantiles=None, accelerator=object())
    assert not [name for name in vars(model) if name.endswith("_")]


def test_clone_of_a_fitted_one_is_not_fitted(plain_model: HourGlassForecaster) -> None:
    with pytest.raises(NotFittedError, match="Call fit"):
        clone(plain_model).forecast()


# --- the shapes that frames come in ----------------------------------------------------------------------------------


def test_long_frame_with_every_role(shop_model: HourGlassForecaster) -> None:
    future = shop_model.forecast(known=known_rows())
    assert list(future) == ["shop", "day", "forecast", "q0.1", "q0.5", "q0.9"]
    assert future["shop"].tolist() == ["east"] * 3 + ["north"] * 3 + ["west"] * 3
    for shop, n in SHOPS.items():
        own = future[future["shop"] == shop]
        assert own["day"].tolist() == list(pd.date_range("2024-01-01", periods=n + 3)[-3:])
    assert_sound(future)
    # the three levels are 10 apart: rows belong to their own series
    assert np.allclose(future.groupby("shop", sort=False)["forecast"].mean(), [7.5, -2.5, 17.5], atol=2.0)


def test_row_order_does_not_matter() -> None:
    frame = shops()
    model, other = forecaster(), forecaster()
    model.fit(frame, **SHOP_ROLES)
    other.fit(frame.sort_values(["day", "shop"], ascending=False), **SHOP_ROLES)
    pd.testing.assert_frame_equal(model.forecast(known=known_rows()), other.forecast(known=known_rows()))


def test_the_users_frames_are_left_alone(shop_model: HourGlassForecaster) -> None:
    frame, ahead = shops(), known_rows()
    before, ahead_before = frame.copy(deep=True), ahead.copy(deep=True)
    forecaster().fit(frame, **SHOP_ROLES)
    shop_model.forecast(frame, known=ahead)
    pd.testing.assert_frame_equal(frame, before)
    pd.testing.assert_frame_equal(ahead, ahead_before)


def wide_frame(n: int = 100) -> pd.DataFrame:
    return pd.DataFrame(
        {"a": weekly_wave(n, 1), "b": weekly_wave(n, 2, 50.0), "note": "x"},
        index=pd.date_range("2024-01-01", periods=n, name="day"),
    )


def test_wide_frame_takes_every_numeric_column() -> None:
    model = forecaster().fit(wide_frame())
    future = model.forecast()
    assert list(future) == ["day", "target", "forecast", "q0.1", "q0.5", "q0.9"]
    assert future["target"].tolist() == ["a"] * 3 + ["b"] * 3
    assert any("note" in note for note in model.notes_)
    assert np.allclose(future["forecast"].to_numpy().reshape(2, 3).mean(1), [0, 50], atol=1.5)
    assert_sound(future)


def test_wide_frame_by_list_is_the_same() -> None:
    frame = wide_frame()
    whole = forecaster().fit(frame).forecast()
    listed = forecaster().fit(frame.reset_index(), time="day", target=["a", "b"]).forecast()
    pd.testing.assert_frame_equal(whole, listed)


def test_wide_equals_long() -> None:
    """A wide frame of two columns has the very forecasts of the long frame with a series column."""
    wide = wide_frame()[["a", "b"]]
    long = wide.reset_index().melt(id_vars="day", var_name="id", value_name="y")
    from_wide = forecaster().fit(wide).forecast()
    from_long = forecaster().fit(long, time="day", target="y", series="id").forecast()
    np.testing.assert_array_equal(numbers(from_wide), numbers(from_long))


def test_several_targets_of_several_series() -> None:
    frame = shops().drop(columns=["visits", "sky", "size", "region", "event"])
    future = forecaster().fit(frame, time="day", target=["sales", "price"], series="shop").forecast()
    assert list(future) == ["shop", "day", "target", "forecast", "q0.1", "q0.5", "q0.9"]
    assert len(future) == 3 * 2 * 3
    prices = future[future["target"] == "price"]["forecast"]
    assert prices.between(3, 7).all()
    assert_sound(future)


def test_two_series_columns() -> None:
    frame = shops().assign(shop2=lambda f: f["shop"].str.len())
    model = forecaster().fit(frame, time="day", target="sales", series=["shop2", "shop"])
    assert list(model.forecast())[:3] == ["shop2", "shop", "day"]
    assert model.forecast()["shop"].unique().tolist() == ["east", "west", "north"]


def test_column_names_of_any_kind_give_the_same_numbers() -> None:
    names: dict[Any, Any] = {
        "shop": ("id", "shop"),
        "day": 0,
        "sales": ("y", 1, 2),
        "price": 7,
        "event": ("known", "event"),
        "visits": 3.5,
        "sky": ("past", "sky"),
        "size": None,
        "region": ("static", "region"),
    }
    names["size"] = ("static", "size")
    frame, ahead = shops(), known_rows()
    renamed, renamed_ahead = (part.rename(columns=names) for part in (frame, ahead))
    renamed.columns = pd.Index(list(renamed.columns), tupleize_cols=False)
    renamed_ahead.columns = pd.Index(list(renamed_ahead.columns), tupleize_cols=False)
    roles = {
        role: [names[label] for label in labels] if isinstance(labels, list) else names[labels]
        for role, labels in SHOP_ROLES.items()
    }
    plain = forecaster().fit(frame, **SHOP_ROLES).forecast(known=ahead)
    future = forecaster().fit(renamed, **roles).forecast(known=renamed_ahead)
    assert list(future) == [("id", "shop"), 0, "forecast", "q0.1", "q0.5", "q0.9"]
    np.testing.assert_array_equal(numbers(future), numbers(plain))


def test_covariates_may_be_one_label_a_list_or_a_tuple() -> None:
    frame = one_series(price=np.arange(100.0))
    for labels in ("price", ["price"], ("price",)):
        model = forecaster().fit(frame, time="day", target="y", past=labels)
        assert model.roles_.past == ("price",)
    frame = frame.rename(columns={"price": ("p", 1)})
    assert forecaster().fit(frame, time="day", target="y", past=("p", 1)).roles_.past == (("p", 1),)


# --- time ------------------------------------------------------------------------------------------------------------


def hours_in_berlin(n: int) -> pd.DatetimeIndex:
    """Ends some hours before the clocks go back, on 2024-10-27 at 03:00."""
    return pd.date_range(end="2024-10-27 00:00", periods=n, freq="h", tz="Europe/Berlin")


TIMES: dict[str, tuple[Any, list[Any]]] = {
    "integers": (range(5, 105), [105, 106, 107]),
    "every tenth integer": (range(0, 1000, 10), [1000, 1010, 1020]),
    "dates": (pd.date_range("2023-12-01", periods=90), ["2024-02-29", "2024-03-01", "2024-03-02"]),
    "business days": (pd.bdate_range("2024-01-01", periods=100), ["2024-05-20", "2024-05-21", "2024-05-22"]),
    "month starts": (pd.date_range("2016-01-01", periods=96, freq="MS"), ["2024-01-01", "2024-02-01", "2024-03-01"]),
    "month ends": (pd.date_range("2016-01-31", periods=97, freq="ME"), ["2024-02-29", "2024-03-31", "2024-04-30"]),
    "hours over the change to winter time": (
        hours_in_berlin(120),
        ["2024-10-27 01:00+02:00", "2024-10-27 02:00+02:00", "2024-10-27 02:00+01:00"],
    ),
    "hours over the change to summer time": (
        pd.date_range(end="2024-03-31 00:00", periods=120, freq="h", tz="Europe/Berlin"),
        ["2024-03-31 01:00+01:00", "2024-03-31 03:00+02:00", "2024-03-31 04:00+02:00"],
    ),
    "days in New York over the change": (
        pd.date_range(end="2024-03-09", periods=90, freq="D", tz="America/New_York"),
        ["2024-03-10 00:00-05:00", "2024-03-11 00:00-04:00", "2024-03-12 00:00-04:00"],
    ),
}


@pytest.mark.parametrize("name", TIMES)
def test_rows_begin_right_after_the_last_time_on_its_own_calendar(name: str) -> None:
    times, expected = TIMES[name]
    times = pd.Index(times)
    frame = pd.DataFrame({"t": times, "y": weekly_wave(len(times))})
    future = forecaster().fit(frame, time="t", target="y").forecast()
    assert future["t"].dtype == times.dtype
    wanted = pd.Index(expected)
    if isinstance(times, pd.DatetimeIndex):
        wanted = pd.DatetimeIndex(expected) if times.tz is None else pd.to_datetime(expected, utc=True)
    assert (pd.Index(future["t"]) == wanted).all()
    assert_sound(future)


def test_holidays_hold_in_fit_and_in_new_history() -> None:
    """27 and 28 May are no sessions here: forecasts step over them, also from a history that shows none of it."""
    sessions = pd.offsets.CustomBusinessDay(holidays=["2024-05-27", "2024-05-28"])
    days = pd.date_range(end="2024-05-24", periods=90, freq=sessions)
    frame = pd.DataFrame({"t": days, "y": weekly_wave(90)})
    model = forecaster(freq=sessions).fit(frame, time="t", target="y")
    for future in (model.forecast(), model.forecast(frame[-20:])):
        assert future["t"].dt.day.tolist() == [29, 30, 31]


def test_series_may_have_calendars_of_their_own() -> None:
    daily = pd.DataFrame({"id": "daily", "t": pd.date_range("2024-01-01", periods=80), "y": weekly_wave(80)})
    monthly = pd.DataFrame(
        {"id": "monthly", "t": pd.date_range("2016-01-01", periods=80, freq="MS"), "y": weekly_wave(80, 1)}
    )
    frame = pd.concat([daily, monthly])
    model = forecaster().fit(frame, time="t", target="y", series="id")
    future = model.forecast()
    assert future["t"].tolist() == [
        *pd.date_range("2024-03-21", periods=3),
        *pd.date_range("2022-09-01", periods=3, freq="MS"),
    ]
    pd.testing.assert_frame_equal(model.forecast(frame), future)
    with pytest.raises(DataError, match=r"steps of 'W-MON'.*steps of 'D', as in the data of the fit"):
        model.forecast(daily[::7].tail(8))


# --- gaps and covariates ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_rows", [True, False])
def test_a_third_of_the_target_missing(as_rows: bool) -> None:
    """Missing as NaN and missing as absent rows are the same thing, and are told."""
    frame = one_series(200)
    holes = np.random.default_rng(3).random(200) < 0.3
    holes[[0, -1]] = False
    holey = frame.assign(y=frame["y"].where(~holes))
    model = forecaster().fit(holey if as_rows else holey.dropna(), time="day", target="y")
    future = model.forecast()
    assert future["day"].iloc[0] == frame["day"].iloc[-1] + pd.Timedelta(days=1)
    assert_sound(future)
    assert str(holes.sum()) in " ".join(model.notes_)
    other = forecaster().fit(holey.dropna() if as_rows else holey, time="day", target="y").forecast()
    pd.testing.assert_frame_equal(future, other)


def test_a_hole_longer_than_the_context() -> None:
    frame = one_series(200)
    frame.loc[100:160, "y"] = np.nan
    frame.loc[180:197, "y"] = np.nan
    model = forecaster().fit(frame, time="day", target="y")
    assert_sound(model.forecast())
    pd.testing.assert_frame_equal(model.forecast(), model.forecast(frame))


def test_forecasts_start_after_the_last_value_of_each_series() -> None:
    """Trailing rows without a value are no observation: the forecast fills them."""
    frame = one_series(100)
    frame.loc[95:, "y"] = np.nan
    model = forecaster().fit(frame, time="day", target="y")
    assert model.forecast()["day"].iloc[0] == frame["day"].iloc[95]
    assert any("5 trailing rows" in note for note in model.notes_)


def test_covariates_with_holes_change_the_forecast_only_where_they_say_something() -> None:
    """A past covariate without any value, or one value, is like none: no NaN comes out."""
    frame = one_series(nothing=np.nan, word=None, one="always")
    model = forecaster().fit(frame, time="day", target="y", past=["nothing", "word", "one"])
    assert_sound(model.forecast())


def test_the_value_before_the_kept_rows_still_fills_a_hole() -> None:
    """What a covariate was last may lie far before the context; `forecast()` and the whole frame must agree."""
    frame = one_series(signal=np.where(np.arange(100) == 40, 5.0, np.nan))
    frame["mood"] = pd.Series(np.where(np.arange(100) == 40, "high", None), dtype=object)
    frame.loc[0, ["signal", "mood"]] = [1.0, "low"]
    model = forecaster(max_epochs=2).fit(frame, time="day", target="y", past=["signal", "mood"])
    filled = frame.assign(signal=frame["signal"].ffill(), mood=frame["mood"].ffill())
    pd.testing.assert_frame_equal(model.forecast(), model.forecast(filled))


def test_known_covariates_reach_the_forecast() -> None:
    """A target that is its own known covariate is forecast from it, which no line on the past can do."""
    rng = np.random.default_rng(0)
    switch = rng.integers(0, 2, 403).astype(float)
    days = pd.date_range("2023-01-01", periods=403)
    frame = pd.DataFrame({"day": days, "switch": switch, "y": switch + 0.01 * rng.normal(size=403)})
    model = forecaster(max_epochs=6, steps_per_epoch=10, learning_rate=1e-2)
    model.fit(frame[:400], time="day", target="y", known="switch")
    future = model.forecast(known=frame[400:])
    opposite = model.forecast(known=frame[400:].assign(switch=1 - switch[400:]))
    assert (future["forecast"] > 0.5).tolist() == switch[400:].astype(bool).tolist()
    assert (opposite["forecast"] > 0.5).tolist() == (1 - switch[400:]).astype(bool).tolist()
    assert model.share_ > 0.5


def test_known_rows_are_needed_only_for_the_steps_asked_for(shop_model: HourGlassForecaster) -> None:
    whole = shop_model.forecast(known=known_rows())
    first = shop_model.forecast(known=known_rows().groupby("shop").head(2), horizon=2)
    pd.testing.assert_frame_equal(first, whole.groupby("shop").head(2).reset_index(drop=True))


def test_rows_of_known_that_are_not_needed_are_ignored(shop_model: HourGlassForecaster) -> None:
    extra = known_rows().assign(day=lambda f: f["day"] + pd.Timedelta(days=40), price=np.inf)
    more = pd.concat([extra, known_rows(), shops()[["shop", "day", "price", "event"]]])
    pd.testing.assert_frame_equal(shop_model.forecast(known=more), shop_model.forecast(known=known_rows()))


# --- new history -----------------------------------------------------------------------------------------------------


def test_forecast_of_the_training_frame_is_the_forecast(shop_model: HourGlassForecaster) -> None:
    ahead = known_rows()
    pd.testing.assert_frame_equal(shop_model.forecast(shops(), known=ahead), shop_model.forecast(known=ahead))


def test_some_series_in_any_order_keep_their_own_forecasts(shop_model: HourGlassForecaster) -> None:
    whole = shop_model.forecast(known=known_rows())
    for names in (["west"], ["west", "north"], ["north", "east", "west"]):
        frame = pd.concat([shops().query("shop == @name") for name in names])
        some = shop_model.forecast(frame, known=known_rows())
        assert set(some["shop"]) == set(names)
        expected = whole[whole["shop"].isin(names)].reset_index(drop=True)
        pd.testing.assert_frame_equal(some, expected, rtol=1e-6)


def test_new_history_moves_the_origin_and_nothing_else(plain_model: HourGlassForecaster) -> None:
    frame = one_series(110)
    before = {name: tensor.clone() for name, tensor in plain_model.trained_.model.state_dict().items()}
    future = plain_model.forecast(frame)
    assert future["day"].tolist() == list(pd.date_range("2024-04-20", periods=3))
    assert not np.array_equal(numbers(future), numbers(plain_model.forecast()))
    after = plain_model.trained_.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert len(plain_model.history_.table) <= 14 + 1  # the fitted history is kept as it was


def test_history_before_the_context_says_nothing(plain_model: HourGlassForecaster) -> None:
    frame = one_series(110)
    pd.testing.assert_frame_equal(plain_model.forecast(frame), plain_model.forecast(frame[-14:]))


@pytest.mark.parametrize("rows", [[109], [99, 109], [105, 107, 109]])
def test_a_short_or_holey_history_keeps_the_fitted_calendar(plain_model: HourGlassForecaster, rows: list[int]) -> None:
    """One row shows no frequency, and rows two days apart show the wrong one: the fitted frequency holds."""
    future = plain_model.forecast(one_series(110).iloc[rows])
    assert future["day"].tolist() == list(pd.date_range("2024-04-20", periods=3))
    assert_sound(future)


def test_weekly_series_keep_their_weekdays_in_a_short_history() -> None:
    parts = [
        pd.DataFrame({"id": day, "t": pd.date_range("2022-01-01", periods=60, freq=f"W-{day}"), "y": weekly_wave(60)})
        for day in ("MON", "FRI")
    ]
    frame = pd.concat(parts)
    model = forecaster().fit(frame, time="t", target="y", series="id")
    future = model.forecast(frame.groupby("id").tail(1))
    pd.testing.assert_frame_equal(future[["id", "t"]], model.forecast()[["id", "t"]])


def test_new_history_in_another_resolution_of_time(plain_model: HourGlassForecaster) -> None:
    frame = one_series(110)
    finer = frame.assign(day=frame["day"].astype("datetime64[ns]"))
    np.testing.assert_array_equal(numbers(plain_model.forecast(finer)), numbers(plain_model.forecast(frame)))


def test_unseen_categories_and_missing_statics_do_not_stop_a_forecast(shop_model: HourGlassForecaster) -> None:
    frame = shops().assign(sky="hail", region=None, size=np.nan)
    ahead = known_rows().assign(event="strike")
    assert_sound(shop_model.forecast(frame, known=ahead))


# --- horizon and quantiles -------------------------------------------------------------------------------------------


def test_a_shorter_horizon_gives_the_first_rows(plain_model: HourGlassForecaster) -> None:
    pd.testing.assert_frame_equal(plain_model.forecast(horizon=2), plain_model.forecast().head(2))
    pd.testing.assert_frame_equal(plain_model.forecast(horizon=3), plain_model.forecast())


def test_a_longer_horizon_is_refused_with_the_next_step(plain_model: HourGlassForecaster) -> None:
    with pytest.raises(SettingsError, match=r"horizon=4.*at most the fitted horizon of 3.*Fit .* with horizon=4"):
        plain_model.forecast(horizon=4)


def test_the_fitted_horizon_counts_whatever_is_set_later() -> None:
    model = forecaster().fit(one_series(), time="day", target="y").set_params(horizon=9)
    assert len(model.forecast()) == 3
    with pytest.raises(SettingsError, match="fitted horizon of 3"):
        model.forecast(horizon=9)


@pytest.mark.parametrize(
    ("levels", "columns"),
    [
        ((), []),
        ((0.5,), ["q0.5"]),
        ((0.25, 0.75), ["q0.25", "q0.75"]),
        ((0.9, 0.025, 0.5), ["q0.9", "q0.025", "q0.5"]),
        ((0.7, 0.9), ["q0.7", "q0.9"]),
        (np.array([0.1, 0.9], dtype=np.float32), ["q0.1", "q0.9"]),
    ],
)
def test_quantile_columns_are_the_users_in_their_order(levels: Any, columns: list[str]) -> None:
    future = forecaster(quantiles=levels, max_epochs=2).fit(one_series(), time="day", target="y").forecast()
    assert list(future) == ["day", "forecast", *columns]
    assert_sound(future, tuple(sorted(columns, key=lambda name: float(name[1:]))))


def test_intervals_have_the_width_of_the_noise() -> None:
    """White noise of deviation 2 on a level: 80 % lie within ± 2.56, whatever the network's share."""
    y = 100 + 2 * np.random.default_rng(0).normal(size=800)
    future = forecaster(context=28).fit(one_series(800, y=y), time="day", target="y").forecast()
    assert np.allclose(future["forecast"], 100, atol=1.5)
    assert np.allclose(future["q0.9"] - future["q0.1"], 2 * 2.56, rtol=0.25)


# --- repeatable, and alone -------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_forecast_and_another_seed_another_network() -> None:
    frame = one_series()
    first, second, other = (
        forecaster(seed=seed, max_epochs=2).fit(frame, time="day", target="y") for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(first.forecast(), second.forecast())
    weights, others = (model.trained_.model.network.token.weight for model in (first, other))
    assert not torch.equal(weights, others)


def test_randomness_outside_is_left_alone(shop_model: HourGlassForecaster) -> None:
    def states() -> tuple[Any, ...]:
        return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()

    before = states()
    model = forecaster().fit(one_series(), time="day", target="y")
    model.forecast()
    shop_model.forecast(shops(), known=known_rows())
    assert states() == before


def test_a_tiny_time_budget_still_gives_a_usable_model() -> None:
    model = forecaster(time_budget=1e-3, max_epochs=500, steps_per_epoch=500).fit(one_series(), time="day", target="y")
    assert 0 <= model.share_ <= 1
    assert_sound(model.forecast())


def test_progress_shows_a_bar_and_ends_clean(capsys: pytest.CaptureFixture[str]) -> None:
    forecaster(progress=True).fit(one_series(), time="day", target="y")
    shown = capsys.readouterr()
    assert "Epoch" in shown.out
    assert "Traceback" not in shown.out + shown.err
    forecaster(progress=False).fit(one_series(), time="day", target="y").forecast()
    quiet = capsys.readouterr()
    assert quiet.out + quiet.err == ""


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_costs_nobody_the_training(bad: float, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = one_series()
    floor_alone = forecaster().fit(frame, time="day", target="y")
    step = HourGlassModel.training_step

    def broken(self: HourGlassModel, batch: Any, batch_idx: int) -> Any:
        log = step(self, batch, batch_idx)
        log["loss"] = log["loss"] * bad
        return log

    monkeypatch.setattr(HourGlassModel, "training_step", broken)
    with pytest.warns(UserWarning, match="training stopped early.*learning_rate"):
        model = forecaster(max_epochs=3).fit(frame, time="day", target="y")
    assert model.share_ == 0
    assert_sound(model.forecast())
    assert floor_alone.share_ == 0
    np.testing.assert_allclose(model.forecast()["forecast"], floor_alone.forecast()["forecast"], rtol=1e-5)


def test_an_interrupt_is_an_interrupt(plain_model: HourGlassForecaster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C must neither end a notebook's process nor leave it deaf to the next Ctrl-C; the old fit stays."""

    def interrupted(self: HourGlassModel, batch: Any, batch_idx: int) -> Any:
        raise KeyboardInterrupt

    before, handler = plain_model.forecast(), signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(HourGlassModel, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        plain_model.fit(one_series(50), time="day", target="y")
    assert signal.getsignal(signal.SIGINT) is handler
    pd.testing.assert_frame_equal(plain_model.forecast(), before)


def test_fitting_again_forgets_the_first_fit() -> None:
    model = forecaster().fit(shops(), **SHOP_ROLES)
    model.fit(one_series(), time="day", target="y")
    pd.testing.assert_frame_equal(model.forecast(), forecaster().fit(one_series(), time="day", target="y").forecast())


def test_a_failed_fit_leaves_the_fitted_model(plain_model: HourGlassForecaster) -> None:
    before = plain_model.forecast()
    with pytest.raises(DataError):
        plain_model.fit(one_series(5), time="day", target="y")
    pd.testing.assert_frame_equal(plain_model.forecast(), before)


# --- odd numbers -----------------------------------------------------------------------------------------------------


def test_a_constant_series_stays_constant() -> None:
    future = forecaster().fit(one_series(y=0.1), time="day", target="y").forecast()
    np.testing.assert_allclose(future["forecast"], 0.1, rtol=1e-9)
    np.testing.assert_allclose(numbers(future), 0.1, rtol=1e-3)


def test_a_series_that_never_changed_until_the_end() -> None:
    frame = one_series(y=np.r_[np.full(95, 4.0), 4.5, 5.0, 5.5, 5.0, 6.0])
    future = forecaster().fit(frame, time="day", target="y").forecast()
    assert_sound(future)
    assert future["forecast"].between(3, 8).all()


@pytest.mark.parametrize(
    ("shift", "scale"), [(1e9, 1.0), (-1e9, 1.0), (1e9, 1e-3), (0.0, 1e-9), (0.0, 1e-30), (0.0, 1e9), (1e9, 1e9)]
)
def test_units_do_not_matter(shift: float, scale: float) -> None:
    """The forecast of a + b·y is a + b times the forecast of y."""
    plain = one_series(200)
    model = forecaster().fit(plain, time="day", target="y")
    other = forecaster().fit(plain.assign(y=shift + scale * plain["y"]), time="day", target="y")
    back = (numbers(other.forecast()) - shift) / scale
    np.testing.assert_allclose(back, numbers(model.forecast()), atol=5e-3)


def test_a_series_of_zeros_and_an_all_but_empty_one() -> None:
    frame = one_series(y=0.0)
    assert np.abs(numbers(forecaster().fit(frame, time="day", target="y").forecast())).max() < 0.05
    frame = one_series(y=np.where(np.isin(np.arange(100), [0, 50, 99]), 3.0, np.nan))
    future = forecaster().fit(frame, time="day", target="y").forecast()
    np.testing.assert_allclose(future["forecast"], 3.0, rtol=1e-6)


def test_an_outlier_in_new_history_is_survived(plain_model: HourGlassForecaster) -> None:
    frame = one_series(110)
    frame.loc[108, "y"] = 1e15
    assert_sound(plain_model.forecast(frame))


def test_integer_targets_are_numbers() -> None:
    counts = np.random.default_rng(0).poisson(20, 100)
    for values in (counts, pd.array(counts, dtype="Int64"), [str(count) for count in counts]):
        future = forecaster().fit(one_series(y=values), time="day", target="y").forecast()
        assert future["forecast"].between(10, 30).all()


def test_logarithm_keeps_forecasts_positive_and_follows_growth() -> None:
    growth = np.exp(0.05 * np.arange(100)) * (1 + 0.01 * np.random.default_rng(0).normal(size=100))
    model = forecaster(transform="log").fit(one_series(y=growth), time="day", target="y")
    future = model.forecast()
    assert (numbers(future) > 0).all()
    assert_sound(future)
    assert (future["forecast"] > growth[-1]).all()
    tenfold = forecaster(transform="log").fit(one_series(y=10 * growth), time="day", target="y").forecast()
    np.testing.assert_allclose(numbers(tenfold), 10 * numbers(future), rtol=1e-3)


def test_without_the_floor_the_network_stands_alone_on_the_last_value() -> None:
    walk = np.random.default_rng(0).normal(size=200).cumsum()
    model = forecaster(floor=False).fit(one_series(200, y=walk), time="day", target="y")
    assert model.share_ == 1
    assert np.abs(model.forecast()["forecast"] - walk[-1]).max() < 1.0


# --- many series, short series ---------------------------------------------------------------------------------------


def test_three_hundred_short_series() -> None:
    """Numbered, not sorted as text: series 10 must not get the forecast of series 2."""
    n_series, n = 300, 24
    number = np.repeat(np.arange(n_series), n)
    step = np.tile(np.arange(n), n_series)
    noise = np.random.default_rng(0).normal(size=len(step))
    frame = pd.DataFrame({"id": number, "t": step, "y": 100.0 * number + np.sin(step) + 0.1 * noise})
    model = forecaster(horizon=2, context=None).fit(frame, time="t", target="y", series="id")
    future = model.forecast()
    assert len(future) == 600
    np.testing.assert_allclose(future["forecast"], 100.0 * future["id"], atol=3)
    some = model.forecast(frame[frame["id"].isin([11, 2, 299])])
    expected = future[future["id"].isin([11, 2, 299])].reset_index(drop=True)
    pd.testing.assert_frame_equal(some, expected, rtol=1e-6)


def test_series_too_short_for_a_validation_tail_are_learnt_from_and_forecast() -> None:
    long, short = one_series(200, id="long"), one_series(200, id="short").tail(11)
    model = forecaster().fit(pd.concat([long, short]), time="day", target="y", series="id")
    future = model.forecast()
    assert_sound(future)
    assert set(future["id"]) == {"long", "short"}
    assert (future["day"].groupby(future["id"]).min() == pd.Timestamp("2024-07-19")).all()


@pytest.mark.parametrize(
    ("n", "horizon", "context", "chosen"),
    [(400, 3, None, 56), (100, 3, None, 25), (400, 40, None, 80), (12, 3, None, 3), (400, 3, 10, 10)],
)
def test_context_is_chosen_by_season_horizon_and_length(n: int, horizon: int, context: Any, chosen: int) -> None:
    model = forecaster(horizon=horizon, context=context).fit(one_series(n), time="day", target="y")
    assert model.trained_.plan.context == chosen
    assert len(model.forecast()) == horizon


def test_the_shortest_series_that_can_be_fitted() -> None:
    """One window to learn from and one to judge by: no less, and an error below that."""
    fits = []
    for n in range(3, 9):
        try:
            assert_sound(forecaster(horizon=1, context=2).fit(one_series(n), time="day", target="y").forecast())
            fits.append(n)
        except DataError:
            pass
    assert fits == list(range(min(fits), 9))
    assert min(fits) == 3


# --- no later row changes anything -----------------------------------------------------------------------------------


@given(cutoff=st.integers(30, 80), seed=st.integers(0, 2**16))
@settings(max_examples=15, deadline=None)
def test_nothing_after_the_cutoff_reaches_the_forecast(cutoff: int, seed: int, shop_model: HourGlassForecaster) -> None:
    """Values, covariates, holes, even the number of rows: all are changed after the cutoff."""
    day = pd.Timestamp("2024-01-01") + pd.Timedelta(days=cutoff)
    rng = np.random.default_rng(seed)
    frame = shops()
    altered = frame.copy()
    late = (altered["day"] > day).to_numpy()
    for label in ("sales", "price", "visits"):
        spoilt = np.where(rng.random(late.sum()) < 0.3, np.nan, 1e3 * rng.normal(size=late.sum()))
        altered.loc[late, label] = spoilt
    altered.loc[late, ["event", "sky"]] = "unheard of"
    altered = altered[~late | (rng.random(len(altered)) < 0.7)]
    ahead = known_rows(**dict.fromkeys(SHOPS, cutoff + 1))
    ours, theirs = (shop_model.forecast(f[f["day"] <= day], known=ahead) for f in (frame, altered))
    pd.testing.assert_frame_equal(ours, theirs)
    assert (ours["day"] > day).all()


def test_statistics_come_from_rows_before_the_validation_tail() -> None:
    """Whatever happens in the tail, scaler and covariate encoders are the same to the bit."""
    frame = shops()
    plan = forecaster().fit(frame, **SHOP_ROLES).trained_.plan
    altered = frame.copy()
    last = frame["shop"].map({shop: pd.Timestamp("2024-01-01") + pd.Timedelta(days=n - 1) for shop, n in SHOPS.items()})
    tail = frame["day"] > last - pd.Timedelta(days=plan.validation)
    altered.loc[tail, ["sales", "price", "visits"]] *= 50
    altered.loc[tail, ["event", "sky"]] = "only in the tail"
    ours, theirs = (forecaster().fit(f, **SHOP_ROLES).trained_.encoder for f in (frame, altered))
    assert ours.covariates == theirs.covariates
    np.testing.assert_array_equal(ours.scaler.centre, theirs.scaler.centre)
    np.testing.assert_array_equal(ours.scaler.scale, theirs.scaler.scale)
    earlier = altered.copy()
    earlier.loc[~tail, "sales"] += 1.0
    moved = forecaster().fit(earlier, **SHOP_ROLES).trained_.encoder  # and the rows before it do count
    assert not np.array_equal(ours.scaler.centre, moved.scaler.centre)


# --- bad input -------------------------------------------------------------------------------------------------------


def spoilt(label: str, row: int, value: Any) -> pd.DataFrame:
    frame = shops().sort_values(["shop", "day"], ignore_index=True)
    if not isinstance(value, float):
        frame[label] = frame[label].astype(object)
    frame.loc[row, label] = value
    return frame


def fit_shops(frame: Any, **changes: Any) -> None:
    forecaster().fit(frame, **{**SHOP_ROLES, **changes})


DATA_FAULTS: dict[str, tuple[Any, list[str]]] = {
    "no frame": (lambda: fit_shops([1, 2]), ["list", "DataFrame"]),
    "no rows": (lambda: fit_shops(shops()[:0]), ["without rows"]),
    "missing column": (lambda: fit_shops(shops(), target="sale"), ["'sale'", "target", "Did you mean 'sales'"]),
    "several missing columns": (
        lambda: fit_shops(shops(), target="sale", past=["visit"], static=["sise"]),
        ["3 problems", "'sales'", "'visits'", "'size'"],
    ),
    "text in the target": (
        lambda: fit_shops(spoilt("sales", 7, "many")),
        ["'sales'", "'east'", "2024-01-08", "'many'", "pd.to_numeric"],
    ),
    "dates in the target": (lambda: fit_shops(shops().assign(sales=shops()["day"])), ["'sales'", "numbers"]),
    "infinite target": (lambda: fit_shops(spoilt("sales", 5, np.inf)), ["'sales'", "'east'", "2024-01-06", "inf"]),
    "infinite covariate": (lambda: fit_shops(spoilt("visits", 5, -np.inf)), ["'visits'", "'east'", "2024-01-06"]),
    "duplicates": (
        lambda: fit_shops(pd.concat([shops(), shops().query("shop == 'west'").sort_values("day").iloc[[4]]])),
        ["'west'", "2024-01-05", "1 duplicate", "drop_duplicates"],
    ),
    "no value at all": (lambda: fit_shops(shops().assign(sales=np.nan)), ["'sales'", "no value at all"]),
    "a series without a value": (
        lambda: fit_shops(shops().assign(sales=lambda f: f["sales"].where(f["shop"] != "west"))),
        ["'sales'", "'west'", "no value at all"],
    ),
    "missing id": (lambda: fit_shops(spoilt("shop", 3, None)), ["'shop'", "without a series id"]),
    "missing time": (lambda: fit_shops(shops().assign(day=lambda f: f["day"].where(f.index != 3))), ["'day'", "row 3"]),
    "unreadable time": (lambda: fit_shops(shops().assign(day="soon")), ["'day'", "'soon'", "pd.to_datetime"]),
    "times off the grid": (
        lambda: fit_shops(
            spoilt("day", 9, pd.Timestamp("2024-01-10 07:30")).assign(day=lambda f: f["day"].astype("M8[us]"))
        ),
        ["'day'", "'east'", "2024-01-10 07:30"],
    ),
    "static that varies": (lambda: fit_shops(spoilt("size", 4, 7.0)), ["'size'", "'east'", "2024-01-05", "static"]),
    "shorter than one window": (
        lambda: fit_shops(pd.concat([shops(), shops(north=5).query("shop == 'north'").assign(shop="tiny")])),
        ["'tiny' (5 steps)", "6 steps or more", "3 of context and 3 of horizon", "Leave them out"],
    ),
    "too short to validate": (
        lambda: forecaster().fit(one_series(8), time="day", target="y"),
        ["8 steps in the longest series", "9 or more"],
    ),
    "logarithm of zero": (
        lambda: forecaster(transform="log").fit(one_series(y=np.arange(100.0)), time="day", target="y"),
        ["'y'", "2024-01-01", "0 or less", "above 0", "log1p"],
    ),
    "a series column named like ours": (
        lambda: forecaster().fit(
            shops().rename(columns={"shop": "forecast"}), time="day", target="sales", series="forecast"
        ),
        ["'forecast'", "Rename"],
    ),
    "a time column named like ours": (
        lambda: forecaster().fit(one_series().rename(columns={"day": "q0.1"}), time="q0.1", target="y"),
        ["'q0.1'", "Rename"],
    ),
    "several faults": (
        lambda: fit_shops(spoilt("sales", 5, np.inf).assign(visits="x", size=lambda f: np.arange(float(len(f))))),
        ["problems", "'sales'", "'size'"],
    ),
}


@pytest.mark.parametrize("name", DATA_FAULTS)
def test_faulty_data_gives_one_error_that_says_what_to_do(name: str) -> None:
    call, pieces = DATA_FAULTS[name]
    with pytest.raises(DataError) as caught:
        call()
    message = str(caught.value)
    assert all(piece in message for piece in pieces), message


FORECAST_FAULTS: dict[str, tuple[Any, list[str]]] = {
    "a new series without known rows": (
        lambda m: m.forecast(shops().replace("west", "south"), known=known_rows()),
        ["'price'", "'event'", "3 of 9", "'south'"],
    ),
    "no known rows": (lambda m: m.forecast(), ["'price', 'event'", "Pass `known`"]),
    "known without a column": (lambda m: m.forecast(known=known_rows().drop(columns="event")), ["'event'", "known"]),
    "known with rows missing": (
        lambda m: m.forecast(known=known_rows().query("shop != 'west' or day < '2024-04-16'")),
        ["'price'", "'event'", "2 of 9", "'west'", "2024-04-16"],
    ),
    "known with a hole": (
        lambda m: m.forecast(known=known_rows().assign(price=lambda f: f["price"].where(f.index != 1))),
        ["'price'", "1 of 9"],
    ),
    "known twice": (lambda m: m.forecast(known=pd.concat([known_rows(), known_rows()])), ["duplicate", "`known`"]),
    "known as a dict": (lambda m: m.forecast(known={"price": 1}), ["dict", "DataFrame"]),
    "history without the target": (
        lambda m: m.forecast(shops().drop(columns="sales"), known=known_rows()),
        ["'sales'", "target"],
    ),
    "history without rows": (lambda m: m.forecast(shops()[:0], known=known_rows()), ["without rows"]),
    "infinite history": (
        lambda m: m.forecast(spoilt("sales", 5, np.inf), known=known_rows()),
        ["'sales'", "'east'", "2024-01-06"],
    ),
}


@pytest.mark.parametrize("name", FORECAST_FAULTS)
def test_faults_at_forecast(name: str, shop_model: HourGlassForecaster) -> None:
    call, pieces = FORECAST_FAULTS[name]
    with pytest.raises(DataError) as caught:
        call(shop_model)
    message = str(caught.value)
    assert all(piece in message for piece in pieces), message


def test_history_of_another_kind_of_time(plain_model: HourGlassForecaster) -> None:
    with pytest.raises(SettingsError, match="int64"):
        plain_model.forecast(one_series(day=np.arange(100)))
    with pytest.raises(DataError, match="2024-01-01 01:00"):
        plain_model.forecast(one_series(day=pd.date_range("2024-01-01", periods=100, freq="h")))


SETTING_FAULTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "horizon 0": ({"horizon": 0}, ["horizon=0", "integer of 1 or more"]),
    "horizon below 0": ({"horizon": -3}, ["horizon=-3"]),
    "horizon True": ({"horizon": True}, ["horizon=True"]),
    "horizon 2.0": ({"horizon": 2.0}, ["horizon=2.0"]),
    "horizon text": ({"horizon": "24"}, ["horizon='24'"]),
    "context 0": ({"context": 0}, ["context=0"]),
    "factor 0": ({"shortening_factors": [2, 0]}, ["shortening_factors=[2, 0]", "[2, 2]"]),
    "factor 1.5": ({"shortening_factors": (1.5,)}, ["shortening_factors=(1.5,)"]),
    "factor True": ({"shortening_factors": [True]}, ["shortening_factors"]),
    "no factors": ({"shortening_factors": []}, ["shortening_factors=[]"]),
    "one factor": ({"shortening_factors": 2}, ["shortening_factors=2", "a list"]),
    "quantile 0": ({"quantiles": [0.0, 0.5]}, ["quantiles=[0.0, 0.5]", "between 0 and 1"]),
    "quantile 1": ({"quantiles": [0.5, 1.0]}, ["between 0 and 1"]),
    "quantile 90": ({"quantiles": [10, 90]}, ["between 0 and 1"]),
    "quantile NaN": ({"quantiles": [float("nan")]}, ["between 0 and 1"]),
    "quantile twice": ({"quantiles": [0.5, 0.5]}, ["different"]),
    "one quantile": ({"quantiles": 0.5}, ["quantiles=0.5", "(0.1, 0.5, 0.9)"]),
    "transform": ({"transform": "sqrt"}, ["transform='sqrt'", "log"]),
    "heads": ({"d_model": 30, "n_heads": 4}, ["d_model=30 with n_heads=4", "divide"]),
    "odd heads": ({"d_model": 6, "n_heads": 2}, ["even"]),
    "dropout": ({"dropout": 1.0}, ["dropout=1.0"]),
    "patch": ({"patch": 0}, ["patch=0"]),
    "patch over context": ({"patch": 20, "context": 14}, ["patch=20", "14"]),
    "learning rate": ({"learning_rate": 0}, ["learning_rate=0"]),
    "learning rate inf": ({"learning_rate": float("inf")}, ["learning_rate=inf"]),
    "time budget": ({"time_budget": 0}, ["time_budget=0"]),
    "time budget text": ({"time_budget": "1h"}, ["time_budget='1h'", "seconds"]),
    "epochs": ({"max_epochs": 0}, ["max_epochs=0"]),
    "seed text": ({"seed": "a"}, ["seed='a'", "integer"]),
    "seed below 0": ({"seed": -1}, ["seed=-1"]),
    "seed None": ({"seed": None}, ["seed=None"]),
    "accelerator": ({"accelerator": "quantum"}, ["accelerator='quantum'", '"auto"']),
    "accelerator number": ({"accelerator": 3}, ["accelerator=3"]),
    "freq": ({"freq": "fortnight"}, ["freq='fortnight'", "'h'"]),
    "freq of another kind": ({"freq": 2}, ["freq=2", "alias"]),
    "everything at once": (
        {"horizon": 0, "quantiles": [2.0], "d_model": 30, "n_heads": 4, "seed": "x", "transform": "sqrt"},
        ["5 problems", "horizon=0", "quantiles", "divide", "seed='x'", "transform"],
    ),
}


@pytest.mark.parametrize("name", SETTING_FAULTS)
def test_faulty_settings_give_one_error_before_any_work(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changes, pieces = SETTING_FAULTS[name]

    def work(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("it began to train")

    monkeypatch.setattr("hourglass_ts.forecaster.TrainedHourGlass.fit", work)
    with pytest.raises(SettingsError) as caught:
        forecaster(**changes).fit(one_series(), time="day", target="y")
    message = str(caught.value)
    assert all(piece in message for piece in pieces), message


def test_a_column_with_two_roles() -> None:
    with pytest.raises(SettingsError, match=r"'price'.*known, past"):
        fit_shops(shops(), past=["price"])


def test_an_unfitted_one_says_so(tmp_path: Any) -> None:
    for call in (lambda m: m.forecast(), lambda m: m.save(tmp_path / "m"), lambda m: m.share_):
        with pytest.raises(NotFittedError, match=r"not fitted.*Call fit"):
            call(forecaster())


@pytest.mark.parametrize("horizon", [0, -1, True, 1.0, "2"])
def test_a_faulty_horizon_at_forecast(horizon: Any, plain_model: HourGlassForecaster) -> None:
    with pytest.raises(SettingsError, match="integer of 1 or more"):
        plain_model.forecast(horizon=horizon)
