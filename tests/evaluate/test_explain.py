"""Explanations: each number against a slow way to it, and a model that is the same before and after."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from hourglass_ts.errors import DataError, HourGlassError, NotFittedError, SettingsError
from hourglass_ts.evaluate.explain import Explanation, explain
from hourglass_ts.evaluate.explain_covariates import _other_origins, _other_series
from hourglass_ts.evaluate.explain_network import attention_weights, joined, level_effects, network_outputs, parts_of
from hourglass_ts.forecast.baselines import Naive
from hourglass_ts.forecaster import HourGlassForecaster
from hourglass_ts.layers.attention import CausalAttention, rotate
from hourglass_ts.layers.hourglass import HourGlass
from hourglass_ts.layers.upsampling import AttentionBasedUpSampling
from hourglass_ts.network.network import HourGlassNetwork, NetworkConfig, example_batch
from hourglass_ts.windows.batch import WindowBatch

HORIZON, CONTEXT = 3, 14
FRAMES = ("parts", "levels", "covariates", "attention")


def shops(n: int = 160, n_shops: int = 2) -> pd.DataFrame:
    """`promo` drives the sales of its own day, nothing else does anything."""
    rng = np.random.default_rng(0)
    parts = []
    for shop in range(n_shops):
        promo = rng.normal(size=n)
        wave = 2 * np.sin(2 * np.pi * np.arange(n) / 7)
        parts.append(
            pd.DataFrame(
                {
                    "day": pd.date_range("2024-01-01", periods=n),
                    "shop": f"s{shop}",
                    "sales": 20.0 * (shop + 1) + wave + 3 * promo + 0.3 * rng.normal(size=n),
                    "promo": promo,
                    "noise": rng.normal(size=n),
                    "staff": rng.choice(["one", "two", "three"], size=n),
                    "size": float(shop),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def forecaster(**changes: Any) -> HourGlassForecaster:
    tiny = {"max_epochs": 1, "steps_per_epoch": 3, "d_model": 16, "n_heads": 2, "d_ff": 16, "patch": 2}
    return HourGlassForecaster(HORIZON, CONTEXT, accelerator="cpu", progress=False, **{**tiny, **changes})


def fitted(df: pd.DataFrame, **changes: Any) -> HourGlassForecaster:
    roles = {"series": "shop", "known": ["promo"], "past": ["noise", "staff"], "static": ["size"]}
    given = {role: label for role, label in roles.items() if label if role not in changes.get("without", ())}
    settings = {name: value for name, value in changes.items() if name != "without"}
    return forecaster(**settings).fit(df, time="day", target="sales", **given)


def shaken(model: HourGlassForecaster, share: float = 0.7) -> HourGlassForecaster:
    """The model with a head that reads everything."""
    inside = model.trained_.model
    shake(inside.network)
    inside.share.fill_(share)
    return model


def shake(network: HourGlassNetwork) -> HourGlassNetwork:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return network.eval()


@pytest.fixture(scope="module")
def df() -> pd.DataFrame:
    return shops()


@pytest.fixture(scope="module")
def model(df: pd.DataFrame) -> HourGlassForecaster:
    return shaken(fitted(df))


@pytest.fixture(scope="module")
def found(model: HourGlassForecaster, df: pd.DataFrame) -> Explanation:
    return explain(model, df)


def same(one: Explanation, other: Explanation, frames: tuple[str, ...] = FRAMES) -> None:
    for name in frames:
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name), check_exact=True)
    assert (one.share, one.own_history, one.notes) == (other.share, other.own_history, other.notes)


# --- covariates ------------------------------------------------------------------------------------------------------


def test_the_planted_covariate_is_named_first_and_noise_counts_for_nothing(df: pd.DataFrame) -> None:
    model = fitted(df, max_epochs=3, steps_per_epoch=20, learning_rate=1e-2)
    assert model.share_ > 0.5
    table = explain(model, df).covariates
    assert table["covariate"][0] == "promo"
    assert set(zip(table["covariate"], table["role"], strict=True)) == {
        ("promo", "known"),
        ("noise", "past"),
        ("staff", "past"),
        ("size", "static"),
    }
    assert table["low"][0] > 0.5
    others = table[table["covariate"] != "promo"]
    assert others["increase"].abs().max() < 0.1
    assert (table["low"] <= table["increase"]).all()
    assert (table["increase"] <= table["high"]).all()


def forecast_with(
    model: HourGlassForecaster, df: pd.DataFrame, label: str, own: tuple[str, int], donor: tuple[str, int]
) -> np.ndarray:
    """The forecast of a shop from a row, with a column of the context (and horizon) of another shop and row."""
    (shop, end), (from_shop, from_end) = own, donor
    rows, giving = (df[df["shop"] == name].reset_index(drop=True) for name in (shop, from_shop))
    rows = rows.copy()
    back, ahead = np.arange(1 - CONTEXT, 1), np.arange(1, HORIZON + 1)
    rows.loc[end + back, label] = giving[label].to_numpy()[from_end + back]
    if label == "promo":
        rows.loc[end + ahead, label] = giving[label].to_numpy()[from_end + ahead]
    if label == "size":
        rows[label] = giving[label].to_numpy()
    known = rows.loc[end + ahead, ["day", "shop", "promo"]]
    return model.forecast(rows[: end + 1], known=known)["forecast"].to_numpy()


@pytest.mark.parametrize("label", ["promo", "noise", "staff", "size"])
def test_importance_equals_forecasts_of_altered_frames(
    model: HourGlassForecaster, df: pd.DataFrame, label: str
) -> None:
    ends = [40, 77, 90]
    days = df["day"][ends].tolist()
    windows = [(end, shop) for end in ends for shop in ("s0", "s1")]
    codes = np.array([int(shop[1]) for _, shop in windows])
    rng = np.random.default_rng(3)
    donors = _other_origins(codes, rng)
    if label == "size":
        donors = _other_series(codes, rng)
    errors = np.empty((2, len(windows), HORIZON))
    for number, (end, shop) in enumerate(windows):
        giving = windows[donors[number]]
        actual = df[df["shop"] == shop]["sales"].to_numpy()[end + 1 : end + 1 + HORIZON]
        for place, (from_end, from_shop) in enumerate([(end, shop), giving]):
            forecast = forecast_with(model, df, label, (shop, end), (from_shop, from_end))
            errors[place, number] = np.abs(actual - forecast)
    usual = np.array([errors[0, codes == code].mean() for code in codes])[:, None]
    expected = (errors[1] / usual).mean() / (errors[0] / usual).mean() - 1

    table = explain(model, df, days, seed=3, repeats=1).covariates.set_index("covariate")
    assert abs(expected) > 1e-3
    assert table.loc[label, "increase"] == pytest.approx(expected, rel=1e-4)


def test_windows_exchange_with_others_of_their_series_each_once() -> None:
    codes = np.array([0, 1, 0, 2, 1, 0, 1])
    seen = set()
    for seed in range(50):
        donors = _other_origins(codes, np.random.default_rng(seed))
        assert sorted(donors) == list(range(7))
        assert (codes[donors] == codes).all()
        assert [place for place in range(7) if donors[place] == place] == [3]
        seen.add(tuple(donors))
        strangers = _other_series(codes, np.random.default_rng(seed))
        assert (codes[strangers] != codes).all()
        assert all(len(set(codes[strangers][codes == code])) == 1 for code in range(3))
    assert len(seen) == 4  # two cycles of three; two windows have one way
    assert _other_series(np.zeros(4, dtype=int), np.random.default_rng(0)).tolist() == [0, 1, 2, 3]


def test_nothing_is_read_but_pasts_actual_values_and_known_rows(model: HourGlassForecaster, df: pd.DataFrame) -> None:
    place = df.groupby("shop").cumcount()
    origins = df["day"][[60, 71, 100]].tolist()
    altered = df.copy()
    for label, last in {"noise": 100, "staff": 100, "sales": 100 + HORIZON, "promo": 100 + HORIZON}.items():
        altered.loc[place > last, label] = "one" if label == "staff" else 99.0
    same(explain(model, df, origins), explain(model, altered, origins))
    after = df.assign(sales=df["sales"].mask(place > 100, 99.0))
    same(
        replace(explain(model, df, origins), own_history=None),  # type: ignore[arg-type]
        replace(explain(model, after, origins), own_history=None),  # type: ignore[arg-type]
        ("parts", "levels", "attention"),
    )
    before = df.assign(noise=df["noise"].mask(place == 100, 99.0))
    changed = explain(model, before, origins).covariates
    assert not changed.equals(explain(model, df, origins).covariates)


def test_the_targets_own_past_matters_to_the_network(found: Explanation) -> None:
    assert abs(found.own_history.estimate) > 1e-3
    assert found.own_history.low <= found.own_history.estimate <= found.own_history.high


# --- share and parts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transform", [None, "log"])
def test_parts_are_sizes_in_the_targets_unit(df: pd.DataFrame, transform: str | None) -> None:
    model = shaken(fitted(df, transform=transform, quantiles=()), share=0.1)
    origins = df["day"][[30, 62, 95]].tolist()
    found = explain(model, df, origins)
    whole = model.forecast_from(df, origins)
    model.trained_.model.share.zero_()
    floor = model.forecast_from(df, origins)["forecast"].to_numpy()
    last = df.set_index(["shop", "day"])["sales"].loc[list(zip(whole["shop"], whole["origin"], strict=True))].to_numpy()
    forecast = whole["forecast"].to_numpy()
    sizes = {"floor": floor - last, "network": forecast - floor, "forecast": forecast - last}
    expected = pd.DataFrame(sizes).abs().groupby(whole["lead"]).mean().reset_index()
    assert found.share == pytest.approx(0.1)
    assert expected.min().min() > 0
    pd.testing.assert_frame_equal(found.parts, expected, check_dtype=False, rtol=1e-4)


def test_a_share_of_0_moves_nothing_and_is_told(model: HourGlassForecaster, df: pd.DataFrame) -> None:
    mute = shaken(deepcopy(model), share=0.0)
    found = explain(mute, df)
    assert found.share == 0
    assert (found.covariates[["increase", "low", "high"]] == 0).all(axis=None)
    assert len(found.covariates) == 4
    assert (found.levels["share"] == 0).all()
    assert (found.parts["network"] == 0).all()
    np.testing.assert_array_equal(found.parts["floor"], found.parts["forecast"])
    assert any("share is 0" in note for note in found.notes)
    np.testing.assert_allclose(found.attention.groupby("level")["weight"].sum(), 1)


def test_without_a_floor_the_network_adds_to_the_last_value(df: pd.DataFrame) -> None:
    found = explain(shaken(fitted(df, floor=False), share=1.0), df)
    assert (found.parts["floor"] == 0).all()
    assert any("no floor" in note for note in found.notes)


# --- levels ----------------------------------------------------------------------------------------------------------


def test_levels_share_all_that_the_hourglass_does(found: Explanation) -> None:
    assert found.levels[["level", "factor", "steps"]].to_numpy().tolist() == [[0, 1, 2], [1, 2, 4], [2, 4, 8]]
    assert found.levels["share"].sum() == pytest.approx(1)
    assert (found.levels["share"] >= 0).all()


def network_and_windows(factors: tuple[int, ...], **settings: Any) -> tuple[HourGlassNetwork, WindowBatch]:
    """A network that reads everything, and windows of which some begin late."""
    config = NetworkConfig(
        context=20, horizon=2, patch=2, d_model=8, n_heads=2, d_ff=8, shortening_factors=factors, n_static=1, **settings
    )
    network = shake(HourGlassNetwork(config)).double()
    batch = example_batch(config, batch_size=300)
    starts = torch.arange(300) % 17
    present = torch.arange(20) >= starts[:, None]
    double = {name: value.double() for name, value in vars(batch).items() if value.is_floating_point()}
    return network, replace(batch, **double, present=present, observed=present)


def slowly_encoded(
    hourglass: HourGlass, x: Tensor, pads: Tensor, level: int, silent: int, seen: dict[int, Tensor]
) -> Tensor:
    """The hourglass by hand, for all windows at once; what turns back at level `silent` becomes its mean over them."""
    times, real = torch.arange(len(x)) * hourglass.stride, (~pads).T[..., None]

    def through(layers: Any, x: Tensor) -> Tensor:
        for layer in layers:
            seen[level] = seen.get(level, 0) + slow_weights(layer, x, times, pads)
            x = layer(x, times=times, key_padding_mask=pads)
        return x

    def turned(x: Tensor) -> Tensor:
        mean = (x * real).sum(1, keepdim=True) / real.sum(1, keepdim=True).clamp(min=1)
        return mean.expand_as(x) if level == silent else x

    x = through(hourglass.pre, x * real)
    if hourglass.inner is None:
        return turned(x * real)
    if hourglass.shorten is None:
        x = slowly_encoded(hourglass.inner, x, pads, level, silent, seen)
    else:
        k, up = hourglass.factor, hourglass.upsample
        short_pads = torch.stack([pads[:, max(0, i * k - k + 1) : i * k + 1].all(1) for i in range(-(-len(x) // k))], 1)
        short = slowly_encoded(hourglass.inner, hourglass.shorten(x, pads), short_pads, level + 1, silent, seen)
        by_attention = isinstance(up, AttentionBasedUpSampling)
        x = up(short, turned(x), short_pads) if by_attention else turned(x) + up(short, len(x))
    return through(hourglass.post, x) * real


def slow_weights(layer: Any, x: Tensor, times: Tensor, pads: Tensor) -> Tensor:
    """The sum over windows of the last token's attention, in the mean over heads: softmax, token by token."""
    attention, x = layer.attention, layer.attention_norm(x)
    width = attention.d_model // attention.n_heads
    total = torch.zeros(len(x), dtype=x.dtype)
    for window in range(x.shape[1]):
        queries = attention.query(x[:, window])
        keys = attention.key_value(x[:, window])[:, : attention.d_model]
        for head in range(attention.n_heads):
            part = slice(head * width, (head + 1) * width)
            query, key = rotate(queries[:, part], times), rotate(keys[:, part], times)
            scores = [
                math.exp(float(query[-1] @ key[token]) / math.sqrt(width)) * (not pads[window, token])
                for token in range(len(x))
            ]
            total += torch.tensor(scores, dtype=x.dtype) / sum(scores) / attention.n_heads
    return total


