"""Nothing after a cutoff changes anything before it, from the user's frame to the forecast: tables to the last bit.

Everything after the cutoff is altered in every way there is. The same must remain: the checked rows up to the cutoff,
the statistics of rows up to it, the encoded rows, the windows whose targets end there, and all forecasts from there.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hourglass_ts.forecaster import HourGlassForecaster
from hourglass_ts.frames.schema import STEP, TIME, UNIT, Panel, Roles, check_frame
from hourglass_ts.windows.dataset import window_dataset
from hourglass_ts.windows.encode import TableEncoder
from hourglass_ts.windows.normalise import SCALERS, SeriesScaler
from hourglass_ts.windows.transforms import TRANSFORMS

N_STEPS, CUTOFF_STEP = 80, 60
CUTOFF = pd.Timestamp("2024-01-01") + pd.Timedelta(days=CUTOFF_STEP)
CONTEXT, HORIZON = 10, 3
ROLES = Roles.from_arguments("t", "y", "id", known=["price", "event"], past=["wind", "sky"], static=["size"])
FIT: dict[str, Any] = {"time": "t", "target": "y", "series": "id", "past": ["wind", "sky"], "static": ["size"]}


def original(gaps: bool) -> pd.DataFrame:
    """Two series with every kind of covariate, positive; with `gaps`, some rows gone and some values missing."""
    rng = np.random.default_rng(0)
    n = 2 * N_STEPS
    frame = pd.DataFrame(
        {
            "id": np.repeat(["a", "b"], N_STEPS),
            "t": np.tile(pd.date_range("2024-01-01", periods=N_STEPS), 2),
            "y": np.repeat([10.0, 200.0], N_STEPS) + np.tile(np.sin(np.arange(N_STEPS)), 2) + rng.gamma(2, 1, n),
            "price": rng.normal(size=n),
            "event": np.where(rng.random(n) < 0.3, "sale", "none"),
            "wind": rng.normal(size=n),
            "sky": np.where(rng.random(n) < 0.5, "sun", "rain"),
            "size": np.repeat([1.0, 2.0], N_STEPS),
        }
    )
    if not gaps:
        return frame
    step = np.tile(np.arange(N_STEPS), 2)
    free = (step > 0) & (step != CUTOFF_STEP) & (step < N_STEPS - 1)
    frame.loc[free & (rng.random(n) < 0.2), "y"] = np.nan
    frame.loc[free & (rng.random(n) < 0.2), ["wind", "sky"]] = np.nan
    return frame[~(free & (rng.random(n) < 0.1))].reset_index(drop=True)


def with_noise(frame: pd.DataFrame, late: pd.Series) -> pd.DataFrame:
    return frame.assign(y=frame["y"].mask(late, 1e3 * (0.1 + np.random.default_rng(1).random(len(frame)))))


def without_values(frame: pd.DataFrame, late: pd.Series) -> pd.DataFrame:
    return frame.assign(y=frame["y"].mask(late))


def without_rows(frame: pd.DataFrame, late: pd.Series) -> pd.DataFrame:
    return frame[~late]


def with_more_rows(frame: pd.DataFrame, late: pd.Series) -> pd.DataFrame:
    later = frame[late].assign(t=lambda f: f["t"] + pd.Timedelta(days=N_STEPS - CUTOFF_STEP), y=1e-3)
    return pd.concat([frame, later], ignore_index=True)


def with_other_covariates(frame: pd.DataFrame, late: pd.Series) -> pd.DataFrame:
    reals = {name: frame[name].mask(late, 1e3 * frame["price"] + 7) for name in ("price", "wind")}
    return frame.assign(**reals, event=frame["event"].mask(late, "strike"), sky=frame["sky"].mask(late, "snow"))


ALTERATIONS = (with_noise, without_values, without_rows, with_more_rows, with_other_covariates)


def altered(frame: pd.DataFrame, how: Any) -> pd.DataFrame:
    return how(frame, frame["t"] > CUTOFF)


# --- from the frame to the windows -----------------------------------------------------------------------------------


def stages(frame: pd.DataFrame, transform: str | None, scaler: str | None) -> dict[str, Any]:
    """What every stage makes of the rows up to the cutoff; plain values, to be compared bit by bit."""
    panel = check_frame(frame, ROLES, "D")
    early = panel.table[TIME] <= CUTOFF
    encoder = TableEncoder.fit(panel, early, transform, scaler)
    encoded = encoder.frame(panel.table, np.arange(2), panel.table[STEP].to_numpy())
    plain, arrays = encoder.state()
    found = {"rows": table_bytes(panel.table[early.to_numpy()]), "encoded": table_bytes(encoded[early.to_numpy()])}
    found |= {"statistics": [plain, *(array.tobytes() for array in arrays.values())]}
    return found | {"windows": windows_up_to_cutoff(panel, encoded, encoder)}


def table_bytes(table: pd.DataFrame) -> list[Any]:
    """Objects and categories by value: their bytes would be addresses."""
    columns = [table.iloc[:, place] for place in range(table.shape[1])]
    return [c.to_numpy().tobytes() if c.dtype.kind in "biufM" else c.tolist() for c in columns]


def windows_up_to_cutoff(panel: Panel, encoded: pd.DataFrame, encoder: TableEncoder) -> dict[Any, list[bytes]]:
    """Every tensor of each window whose last target is not later than the cutoff, by series and origin."""
    dataset = window_dataset(encoded, encoder, n_series=2, context=CONTEXT, horizon=HORIZON, min_context=2)
    cutoff = [panel.table.loc[(panel.table[UNIT] == u) & (panel.table[TIME] == CUTOFF), STEP].item() for u in (0, 1)]
    found = {}
    for x, (target, weight) in dataset.to_dataloader(train=False, batch_size=16):
        tensors = {**x, "target": target, "weight": weight}
        for row in range(len(target)):
            series, times, length = int(x["groups"][row]), x["decoder_time_idx"][row], int(x["encoder_lengths"][row])
            if times[-1] <= cutoff[series]:
                parts = {
                    n: t[row][:length] if n.startswith("encoder_") and t.ndim > 1 else t[row]
                    for n, t in tensors.items()
                }
                found[series, int(times[0])] = [part.numpy().tobytes() for part in parts.values()]
    return found


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize(("transform", "scaler"), list(product(TRANSFORMS, SCALERS)))
def test_no_stage_knows_what_comes_later(transform: str | None, scaler: str | None, gaps: bool) -> None:
    frame = original(gaps)
    before = stages(frame, transform, scaler)
    assert len(before["windows"]) > 80
    for how in ALTERATIONS:
        after = stages(altered(frame, how), transform, scaler)
        assert [name for name in before if before[name] != after[name]] == [], how.__name__


def seeing_all_rows(fit: Any) -> Any:
    """A leak: the statistics see rows that are not for training."""
    return classmethod(lambda cls, panel, training, *names: fit(panel, training | True, *names))


def test_statistics_of_all_rows_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TableEncoder, "fit", seeing_all_rows(TableEncoder.fit))
    for transform in TRANSFORMS:
        before, after = (
            stages(f, transform, "standard") for f in (original(False), altered(original(False), with_noise))
        )
        assert [name for name in before if before[name] != after[name]] == ["encoded", "statistics", "windows"]


def test_fillings_from_later_rows_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = type(pd.Series([1.0]).groupby([0]))
    frame = original(True)
    frame.loc[frame["t"] == CUTOFF, "wind"] = np.nan
    unplanted = [stages(f, None, "standard")["encoded"] for f in (frame, altered(frame, with_other_covariates))]
    assert unplanted[0] == unplanted[1]
    monkeypatch.setattr(groups, "ffill", groups.bfill)
    planted = [stages(f, None, "standard")["encoded"] for f in (frame, altered(frame, with_other_covariates))]
    assert planted[0] != planted[1]


# --- to the forecast -------------------------------------------------------------------------------------------------

SETTINGS = [  # every transform, scaler, way to normalise and way to fill stands in one of them
    {"normalise": "last"},
    {"normalise": "prefix", "transform": "log", "scaler": "robust"},
    {"normalise": "robust", "transform": "log1p", "fill": "seasonal"},
    {"normalise": "series", "transform": "yeo-johnson", "scaler": None, "fill": "last"},
    {"normalise": "prefix", "transform": "box-cox", "fill": 100.0},
]


def forecaster(**changes: Any) -> HourGlassForecaster:
    tiny = {"max_epochs": 1, "steps_per_epoch": 3, "d_model": 8, "n_heads": 2, "d_ff": 8, "freq": "D"}
    return HourGlassForecaster(HORIZON, CONTEXT, accelerator="cpu", progress=False, **tiny, **changes)


def forecasts_up_to_cutoff(model: HourGlassForecaster, frame: pd.DataFrame) -> pd.DataFrame:
    """What a backtest over the whole frame lets a fitted model forecast from two origins up to the cutoff."""
    found = model.forecast_from(frame, [CUTOFF - pd.Timedelta(days=9), CUTOFF])
    return found.drop(columns=["origin", "lead"])


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: "-".join(map(str, settings.values())))
def test_forecasts_from_the_cutoff_know_nothing_later(settings: dict[str, Any], gaps: bool) -> None:
    frame = original(gaps)
    cut = altered(frame, without_rows)
    model = forecaster(**settings).fit(cut, **FIT)
    expected, rolled = model.forecast(), forecasts_up_to_cutoff(model, frame)
    assert np.isfinite(expected["forecast"]).all()
    pd.testing.assert_frame_equal(model.forecast(cut), expected, check_exact=True)
    # windows may stand in batches of other sizes, and matrix products of other sizes round otherwise
    pd.testing.assert_frame_equal(rolled[-len(expected) :].reset_index(drop=True), expected, rtol=1e-6)
    for how in ALTERATIONS:
        again = forecasts_up_to_cutoff(model, altered(frame, how))
        pd.testing.assert_frame_equal(again, rolled, rtol=1e-6)
    # rows without a target after the cutoff say nothing, in fit or forecast, whatever else they hold
    open_ended = altered(altered(frame, without_values), with_other_covariates)
    pd.testing.assert_frame_equal(model.forecast(open_ended), expected, check_exact=True)
    refitted = forecaster(**settings).fit(open_ended, **FIT).forecast()
    pd.testing.assert_frame_equal(refitted, expected, check_exact=True)


def scale_of_fit(frame: pd.DataFrame, **settings: Any) -> list[bytes]:
    """The statistics of a forecaster fitted on `frame`, with a validation tail."""
    scaler: SeriesScaler = forecaster(**settings).fit(frame, **FIT).trained_.encoder.scaler
    return [np.asarray(part).tobytes() for part in (scaler.centre, scaler.scale, scaler.power)]


@pytest.mark.parametrize("settings", SETTINGS[1::3], ids=lambda settings: "-".join(map(str, settings.values())))
def test_the_validation_tail_scales_nothing(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    frame = original(gaps=True)
    noisy = with_noise(frame, frame["t"] > frame["t"].max() - pd.Timedelta(days=HORIZON))
    assert scale_of_fit(noisy, **settings) == scale_of_fit(frame, **settings)
    monkeypatch.setattr(TableEncoder, "fit", seeing_all_rows(TableEncoder.fit))
    assert scale_of_fit(noisy, **settings) != scale_of_fit(frame, **settings)
