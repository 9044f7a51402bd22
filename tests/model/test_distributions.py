"""Quantiles and distributions on the floor: where they start, that they keep order, and that they come back."""

import subprocess
import sys

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pytorch_forecasting import DeepAR, TimeSeriesDataSet
from pytorch_forecasting.data.encoders import EncoderNormalizer, GroupNormalizer, MultiNormalizer, TorchNormalizer
from pytorch_forecasting.metrics import (
    BetaDistributionLoss,
    LogNormalDistributionLoss,
    MultiLoss,
    NegativeBinomialDistributionLoss,
    NormalDistributionLoss,
    QuantileLoss,
)
from scipy import stats

from hourglass_ts import FastTimeSeriesDataSet, HourGlassModel, StudentTDistributionLoss
from hourglass_ts.errors import DataError, SettingsError
from hourglass_ts.model._outputs import FloorResiduals, bend, fit_student, inverse_softplus, readout_for
from hourglass_ts.model.losses import student_quantiles

CONTEXT, HORIZON, CUT = 16, 3, 1500
SCALED = GroupNormalizer(groups=["series"], center=False)
LEVELS = [0.1, 0.5, 0.9]
CPU = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
HEADS = {
    "quantiles": lambda: QuantileLoss(LEVELS),
    "normal": lambda: NormalDistributionLoss(quantiles=LEVELS),
    "student": lambda: StudentTDistributionLoss(quantiles=LEVELS),
    "counts": lambda: NegativeBinomialDistributionLoss(quantiles=LEVELS),
}
N_PARAMETERS = {"quantiles": 3, "normal": 4, "student": 5, "counts": 2}


def noise_frame(kind="normal", n_steps=3000, n_series=2, seed=0, **columns):
    """White noise about a level that differs between series: what a floor cannot forecast is all of it."""
    rng = np.random.default_rng(seed)
    draw = {
        "normal": lambda: 20 + 3 * rng.normal(size=n_steps),
        "student": lambda: 20 + 3 * rng.standard_t(3, size=n_steps),
        "counts": lambda: rng.negative_binomial(2, 2 / (2 + 4.0), size=n_steps).astype(float),  # mean 4, shape 0.5
    }[kind]
    parts = [
        pd.DataFrame({"series": f"s{k}", "time": np.arange(n_steps), "y": draw(), **columns}) for k in range(n_series)
    ]
    return pd.concat(parts, ignore_index=True)


def split(frame, cut=CUT, **changes):
    roles = {"time_idx": "time", "target": "y", "group_ids": ["series"], "time_varying_unknown_reals": ["y"]}
    lengths = {"max_encoder_length": CONTEXT, "max_prediction_length": HORIZON}
    training = FastTimeSeriesDataSet(
        frame[frame["time"] < cut], **{**roles, **lengths, "target_normalizer": SCALED, **changes}
    )
    return training, FastTimeSeriesDataSet.from_dataset(training, frame, min_prediction_idx=cut)


def make_model(training, loss, shake=0.0, seed=0, **settings):
    torch.manual_seed(seed)
    sizes = {"shortening_factors": [2], "patch": 2, "d_model": 8, "n_heads": 1, "d_ff": 8}
    model = HourGlassModel.from_dataset(training, loss=loss, **{**sizes, **settings})
    with torch.no_grad():
        for head in model.network.heads.parameters():
            head.add_(shake * torch.randn_like(head))
    return model.eval()


def fitted(kind, head, **changes):
    """A model on its floor, before any gradient step, and the rows it never saw."""
    training, validation = split(noise_frame(kind), **changes)
    model = make_model(training, HEADS[head]())
    model.fit_floor(training)
    return model, validation


def first_batch(dataset, batch_size=64):
    return next(iter(dataset.to_dataloader(train=False, batch_size=batch_size)))


def predicted_quantiles(model, dataset, **kwargs):
    out = model.predict(dataset, mode="quantiles", return_y=True, batch_size=512, trainer_kwargs=dict(CPU), **kwargs)
    return out.output, out.y[0]


def mean_loss(model, dataset):
    out = model.predict(dataset, mode="raw", return_y=True, batch_size=512, trainer_kwargs=dict(CPU))
    return float(model.loss(out.output.prediction, out.y))