def slow_outputs(network: HourGlassNetwork, batch: WindowBatch, silent: int, seen: dict[int, Tensor]) -> Tensor:
    encoder, usual = network.encoder, network.encoder.forward
    encoder.forward = lambda x, key_padding_mask: slowly_encoded(encoder, x, key_padding_mask, 0, silent, seen)
    try:
        return network(batch)[..., 0]
    finally:
        encoder.forward = usual


SHAPES = {
    "two levels": ((2, 3), 3, {}),
    "naive up-sampling": ((2, 2), 3, {"shortening": "average", "upsampling": "naive"}),
    "linear up-sampling": ((3,), 2, {"upsampling": "linear"}),
    "nothing shortened": ((1,), 1, {}),
    "nothing shortened inside": ((2, 1), 2, {"layers_per_level": 2}),
    "nothing shortened outside": ((1, 2), 2, {}),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_levels_and_attention_equal_a_slow_way_to_them(shape: str) -> None:
    factors, n_levels, settings = SHAPES[shape]
    network, batch = network_and_windows(factors, **settings)
    size = torch.linspace(0.5, 2, 300, dtype=torch.float64)[:, None]
    with torch.no_grad():
        seen: dict[int, Tensor] = {}
        usual = slow_outputs(network, batch, -1, seen)
        torch.testing.assert_close(usual, network_outputs(network, batch))
        expected = [
            float(((slow_outputs(network, batch, level, {}) - usual) * size).abs().mean()) for level in range(n_levels)
        ]
        assert min(expected) > 1e-3
        np.testing.assert_allclose(level_effects(network, batch, size), expected, rtol=1e-9)
        assert len(seen) == n_levels
        for level, weights in enumerate(attention_weights(network, batch)):
            assert weights.sum() == pytest.approx(1)
            np.testing.assert_allclose(weights, seen[level] / seen[level].sum(), rtol=1e-9)


@pytest.mark.parametrize("upsampling", ["attention", "linear"])
def test_a_level_whose_weights_are_zero_does_nothing(upsampling: str) -> None:
    network, batch = network_and_windows((2, 2), upsampling=upsampling)
    one = torch.ones(300, 1, dtype=torch.float64)
    with torch.no_grad():
        assert (level_effects(network, batch, one) > 0).all()
        for parameter in network.encoder.inner.upsample.parameters():
            parameter.zero_()
        inner = level_effects(network, batch, one)
        assert inner[2] == 0
        assert (inner[:2] > 0).all()
        for parameter in network.encoder.upsample.parameters():
            parameter.zero_()
        outer = level_effects(network, batch, one)
    assert outer[0] > 0
    assert (outer[1:] == 0).all()


def test_windows_are_taken_apart_and_joined() -> None:
    _, batch = network_and_windows((2,))
    again = joined(list(parts_of(batch)))
    assert len(list(parts_of(batch))) == 2
    assert all(torch.equal(one, other) for one, other in zip(vars(batch).values(), vars(again).values(), strict=True))


# --- attention -------------------------------------------------------------------------------------------------------


def test_attention_is_placed_in_steps_of_the_series(model: HourGlassForecaster, df: pd.DataFrame) -> None:
    inputs: list[WindowBatch] = []
    origins = df["day"][[30, 62, 95]].tolist()
    handle = model.trained_.model.network.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    model.forecast_from(df, origins)
    handle.remove()
    found = explain(model, df, origins).attention
    np.testing.assert_allclose(found.groupby("level")["weight"].sum(), 1)
    for level, lags, steps in (
        (0, [0, 2, 4, 6, 8, 10, 12], [2] * 7),
        (1, [0, 4, 8, 12], [4, 4, 4, 2]),
        (2, [0, 8], [8, 6]),
    ):
        rows = found[found["level"] == level]
        assert rows["lag"].tolist() == lags
        assert rows["steps"].tolist() == steps
    with torch.no_grad():
        expected = attention_weights(model.trained_.model.network, joined(inputs))
    np.testing.assert_allclose(found[found["level"] == 0]["weight"], expected[0][::-1][:7], rtol=1e-6)


def test_attention_weights_are_those_that_the_forward_pass_mixes_with() -> None:
    attention = CausalAttention(8, 2, window=4).double()
    x, times = torch.randn(6, 3, 8, dtype=torch.float64), torch.arange(6)
    pads = torch.arange(6) < torch.tensor([0, 2, 6])[:, None]
    keys, values = attention.keys_values(x, times)
    weights = attention.weights(x, times, keys, attention.visible(times, times, pads))
    mixed = attention.output((weights @ values).permute(2, 0, 1, 3).flatten(2))
    torch.testing.assert_close(mixed, attention(x, key_padding_mask=pads))
    assert (weights[2] == 0).all()


# --- the model stays as it is, and so does everything else -----------------------------------------------------------


def test_nothing_changes_by_looking(model: HourGlassForecaster, df: pd.DataFrame) -> None:
    known = pd.DataFrame({"day": pd.date_range("2024-06-09", periods=HORIZON), "promo": 0.0})
    known = pd.concat([known.assign(shop=shop) for shop in ("s0", "s1")])
    state, inside = deepcopy(model.trained_.model.state_dict()), model.trained_.model
    forecast, frame, drawn = model.forecast(known=known), df.copy(deep=True), torch.get_rng_state()
    numpy_drawn = np.random.get_state()[1].copy()
    explain(model, df)
    assert torch.equal(torch.get_rng_state(), drawn)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_drawn)
    pd.testing.assert_frame_equal(df, frame)
    pd.testing.assert_frame_equal(model.forecast(known=known), forecast, check_exact=True)
    assert all(torch.equal(value, state[name]) for name, value in inside.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in inside.network.modules())
    assert not inside.training


