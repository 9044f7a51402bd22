"""`HourGlassModel` against the contract of pytorch-forecasting, and the traps in it."""

import copy
import pickle

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_forecasting import TimeSeriesDataSet
from pytorch_forecasting.data.encoders import EncoderNormalizer, GroupNormalizer, NaNLabelEncoder
from pytorch_forecasting.metrics import (
    MAE,
    RMSE,
    ImplicitQuantileNetworkDistributionLoss,
    MultiLoss,
    NormalDistributionLoss,
    PoissonLoss,
    QuantileLoss,
)
from pytorch_forecasting.tuning import Tuner

from hourglass_ts import HourGlassModel, StudentTDistributionLoss
from hourglass_ts.errors import DataError, NotFittedError, SettingsError
from hourglass_ts.model._reader import target_scale

CONTEXT, HORIZON = 12, 3


def make_frame(n_series=3, n_steps=60, seed=0):
    rng = np.random.default_rng(seed)
    parts = []
    for number in range(n_series):
        time = np.arange(n_steps)
        season = np.sin(2 * np.pi * time / 7 + number)
        parts.append(
            pd.DataFrame(
                {
                    "series": f"s{number}",
                    "time": time,
                    "y": 10.0 * (number + 1) + 3 * season + rng.normal(0, 0.3, n_steps),
                    "z": rng.normal(0, 1, n_steps).cumsum(),
                    "price": rng.uniform(1, 2, n_steps),
                    "weather": rng.choice(["sun", "rain"], n_steps),
                    "kind": f"k{number % 2}",
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def make_dataset(frame=None, **changes):
    settings = {
        "time_idx": "time",
        "target": "y",
        "group_ids": ["series"],
        "max_encoder_length": CONTEXT,
        "min_encoder_length": CONTEXT,
        "max_prediction_length": HORIZON,
        "min_prediction_length": HORIZON,
        "time_varying_known_reals": ["price"],
        "time_varying_known_categoricals": ["weather"],
        "time_varying_unknown_reals": ["y", "z"],
        "static_categoricals": ["kind"],
        "target_normalizer": GroupNormalizer(groups=["series"]),
    }
    return TimeSeriesDataSet(make_frame() if frame is None else frame, **{**settings, **changes})


def make_model(dataset, seed=0, noise=0.3, **settings):
    """A small model whose zero-initialised heads are shaken, so that every path reaches its output."""
    torch.manual_seed(seed)
    sizes = {"shortening_factors": [2, 2], "patch": 2, "d_model": 16, "n_heads": 2, "d_ff": 16, "dropout": 0.0}
    model = HourGlassModel.from_dataset(dataset, **{**sizes, **settings})
    with torch.no_grad():
        for head in model.network.heads.parameters():
            head.add_(noise * torch.randn_like(head))
    return model.eval()


def first_batch(dataset, batch_size=8):
    return next(iter(dataset.to_dataloader(train=False, batch_size=batch_size)))


def fit(model, dataset, validation=None, **settings):
    trainer = pl.Trainer(
        **{
            "max_epochs": 1,
            "accelerator": "cpu",
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            **settings,
        }
    )
    loaders = [dataset.to_dataloader(train=True, batch_size=16)]
    if validation is not None:
        loaders.append(validation.to_dataloader(train=False, batch_size=64))
    trainer.fit(model.train(), *loaders)
    model.eval()
    return trainer


def split(frame, cut=45, **changes):
    training = make_dataset(frame[frame["time"] < cut], **changes)
    return training, TimeSeriesDataSet.from_dataset(training, frame, min_prediction_idx=cut, stop_randomization=True)


def row(x, number):
    """One sample of a batch, cut to its own lengths, as a batch of one."""
    encoder, decoder = int(x["encoder_lengths"][number]), int(x["decoder_lengths"][number])

    def cut(name, value):
        if isinstance(value, list):
            return [cut(name, part) for part in value]
        value = value[number : number + 1]
        length = encoder if name.startswith("encoder_") and value.ndim > 1 else decoder
        return value[:, :length] if value.ndim > 1 and name not in ("groups", "target_scale") else value

    return {name: cut(name, value) for name, value in x.items()}


def assert_alone_equals_batched(model, x):
    """Each sample's forecast is the same alone as beside the others."""
    together = model(x).prediction
    for number in range(len(x["encoder_lengths"])):
        alone = model(row(x, number)).prediction
        torch.testing.assert_close(alone[0], together[number, : alone.shape[1]], rtol=1e-4, atol=1e-5)


# --- what a forecast may depend on -----------------------------------------------------------------------------------


def test_forecast_ignores_future_targets_and_unknown_reals():
    dataset = make_dataset()
    model = make_model(dataset)
    x, _ = first_batch(dataset)
    before = model(x).prediction
    changed = copy.deepcopy(x)
    for name in ("y", "z"):
        changed["decoder_cont"][..., dataset.reals.index(name)] = 1e6
    changed["decoder_target"] += 1e6
    torch.testing.assert_close(model(changed).prediction, before, rtol=0, atol=0)


def test_forecast_reads_known_covariates_of_every_step():
    dataset = make_dataset()
    model = make_model(dataset)
    x, _ = first_batch(dataset)
    before = model(x).prediction
    for step in range(HORIZON):
        changed = copy.deepcopy(x)
        changed["decoder_cont"][:, step, dataset.reals.index("price")] += 1.0
        moved = (model(changed).prediction - before).abs().sum((0, 2))
        assert moved[step] > 1e-4
        assert moved[[s for s in range(HORIZON) if s != step]].max() < 1e-5


@pytest.mark.parametrize("name", ["price", "z"])
def test_forecast_reads_past_reals(name):
    dataset = make_dataset()
    model = make_model(dataset)
    x, _ = first_batch(dataset)
    changed = copy.deepcopy(x)
    changed["encoder_cont"][..., dataset.reals.index(name)] += 1.0
    assert (model(changed).prediction - model(x).prediction).abs().max() > 1e-4


def test_forecast_reads_static_categories():
    dataset = make_dataset()
    model = make_model(dataset)
    x, _ = first_batch(dataset)
    changed = copy.deepcopy(x)
    place = dataset.flat_categoricals.index("kind")
    changed["decoder_cat"][..., place] = 1 - changed["decoder_cat"][..., place]
    assert (model(changed).prediction - model(x).prediction).abs().max() > 1e-4


def test_alone_equals_batched_with_mixed_lengths():
    dataset = make_dataset(min_encoder_length=1, min_prediction_length=1)
    model = make_model(dataset)
    index = dataset.index.groupby("sequence_length").head(1).index
    dataset.index = dataset.index.loc[index].reset_index(drop=True)
    x, _ = first_batch(dataset, batch_size=len(dataset))
    assert len(set(x["encoder_lengths"].tolist())) > 5
    assert len(set(x["decoder_lengths"].tolist())) > 1
    assert_alone_equals_batched(model, x)


def test_the_batch_check_notices_a_dependence():
    dataset = make_dataset(min_encoder_length=1)
    model = make_model(dataset)
    x, _ = first_batch(dataset)
    whole = model.forward
    model.forward = lambda x: whole(x)._replace(prediction=whole(x).prediction + whole(x).prediction.mean())
    with pytest.raises(AssertionError):
        assert_alone_equals_batched(lambda x: model.forward(x), x)


@pytest.mark.parametrize("normalizer", [GroupNormalizer(groups=["series"]), EncoderNormalizer()])
@pytest.mark.parametrize("length", [0, 1])
def test_shortest_encoders_have_finite_forecasts(length, normalizer):
    dataset = make_dataset(target_normalizer=normalizer, min_encoder_length=2)
    model = make_model(dataset)
    x, _ = first_batch(dataset, batch_size=4)
    x["encoder_lengths"] = torch.tensor([length, length, CONTEXT, length])
    if isinstance(normalizer, EncoderNormalizer):
        x["target_scale"][[0, 1, 3], 1] = torch.nan
        x["target_scale"][[0, 1, 3], 0] = torch.nan if length == 0 else 10.0
    out = model(x).prediction
    assert out.isfinite().all()
    empty = row(x, 0)
    torch.testing.assert_close(model(empty).prediction[0], out[0], rtol=1e-4, atol=1e-4)


def test_untrained_model_is_its_floor():
    dataset = make_dataset()
    model = HourGlassModel.from_dataset(dataset)
    x, _ = first_batch(dataset)
    out = model(x)
    assert (out.residual == 0).all()
    last = x["encoder_target"][torch.arange(len(x["groups"])), x["encoder_lengths"] - 1]
    torch.testing.assert_close(out.prediction[..., 0], last[:, None].expand(-1, HORIZON), rtol=1e-4, atol=1e-3)


# --- losses and targets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "on_floor"),
    [
        (MAE(), True),
        (RMSE(), True),
        (QuantileLoss(), True),
        (NormalDistributionLoss(), True),
        (PoissonLoss(), False),
        (ImplicitQuantileNetworkDistributionLoss(), False),
    ],
)
def test_floor_serves_losses_in_the_targets_space(loss, on_floor):
    training, validation = split(make_frame())
    model = HourGlassModel.from_dataset(training, loss=loss, d_model=8, n_heads=1, d_ff=8)
    model.fit_floor(training, validation)
    assert (model.floors[0].report is not None) == on_floor
    x, _ = first_batch(validation)
    assert model(x).prediction.isfinite().all()


def test_several_targets_have_their_own_losses_floors_and_outputs():
    dataset = make_dataset(target=["y", "z"], target_normalizer="auto")
    model = make_model(dataset, loss=QuantileLoss(quantiles=[0.1, 0.5, 0.9]))
    assert isinstance(model.loss, MultiLoss)
    assert model.loss.metrics[0] is not model.loss.metrics[1]
    x, _ = first_batch(dataset)
    out = model(x)
    assert [part.shape for part in out.prediction] == [(8, HORIZON, 3)] * 2
    fit(model, dataset, dataset)
    assert [floor.report is not None for floor in model.floors] == [True, True]
    predicted = model.predict(dataset, trainer_kwargs={"accelerator": "cpu"})
    assert [part.shape for part in predicted] == [(len(dataset), HORIZON)] * 2


def test_quantiles_do_not_cross_and_keep_the_users_order():
    dataset = make_dataset()
    model = make_model(dataset, loss=QuantileLoss(quantiles=[0.9, 0.1, 0.5]), noise=3.0)
    x, _ = first_batch(dataset)
    high, low, middle = model(x).prediction.unbind(-1)
    assert (low <= middle).all()
    assert (middle <= high).all()


def test_point_forecast_of_quantiles_without_the_median_lies_between_them():
    training, validation = split(make_frame())
    model = make_model(training, loss=QuantileLoss(quantiles=[0.2, 0.8]))
    fit(model, training, validation)
    x, _ = first_batch(validation)
    out = model(x)
    point = model.to_prediction(out)
    torch.testing.assert_close(point, out.prediction.mean(-1))
    assert model.predict(validation, trainer_kwargs={"accelerator": "cpu"}).shape == (len(validation), HORIZON)


def test_quantiles_of_a_skewed_series_are_its_quantiles():
    """A ridge forecasts the mean, which of a skewed series is not its median."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"series": "s0", "time": np.arange(3000), "y": rng.exponential(size=3000)})
    plain = {"time_varying_known_reals": [], "time_varying_known_categoricals": [], "static_categoricals": []}
    training, validation = split(frame, cut=1500, **plain, time_varying_unknown_reals=["y"])
    levels = [0.1, 0.5, 0.9]
    model = HourGlassModel.from_dataset(training, loss=QuantileLoss(levels), d_model=8, n_heads=1, d_ff=8)
    model.fit_floor(training, validation)
    predicted = model.eval().predict(validation, mode="quantiles", return_y=True, trainer_kwargs={"accelerator": "cpu"})
    below = [(predicted.y[0] < predicted.output[..., place]).float().mean() for place in range(3)]
    assert below == pytest.approx(levels, abs=0.03)


def test_integer_targets_are_refused_with_the_next_step():
    frame = make_frame()
    frame["y"] = frame["y"].round().astype(int)
    with pytest.raises(DataError, match=r"column 'y'.*categorical target.*astype\(float\)"):
        HourGlassModel.from_dataset(make_dataset(frame, target_normalizer="auto", time_varying_unknown_reals=["z"]))


def test_wrong_settings_are_all_named_at_once():
    with pytest.raises(SettingsError, match="2 problems") as caught:
        HourGlassModel.from_dataset(make_dataset(), d_model=0, patch=99)
    assert "d_model=0" in str(caught.value)
    assert "patch=99" in str(caught.value)


# --- floor and gate --------------------------------------------------------------------------------------------------


def test_fit_fits_the_floor_and_the_share():
    training, validation = split(make_frame())
    model = make_model(training, noise=0.0)
    fit(model, training, validation, max_epochs=2)
    assert model.floors[0].report.floor_error < model.floors[0].report.naive_error
    assert 0.0 <= float(model.share[0]) <= 1.0
    assert not any(model._gate_evidence)


@pytest.mark.filterwarnings("ignore:ReduceLROnPlateau conditioned on metric val_loss")
def test_floor_without_validation_loader_uses_a_tail_of_the_training_origins():
    training, _ = split(make_frame())
    model = make_model(training)
    fit(model, training)
    assert model.floors[0].report is not None


def test_floor_off_stays_naive():
    training, validation = split(make_frame())
    model = make_model(training, floor=False)
    fit(model, training, validation)
    assert model.floors[0].report is None
    assert (model.floors[0].common == 0).all()


def test_share_scales_the_residual_alone():
    dataset = make_dataset()
    model = make_model(dataset, loss=QuantileLoss(quantiles=[0.1, 0.5, 0.9]))
    x, _ = first_batch(dataset)
    outs = []
    for share in (0.0, 0.5, 1.0):
        model.share.fill_(share)
        outs.append(model(x).prediction)
    torch.testing.assert_close(outs[1], (outs[0] + outs[2]) / 2, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(model(x, full_share=True).prediction, outs[2])
    assert (outs[0].diff(dim=-1) > 0).any()


def test_unseen_series_get_the_common_map():
    training, validation = split(make_frame())
    model = make_model(training, noise=0.0)
    model.fit_floor(training, validation)
    x, _ = first_batch(validation)
    x["groups"] = torch.full_like(x["groups"], 99)
    batch = model._windows(x, 0)
    floor = model.floors[0]
    inputs = batch.past - batch.past[:, -1:]
    torch.testing.assert_close(model(x).floor, batch.past[:, -1:] + inputs @ floor.common, rtol=1e-4, atol=1e-5)


def test_a_data_set_that_numbers_series_otherwise_is_refused():
    frame = make_frame()
    training = make_dataset(frame)
    model = make_model(training)
    other = make_dataset(frame[frame["series"] != "s0"])
    with pytest.raises(DataError, match=r"another number.*TimeSeriesDataSet.from_dataset"):
        model.predict(other)
    allowed = TimeSeriesDataSet.from_dataset(
        training, frame[frame["series"] != "s0"], predict=True, stop_randomization=True
    )
    assert len(model.predict(allowed, trainer_kwargs={"accelerator": "cpu"})) == 2


def test_validating_and_testing_refuse_it_too():
    frame = make_frame()
    training = make_dataset(frame)
    model = make_model(training)
    loader = make_dataset(frame[frame["series"] != "s0"]).to_dataloader(train=False)
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    for check in (trainer.validate, trainer.test):
        with pytest.raises(DataError, match="another number"):
            check(model, loader, verbose=False)


def test_a_loaded_model_says_that_its_floor_cannot_be_refitted(tmp_path):
    training, validation = split(make_frame())
    model = make_model(training)
    fit(model, training, validation).save_checkpoint(tmp_path / "model.ckpt")
    with pytest.raises(NotFittedError, match="chosen strengths"):
        HourGlassModel.load_from_checkpoint(tmp_path / "model.ckpt").refit_floor(training)


def test_constant_encoder_windows_do_not_blow_up_the_quantiles():
    frame = make_frame()
    frame.loc[frame["time"] % 40 < 15, "y"] = 0.0
    training, validation = split(frame, target_normalizer=EncoderNormalizer())
    model = make_model(training, loss=QuantileLoss([0.02, 0.5, 0.98]), noise=0.0)
    model.fit_floor(training, validation)
    x, _ = first_batch(validation, batch_size=64)
    assert model(x).prediction.abs().max() < 1e3


def test_new_categories_fall_into_the_unknown_class():
    frame = make_frame()
    training = make_dataset(frame, categorical_encoders={"weather": NaNLabelEncoder(add_nan=True, warn=False)})
    model = make_model(training)
    frame.loc[frame["time"] > 50, "weather"] = "snow"
    new = TimeSeriesDataSet.from_dataset(training, frame, predict=True, stop_randomization=True)
    assert model.predict(new, trainer_kwargs={"accelerator": "cpu"}).isfinite().all()


# --- training, checkpoints, pickles ----------------------------------------------------------------------------------


def test_bf16_training_and_float32_forecasts():
    training, validation = split(make_frame())
    model = make_model(training, noise=0.0, loss=QuantileLoss())
    trainer = fit(model, training, validation, precision="bf16-mixed")
    assert torch.isfinite(trainer.callback_metrics["val_loss"])
    x, _ = first_batch(validation)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = model(x).prediction
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, model(x).prediction, rtol=0.05, atol=0.3)


def test_checkpoint_restores_floor_share_and_forecast(tmp_path):
    training, validation = split(make_frame())
    model = make_model(training, loss=QuantileLoss())
    trainer = fit(model, training, validation)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    loaded = HourGlassModel.load_from_checkpoint(tmp_path / "model.ckpt").eval()
    x, _ = first_batch(validation)
    assert torch.equal(loaded(x).prediction, model.eval()(x).prediction)
    assert bool(loaded.floor_fitted)


@pytest.mark.parametrize("loss", [MAE(), QuantileLoss(), NormalDistributionLoss(), StudentTDistributionLoss()])
def test_training_resumes_from_a_checkpoint(tmp_path, loss):
    training, validation = split(make_frame())
    model = make_model(training, loss=loss, noise=0.0)
    trainer = fit(model, training, validation)
    model.train()
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    floor = model.floors[0].common.clone()
    resumed = make_model(training, loss=loss, seed=1)
    trainer = pl.Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.fit(
        resumed.train(),
        training.to_dataloader(train=True, batch_size=16),
        validation.to_dataloader(train=False, batch_size=64),
        ckpt_path=tmp_path / "model.ckpt",
    )
    assert trainer.current_epoch == 3
    assert torch.equal(resumed.floors[0].common, floor)


def test_model_pickles_after_forward_and_after_training():
    training, validation = split(make_frame())
    model = make_model(training)
    x, _ = first_batch(validation)
    before = model(x).prediction
    again = pickle.loads(pickle.dumps(model))
    assert torch.equal(again(x).prediction, before)
    fit(model, training, validation)
    copy.deepcopy(model)


def test_predict_leaves_the_callers_arguments_alone():
    dataset = make_dataset()
    model = make_model(dataset)
    settings = {"accelerator": "cpu"}
    model.predict(dataset, trainer_kwargs=settings)
    assert settings == {"accelerator": "cpu"}


def test_learning_rate_finder_runs(tmp_path):
    training, validation = split(make_frame())
    model = make_model(training, noise=0.0)
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False, default_root_dir=tmp_path
    )
    found = Tuner(trainer).lr_find(
        model.train(),
        train_dataloaders=training.to_dataloader(train=True, batch_size=16),
        val_dataloaders=validation.to_dataloader(train=False),
        num_training=10,
        min_lr=1e-5,
        early_stop_threshold=None,
    )
    assert found.results["lr"]


def test_randomized_lengths_train():
    training, validation = split(make_frame(), randomize_length=True, min_encoder_length=2)
    model = make_model(training, noise=0.0)
    trainer = fit(model, training, validation)
    assert torch.isfinite(trainer.callback_metrics["val_loss"])


def test_two_group_columns_make_one_series_number():
    frame = make_frame().assign(region=lambda f: f["kind"])
    dataset = make_dataset(frame, group_ids=["region", "series"])
    model = make_model(dataset)
    assert len(model.reader.series_keys) == 3
    codes = model.reader.series_codes(dataset.data["groups"]).unique()
    assert codes.tolist() == [0, 1, 2]


# --- window weights --------------------------------------------------------------------------------------------------


def test_window_weights_make_the_loss_blind_to_the_loudness_of_a_series():
    """The gradient of a batch is the same whatever scale its series have."""
    gradients = []
    for factor in (1.0, 1000.0):
        frame = make_frame()
        frame["y"] *= factor
        dataset = make_dataset(frame)
        model = make_model(dataset, window_weights=True, loss=MAE())
        batch = next(iter(dataset.to_dataloader(train=False, batch_size=32)))
        x, y = model._weighted(batch)
        loss = model.loss(model(x, full_share=True).prediction, y)
        loss.backward()
        gradients.append(model.network.heads[0].direct.weight.grad.clone())
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-2, atol=1e-4)


def test_window_weights_are_one_over_the_spread_and_keep_zero_weights():
    frame = make_frame().assign(w=lambda f: (f["time"] % 5 > 0).astype(float))
    dataset = make_dataset(frame, weight="w")
    model = make_model(dataset, window_weights=True)
    x, (target, weight) = next(iter(dataset.to_dataloader(train=False, batch_size=8)))
    _, (_, weighted) = model._weighted((x, (target, weight)))
    assert ((weighted == 0) == (weight == 0)).all()
    scale = target_scale(x, 0)
    past = (x["encoder_target"] - scale[:, :1]) / scale[:, 1:]
    expected = 1 / (past.std(dim=1, correction=0) * scale[:, 1])
    torch.testing.assert_close(weighted.max(dim=1).values, expected, rtol=1e-2, atol=1e-3)


def test_window_weights_refuse_several_targets():
    dataset = make_dataset(target=["y", "z"], target_normalizer="auto")
    with pytest.raises(SettingsError, match="window_weights with 2 targets"):
        make_model(dataset, window_weights=True)


# --- ways to normalise -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [QuantileLoss, PoissonLoss])
@pytest.mark.parametrize("normalise", ["last", "prefix", "robust", "series"])
def test_every_way_to_normalise_trains_and_comes_back_from_a_checkpoint(normalise, loss, tmp_path):
    dataset, validation = split(make_frame())
    settings = {"normalise": normalise, "window_weights": True}
    model = make_model(dataset, loss=loss(), **settings)
    x, _ = next(iter(dataset.to_dataloader(train=False, batch_size=32)))
    another = make_model(dataset, loss=loss(), **{**settings, "normalise": "robust" if normalise == "last" else "last"})
    assert not torch.equal(another.eval()(x).prediction, model.eval()(x).prediction)
    fit(model, dataset, validation, limit_train_batches=2).save_checkpoint(tmp_path / "model.ckpt")
    again = HourGlassModel.load_from_checkpoint(tmp_path / "model.ckpt").eval()
    forecast = model(x).prediction
    assert torch.isfinite(forecast).all()
    torch.testing.assert_close(again(x).prediction, forecast, rtol=0, atol=0)


def test_an_unknown_way_to_normalise_is_refused():
    with pytest.raises(SettingsError, match=r"normalise='first'.*prefix"):
        make_model(make_dataset(), normalise="first")