# --- the contract ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", HEADS)
def test_fit_validate_predict_and_a_new_process(head, tmp_path):
    training, validation = split(noise_frame("counts", 400), cut=300)
    model = make_model(training, HEADS[head]())
    trainer = pl.Trainer(max_epochs=1, limit_train_batches=5, **CPU)
    loaders = training.to_dataloader(batch_size=32), validation.to_dataloader(train=False, batch_size=64)
    trainer.fit(model.train(), *loaders)
    (scores,) = trainer.validate(model, loaders[1], verbose=False)
    assert np.isfinite(scores["val_loss"])
    model.eval()
    x, _ = first_batch(validation)
    assert model(x).prediction.shape == (64, HORIZON, N_PARAMETERS[head])
    assert model(x).prediction.dtype == torch.float32
    quantiles, _ = predicted_quantiles(model, validation)
    assert quantiles.shape == (len(validation), HORIZON, 3)
    assert model.predict(validation, trainer_kwargs=dict(CPU)).shape == (len(validation), HORIZON)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    torch.save(({k: v for k, v in x.items() if k != "decoder_target"}, model(x).prediction), tmp_path / "batch.pt")
    code = (
        "import torch; from hourglass_ts import HourGlassModel\n"
        "x, before = torch.load('batch.pt')\n"
        "model = HourGlassModel.load_from_checkpoint('model.ckpt').eval()\n"
        "assert torch.equal(model(x).prediction, before), 'another forecast'\n"
        "print(type(model.loss).__name__, model.loss.quantiles)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == f"{type(model.loss).__name__} {LEVELS}"


def test_several_targets_with_a_distribution_each():
    rng = np.random.default_rng(0)
    frame = noise_frame("counts", 300).assign(a=lambda f: rng.normal(size=len(f)), b=lambda f: rng.normal(size=len(f)))
    names = ["y", "a", "b"]
    normalizers = MultiNormalizer([SCALED, TorchNormalizer(), EncoderNormalizer()])
    training, validation = split(
        frame, cut=200, target=names, time_varying_unknown_reals=names, target_normalizer=normalizers
    )
    heads = ["counts", "student", "normal"]
    model = make_model(training, MultiLoss([HEADS[head]() for head in heads]))
    trainer = pl.Trainer(max_epochs=1, limit_train_batches=3, **CPU)
    loaders = training.to_dataloader(batch_size=16), validation.to_dataloader(train=False, batch_size=64)
    trainer.fit(model.train(), *loaders)
    assert torch.isfinite(trainer.callback_metrics["val_loss"])
    raw = model.predict(validation, mode="raw", trainer_kwargs=dict(CPU)).prediction
    assert [part.shape[-1] for part in raw] == [N_PARAMETERS[head] for head in heads]
    for mode, shape in (("prediction", ()), ("quantiles", (3,))):
        parts = model.predict(validation, mode=mode, trainer_kwargs=dict(CPU))
        assert [part.shape for part in parts] == [(len(validation), HORIZON, *shape)] * 3


def test_upstreams_deepar_takes_the_student_loss():
    training, validation = split(noise_frame("student", 200), cut=150)
    model = DeepAR.from_dataset(training, loss=StudentTDistributionLoss(quantiles=LEVELS), hidden_size=4)
    trainer = pl.Trainer(max_epochs=1, limit_train_batches=3, **CPU)
    trainer.fit(model, training.to_dataloader(batch_size=16), validation.to_dataloader(train=False, batch_size=64))
    assert torch.isfinite(trainer.callback_metrics["val_loss"])
    assert model.predict(validation, trainer_kwargs=dict(CPU)).isfinite().all()


@pytest.mark.parametrize("head", ["normal", "student", "counts"])
def test_share_scales_the_location_alone(head):
    training, validation = split(noise_frame("counts", 200), cut=150)
    model = make_model(training, HEADS[head](), shake=0.05)
    x, _ = first_batch(validation)
    outs = []
    for share in (0.0, 0.5, 1.0):
        model.share.fill_(share)
        outs.append(model(x).prediction)
    place = {"normal": 2, "student": 2, "counts": 0}[head]
    others = [k for k in range(outs[0].shape[-1]) if k != place]
    assert torch.equal(outs[0][..., others], outs[2][..., others])
    assert (outs[2] - outs[0])[..., place].abs().max() > 1e-2
    high = (outs[0][..., place] > 0.1) & (outs[2][..., place] > 0.1)  # counts are bent near 0
    torch.testing.assert_close(outs[1][high], (outs[0] + outs[2])[high] / 2, rtol=1e-4, atol=1e-4)


# --- where the heads start -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalizer", [SCALED, GroupNormalizer(groups=["series"]), EncoderNormalizer()])
@pytest.mark.parametrize("head", ["quantiles", "normal", "student"])
def test_step_0_is_the_floor_with_the_width_of_its_residuals(head, normalizer):
    model, validation = fitted("normal", head, target_normalizer=normalizer)
    quantiles, actual = predicted_quantiles(model, validation)
    inside = (quantiles[..., 0] <= actual) & (actual <= quantiles[..., 2])
    assert inside.float().mean(0).tolist() == pytest.approx([0.8] * HORIZON, abs=0.03)
    x, _ = first_batch(validation)
    raw = model(x)
    scale = x["target_scale"]
    floor = raw.floor * scale[:, 1:] + scale[:, :1]
    width = {"quantiles": 0.1, "normal": 1e-4, "student": 1e-4}[head]  # quantiles have a median of their own
    assert (model.to_prediction(raw) - floor).abs().max() < width * 3


@pytest.mark.parametrize(
    ("loss", "transformation"),
    [(NormalDistributionLoss, "log"), (StudentTDistributionLoss, "log1p"), (LogNormalDistributionLoss, "log")],
)
def test_step_0_holds_through_a_transformation(loss, transformation):
    frame = noise_frame()
    frame["y"] = np.exp(frame["y"] / 10)
    normalizer = GroupNormalizer(groups=["series"], transformation=transformation)
    training, validation = split(frame, target_normalizer=normalizer)
    model = make_model(training, loss(quantiles=LEVELS))
    model.fit_floor(training)
    quantiles, actual = predicted_quantiles(model, validation)
    inside = (quantiles[..., 0] <= actual) & (actual <= quantiles[..., 2])
    assert inside.float().mean() == pytest.approx(0.8, abs=0.03)
    assert (actual < quantiles[..., 1]).float().mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("head", ["normal", "student"])
def test_width_grows_with_the_lead_as_the_floors_errors_do(head):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"series": "s0", "time": np.arange(3000), "y": rng.normal(size=3000).cumsum()})
    training, validation = split(frame)
    model = make_model(training, HEADS[head]())
    model.fit_floor(training)
    x, _ = first_batch(validation)
    widths = model(x).prediction[..., 3]
    assert (widths / widths[:, :1]).mean(0).tolist() == pytest.approx([1.0, 2**0.5, 3**0.5], rel=0.1)
    assert widths[:, 0].std() > 0.1 * widths[:, 0].mean()  # by each window's spread