def test_a_seed_is_an_explanation(model: HourGlassForecaster, df: pd.DataFrame, found: Explanation) -> None:
    same(explain(model, df), found)
    other = explain(model, df, seed=1)
    same(replace(other, own_history=found.own_history), found, ("parts", "levels", "attention"))
    assert not other.covariates.equals(found.covariates)


# --- what there is to look at ----------------------------------------------------------------------------------------


def test_one_series_without_covariates() -> None:
    frame = shops(90, 1)[["day", "sales"]]
    model = shaken(forecaster().fit(frame, time="day", target="sales"))
    found = explain(model, frame)
    assert found.covariates.empty
    assert list(found.covariates) == ["covariate", "role", "increase", "low", "high"]
    assert found.notes == ()
    assert found.levels["share"].sum() == pytest.approx(1)


def test_what_cannot_be_exchanged_is_left_out_and_told() -> None:
    frame = shops(120, 1)
    model = shaken(fitted(frame))
    found = explain(model, frame)
    assert set(found.covariates["covariate"]) == {"promo", "noise", "staff"}
    assert any(note.startswith("'size': static covariates left out") for note in found.notes)
    single = explain(model, frame, [frame["day"][60]])
    assert single.covariates.empty
    assert any(note.startswith("'promo', 'noise', 'staff': covariates left out") for note in single.notes)
    assert math.isnan(single.own_history.estimate)