def test_start_of_the_tails():
    model, _ = fitted("student", "student")
    assert 2.5 <= float(model.offsets_0[0, 1]) <= 4.0
    model, _ = fitted("normal", "student")
    assert float(model.offsets_0[0, 1]) >= 10.0


def test_fit_student_finds_scale_and_tails_and_passes_over_holes():
    torch.manual_seed(0)
    values = torch.distributions.StudentT(4.0).sample((4000, 2)) * torch.tensor([2.0, 0.5])
    values[torch.rand(4000, 2) < 0.3] = torch.nan
    scale, freedom = fit_student(torch.cat([values, torch.full((4000, 1), torch.nan)], dim=1))
    assert 3.0 <= freedom <= 5.0
    assert scale[:2].tolist() == pytest.approx([2.0, 0.5], rel=0.06)
    assert scale[2].isnan()


def test_a_perfect_floor_keeps_a_width():
    time = np.arange(400)
    frame = pd.DataFrame({"series": "s0", "time": time, "y": np.sin(time / 5)})
    for head in ("normal", "student"):
        training, validation = split(frame, cut=300)
        model = make_model(training, HEADS[head]())
        model.fit_floor(training)
        assert np.isfinite(mean_loss(model, validation))
        assert model.offsets_0[:, 0].min() >= 1e-3 * 0.999


def test_leads_without_an_observation_keep_the_unfitted_start():
    residuals = FloorResiduals(torch.full((5, 2), torch.nan), torch.ones(5, 1), torch.zeros(5, 2), torch.ones(5, 1))
    for loss, size in ((NormalDistributionLoss(), 2), (StudentTDistributionLoss(), 3), (QuantileLoss(LEVELS), 3)):
        starts = readout_for(loss, size).starts(residuals)
        assert starts.shape == (2, len(readout_for(loss, size).unfitted))
        assert starts[:, 0].isnan().all()
    frame = noise_frame(n_steps=100)
    frame["y"] = 7.0  # no window has a unit
    training, _ = split(frame, cut=80, target_normalizer=TorchNormalizer(method="identity"))
    model = make_model(training, StudentTDistributionLoss())
    model.fit_floor(training)
    assert (model.offsets_0[:, 0] == 1.0).all()
    assert model.offsets_0.isfinite().all()


def test_heavy_tails_are_likelier_under_student_before_and_after_training():
    scores = {}
    for head in ("normal", "student"):
        training, validation = split(noise_frame("student"))
        model = make_model(training, HEADS[head](), learning_rate=1e-3)
        model.fit_floor(training)
        before = mean_loss(model, validation)
        pl.Trainer(max_epochs=1, limit_train_batches=40, **CPU).fit(
            model.train(), training.to_dataloader(batch_size=64), validation.to_dataloader(train=False, batch_size=256)
        )
        scores[head] = before, mean_loss(model.eval(), validation)
    assert scores["student"][0] < scores["normal"][0] - 0.05
    assert scores["student"][1] < scores["normal"][1] - 0.05


# --- counts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalizer", [SCALED, EncoderNormalizer(center=False), TorchNormalizer(center=False)])
def test_mean_of_counts_is_the_last_value_on_a_naive_floor(normalizer):
    training, validation = split(noise_frame("counts", 300), cut=200, target_normalizer=normalizer)
    model = make_model(training, HEADS["counts"](), shake=0.3)
    model.share.fill_(0.0)
    x, _ = first_batch(validation)
    last = x["encoder_target"][:, -1:].expand(-1, HORIZON)
    mean = model.to_prediction(model(x))
    assert (last == 0).any()
    torch.testing.assert_close(mean[last > 0], last[last > 0], rtol=1e-4, atol=1e-5)
    assert (mean[last == 0] > 0).all()
    assert (mean[last == 0] < 0.05).all()


def test_counts_start_at_their_own_overdispersion():
    model, validation = fitted("counts", "counts")
    x, _ = first_batch(validation)
    mean, shape = model(x).prediction.detach().unbind(-1)
    assert mean.mean() == pytest.approx(4.0, rel=0.1)
    assert shape.mean() == pytest.approx(0.5, rel=0.25)
    quantiles, actual = predicted_quantiles(model, validation, mode_kwargs={"n_samples": 1000})
    assert (actual <= quantiles[..., 2]).float().mean() == pytest.approx(0.9, abs=0.03)
    assert (actual == 0).float().mean() > 0.1


def test_counts_are_likelier_under_the_negative_binomial_than_without_overdispersion():
    model, validation = fitted("counts", "counts")
    own = mean_loss(model, validation)
    model.offsets_0.fill_(1e-3)  # nearly Poisson
    assert own < mean_loss(model, validation) - 0.2


def test_a_location_below_zero_has_a_positive_mean_and_a_gradient():
    location = torch.tensor([-0.05, 0.0, 0.005, 0.01, 0.011, 3.0], requires_grad=True)
    mean = torch.nn.functional.softplus(inverse_softplus(bend(location)))
    assert (mean > 0).all()
    assert (mean.diff() > 0).all()
    torch.testing.assert_close(mean[3:], location[3:], rtol=1e-4, atol=1e-6)
    mean.sum().backward()
    assert (location.grad > 0).all()