def test_the_last_origins_with_values_after_them_are_taken() -> None:
    frame = shops(900, 1)[["day", "sales"]].assign(day=pd.date_range("2024-01-01", periods=900, freq="h"))
    model = shaken(forecaster().fit(frame, time="day", target="sales"))
    origins = explain(model, frame).origins
    assert len(origins) == 100
    assert origins[-1] == frame["day"].iloc[-1 - HORIZON]
    assert set(origins.hour) == set(range(24))
    tail = frame.assign(sales=frame["sales"].mask(frame.index >= 880))
    assert explain(model, tail).origins[-1] == frame["day"][879 - HORIZON]


def test_origins_without_values_series_without_fit_and_many_series_are_told(
    model: HourGlassForecaster, df: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [df["day"][50], df["day"][80], df["day"].max()]
    found = explain(model, pd.concat([df, df[df["shop"] == "s0"].assign(shop="new")]), days[::-1])
    assert found.origins.tolist() == days[:2]
    assert any(note.startswith("1 of 3 series were not fitted") for note in found.notes)
    assert any(note.startswith("1 of 3 origins") for note in found.notes)
    later = df[df["shop"] == "s0"].assign(shop="new", day=lambda rows: rows["day"] + pd.Timedelta(days=400))
    assert explain(model, pd.concat([df, later])).origins.equals(explain(model, df).origins)
    many = shops(60, 5)
    everything = fitted(many)
    monkeypatch.setattr("hourglass_ts.evaluate.explain_sample.MOST_WINDOWS", 40)
    assert any(note.startswith("Measured on 2 of 5 series") for note in explain(everything, many).notes)


def test_holes_are_no_actual_values_and_no_windows_of_their_own(model: HourGlassForecaster, df: pd.DataFrame) -> None:
    place = df.groupby("shop").cumcount()
    holey = df.assign(sales=df["sales"].mask(place.between(60, 61)))
    days = df["day"]
    assert explain(model, holey, [days[59], days[60], days[61], days[90]]).origins.tolist() == [days[59], days[90]]
    found = explain(model, holey, [days[58], days[59], days[90]])
    assert found.covariates["increase"].notna().all()


WRONG = {
    "not fitted": (lambda df: (forecaster(), df), {}, NotFittedError, "Call fit"),
    "a baseline": (
        lambda df: (Naive(HORIZON).fit(df, time="day", target="sales", series="shop"), df),
        {},
        SettingsError,
        "model=Naive; expected a fitted HourGlassForecaster",
    ),
    "a class": (lambda df: (HourGlassForecaster, df), {}, SettingsError, "model=HourGlassForecaster"),
    "no model": (lambda df: ("model", df), {}, SettingsError, "model=str"),
    "repeats": (None, {"repeats": 0}, SettingsError, "repeats=0"),
    "seed and repeats": (None, {"repeats": 1.5, "seed": -1}, SettingsError, "seed=-1"),
    "one origin": (None, {"origins": "2024-02-01"}, SettingsError, "a list of one time or more"),
    "no origins": (None, {"origins": []}, SettingsError, "a list of one time or more"),
    "numbers": (None, {"origins": [1, 2]}, DataError, "times such as 2024-06-08"),
    "texts": (None, {"origins": ["2024-02-01"]}, DataError, "times such as 2024-06-08"),
    "NaT": (None, {"origins": [pd.NaT]}, DataError, "some missing"),
    "the end": (None, {"origins": [pd.Timestamp("2024-06-08")]}, DataError, "no origin left"),
    "before all": (None, {"origins": [pd.Timestamp("2020-01-01")]}, DataError, "no origin left"),
    "too short": (lambda df: (None, df.groupby("shop").head(3)), {}, DataError, "no origin left"),
    "strangers": (lambda df: (None, df.assign(shop="other" + df["shop"])), {}, DataError, "2 series that the model"),
    "no frame": (lambda df: (None, [1]), {}, DataError, "a pandas DataFrame"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_explained_is_said(model: HourGlassForecaster, df: pd.DataFrame, case: str) -> None:
    make, arguments, error, words = WRONG[case]
    other, frame = (None, df) if make is None else make(df)
    with pytest.raises(HourGlassError) as refused:
        explain(model if other is None else other, frame, **arguments)
    assert type(refused.value) is error
    assert words in str(refused.value)