@pytest.mark.parametrize(
    ("normalizer", "message"),
    [
        (GroupNormalizer(groups=["series"]), r"NegativeBinomial.* with a centred target.*center=False"),
        (
            GroupNormalizer(groups=["series"], center=False, transformation="log1p"),
            r"NegativeBinomial.*'log1p'.*Leave the normaliser's transformation out",
        ),
        (EncoderNormalizer(transformation="softplus"), "2 problems"),
    ],
)
def test_counts_refuse_a_normaliser_that_moves_them(normalizer, message):
    training, _ = split(noise_frame("counts", 100), cut=80, target_normalizer=normalizer)
    with pytest.raises(SettingsError, match=message):
        make_model(training, NegativeBinomialDistributionLoss())


@pytest.mark.parametrize(("wrong", "found"), [(2.5, "2.5"), (-1.0, "-1")])
def test_what_is_no_count_is_refused(wrong, found):
    frame = noise_frame("counts", 100)
    frame.loc[7, "y"] = wrong
    training, _ = split(frame, cut=80)
    with pytest.raises(DataError, match=f"column 'y': found {found}; expected whole numbers"):
        make_model(training, NegativeBinomialDistributionLoss())


@pytest.mark.parametrize(
    ("loss", "normalizer", "message"),
    [
        (LogNormalDistributionLoss(), SCALED, "LogNormal.*transformation=None.*logarithms"),
        (BetaDistributionLoss(), SCALED, "Beta.*logit"),
        (NormalDistributionLoss(), TorchNormalizer(transformation="sqrt"), "keeps the order"),
        (StudentTDistributionLoss(), TorchNormalizer(transformation="sqrt"), "keeps the order"),
        (QuantileLoss(), TorchNormalizer(transformation="sqrt"), "keeps the order"),
    ],
)
def test_losses_refuse_a_normaliser_that_they_do_not_fit(loss, normalizer, message):
    training, _ = split(noise_frame("counts", 100), cut=80, target_normalizer=normalizer)
    with pytest.raises(SettingsError, match=message):
        make_model(training, loss)


# --- order -----------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@example([0.5, 0.75, 0.625, 0.25, 0.375, 0.3125, 0.4375], "quantiles", "softplus", 0.0, torch.float32, 144)
@example([0.96875, 0.984375], "student", "log1p", 10.0, torch.float32, 1)
@given(
    levels=st.lists(st.floats(0.001, 0.999), min_size=2, max_size=7, unique=True),
    head=st.sampled_from(["quantiles", "normal", "student"]),
    transformation=st.sampled_from([None, "log1p", "softplus", "relu", "count"]),
    size=st.sampled_from([0.0, 0.3, 10.0]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    seed=st.integers(0, 10**6),
)
def test_quantiles_never_cross(levels, head, transformation, size, dtype, seed):
    """Whatever the network gives, in whatever order the levels come; size 0 is the untrained network."""
    torch.manual_seed(seed)
    loss = {"quantiles": QuantileLoss, "normal": NormalDistributionLoss, "student": StudentTDistributionLoss}[head](
        quantiles=levels
    )
    readout = readout_for(loss, len(levels) if head == "quantiles" else len(loss.distribution_arguments))
    numbers = (size * torch.randn(4, 5, readout.n_outputs)).to(dtype).float()
    starts = torch.tensor(readout.unfitted).repeat(5, 1)
    location, spread = torch.randn(4, 5), torch.rand(4, 1) + 1e-2
    encoder = TorchNormalizer(transformation=transformation)
    scale = torch.tensor([[1.0, 2.0]]).repeat(4, 1)
    parameters = readout.parameters(location, spread, numbers, starts)
    real = readout.in_order(loss.rescale_parameters(parameters, target_scale=scale, encoder=encoder))
    quantiles = loss.to_quantiles(real)
    order = np.argsort(levels)
    assert quantiles.shape == (4, 5, len(levels))
    assert not quantiles.isnan().any()
    last_digit = 1e-6 * quantiles[..., :1].abs() if head == "normal" else 0.0  # upstream's own rounding
    ordered = quantiles[..., order]
    # Compared, not subtracted: far out, the inverse of log1p is infinite, and of two infinities none is below.
    assert (ordered[..., 1:] >= ordered[..., :-1] - last_digit).all()


@pytest.mark.parametrize("head", HEADS)
def test_quantiles_of_a_model_keep_order_under_bf16(head):
    training, validation = split(noise_frame("counts", 200), cut=150)
    model = make_model(training, HEADS[head](), shake=1.0)
    x, _ = first_batch(validation)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = model(x)
    quantiles = model.loss.to_quantiles(out.prediction)
    assert quantiles.isfinite().all()
    assert (quantiles.diff(dim=-1) >= 0).all()


# --- the Student loss ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("freedom", "error"), [(2.01, 1.4e-3), (2.5, 6e-5), (4.0, 1e-5), (5.0, 1e-5), (40.0, 1e-6)])
def test_student_quantiles_are_those_of_scipy(freedom, error):
    levels = [1e-4, 0.01, 0.1, 0.15, 0.18, 0.3, 0.499, 0.5, 0.7, 0.95, 0.999]
    own = student_quantiles(levels, torch.tensor(freedom, dtype=torch.float64)).numpy()
    assert own == pytest.approx(stats.t.ppf(levels, freedom), rel=error, abs=1e-12)


@pytest.mark.parametrize("transformation", [None, "log1p"])
def test_student_loss_is_scipys_in_real_units(transformation):
    loss = StudentTDistributionLoss(quantiles=[0.2, 0.5])
    network = torch.tensor([[[0.3, -0.2, 1.0]]])
    scale = torch.tensor([[1.0, 2.0]])
    parameters = loss.rescale_parameters(
        network, target_scale=scale, encoder=TorchNormalizer(transformation=transformation)
    )
    width, freedom = np.log1p(np.exp(-0.2)), 2 + np.log1p(np.exp(1.0))
    student = stats.t(freedom, loc=1.0 + 2.0 * 0.3, scale=2.0 * width)
    actual = 4.0
    if transformation is None:
        expected, quantiles = -student.logpdf(actual), student.ppf([0.2, 0.5])
    else:
        expected = -student.logpdf(np.log1p(actual)) + np.log1p(actual)
        quantiles = np.expm1(student.ppf([0.2, 0.5]))
    assert float(loss.loss(parameters, torch.tensor([[actual]]))) == pytest.approx(expected, rel=1e-4)
    assert loss.to_quantiles(parameters)[0, 0].tolist() == pytest.approx(quantiles, rel=1e-4)
    assert float(loss.to_prediction(parameters)) == pytest.approx(quantiles[1], rel=1e-4)
    torch.manual_seed(0)
    drawn = loss.sample(parameters, 20_000)[0, 0].numpy()
    assert np.quantile(drawn, 0.2) == pytest.approx(quantiles[0], abs=0.1)


def test_point_forecasts_are_not_drawn():
    training, validation = split(noise_frame(n_steps=200), cut=150, target_normalizer=TorchNormalizer())
    x, _ = first_batch(validation)
    for head in ("normal", "student"):
        model = make_model(training, HEADS[head](), shake=0.3)
        out = model(x)
        location = out.floor + out.residual
        expected = location * x["target_scale"][:, 1:] + x["target_scale"][:, :1]
        torch.testing.assert_close(model.to_prediction(out), expected.float(), rtol=1e-4, atol=1e-3)


def test_a_plain_data_set_serves_as_well():
    training, _ = split(noise_frame("counts", 100), cut=80)
    plain = TimeSeriesDataSet.from_parameters(training.get_parameters(), noise_frame("counts", 100))
    assert make_model(plain, NegativeBinomialDistributionLoss())(first_batch(plain)[0]).prediction.isfinite().all()


def test_equal_quantiles_stay_equal_through_a_transformation():
    frame = noise_frame(n_steps=200).assign(y=lambda f: f["y"].abs() / 20)
    training, validation = split(frame, cut=150, target_normalizer=TorchNormalizer(transformation="softplus"))
    model = make_model(training, QuantileLoss([0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9]))
    x, _ = first_batch(validation, batch_size=90)
    for size in range(1, 91):  # the last few of a batch are rounded otherwise
        part = {k: [p[:size] for p in v] if isinstance(v, list) else v[:size] for k, v in x.items()}
        assert (model(part).prediction.diff(dim=-1) >= 0).all()
