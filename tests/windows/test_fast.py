"""`FastTimeSeriesDataSet` in its users' hands: loaders, workers, copies, saving, training, and the way back."""

from __future__ import annotations

import logging
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_forecasting import DeepAR, NHiTS, TemporalFusionTransformer, TimeSeriesDataSet
from pytorch_forecasting.data.encoders import EncoderNormalizer, GroupNormalizer, NaNLabelEncoder, TorchNormalizer
from pytorch_forecasting.metrics import MAE, NormalDistributionLoss, QuantileLoss
from torch.utils.data import DataLoader, Subset

from hourglass_ts import FastTimeSeriesDataSet
from tests.reference.batches import batches_differ

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


def table(n_series: int = 3, n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    step = np.tile(np.arange(n), n_series)
    return pd.DataFrame(
        {
            "t": step,
            "y": np.sin(step / 3) + rng.normal(scale=0.2, size=len(step)) + 3,
            "price": rng.normal(size=len(step)),
            "series": np.repeat([f"s{number}" for number in range(n_series)], n),
            "day": np.array(list("abc"))[step % 3],
        }
    )


ARGUMENTS: dict[str, Any] = {
    "time_idx": "t",
    "target": "y",
    "group_ids": ["series"],
    "max_encoder_length": 12,
    "min_encoder_length": 6,
    "max_prediction_length": 4,
    "static_categoricals": ["series"],
    "time_varying_known_categoricals": ["day"],
    "time_varying_known_reals": ["price"],
    "time_varying_unknown_reals": ["y"],
    "target_normalizer": EncoderNormalizer(),
    "add_target_scales": True,
    "add_relative_time_idx": True,
}


def both(**arguments: Any) -> tuple[TimeSeriesDataSet, FastTimeSeriesDataSet]:
    frame = table()
    return TimeSeriesDataSet(frame, **(ARGUMENTS | arguments)), FastTimeSeriesDataSet(frame, **(ARGUMENTS | arguments))


def assert_same_batches(ours: Any, theirs: Any) -> None:
    loaded = []
    for batches in (ours, theirs):
        torch.manual_seed(0)
        loaded.append(list(batches))
    ours, theirs = loaded
    assert len(ours) == len(theirs) > 0
    assert [batches_differ(a, b) for a, b in zip(ours, theirs, strict=True)] == [[]] * len(theirs)


def loaders(dataset: TimeSeriesDataSet) -> Iterator[DataLoader[Any]]:
    """The loaders that users make."""
    for options in (
        {"train": True, "batch_size": 16},
        {"train": False, "batch_size": 50},
        {"train": False, "batch_size": 8, "batch_sampler": "synchronized"},
        {"train": True, "batch_size": 32, "num_workers": 2},
        {"train": False, "batch_size": 32, "num_workers": 1, "persistent_workers": True},
    ):
        yield dataset.to_dataloader(**options)


def test_every_loader_gives_upstreams_batches() -> None:
    theirs, ours = both()
    for mine, upstreams in zip(loaders(ours), loaders(theirs), strict=True):
        for _ in range(2):
            assert_same_batches(mine, upstreams)


def test_workers_draw_the_same_random_lengths() -> None:
    theirs, ours = both(randomize_length=True)
    loaded = []
    for dataset in (ours, theirs):
        torch.manual_seed(4)
        loaded.append(list(dataset.to_dataloader(train=True, batch_size=16, num_workers=2)))
    assert_same_batches(*loaded)


def test_spawned_workers_can_read_it() -> None:
    theirs, ours = both()
    options: dict[str, Any] = {"train": False, "batch_size": 64}
    mine = ours.to_dataloader(**options, num_workers=1, multiprocessing_context="spawn")
    assert_same_batches(mine, theirs.to_dataloader(**options))


def test_a_collate_function_of_ones_own_gets_samples() -> None:
    theirs, ours = both()

    def encoder_lengths(samples: Any) -> list[int]:
        assert len(samples) == 20
        return [x["encoder_length"] for x, _ in samples]

    found = [list(DataLoader(data, 20, drop_last=True, collate_fn=encoder_lengths)) for data in (ours, theirs)]
    assert found[0] == found[1]


def test_a_collate_function_may_change_and_reread_samples() -> None:
    def plus_one(samples: Any) -> Any:
        for x, _ in samples:
            x["x_cont"] = x["x_cont"] + 1
        assert len(samples[:2]) == 2
        return TimeSeriesDataSet._collate_fn(samples)

    def through_ours(samples: Any) -> Any:
        for x, _ in samples:
            x["x_cont"] = x["x_cont"] + 1
        return FastTimeSeriesDataSet._collate_fn(samples)

    theirs, ours = both(randomize_length=True)
    assert_same_batches(DataLoader(ours, 16, collate_fn=plus_one), DataLoader(theirs, 16, collate_fn=plus_one))
    assert_same_batches(DataLoader(ours, 16, collate_fn=through_ours), DataLoader(theirs, 16, collate_fn=plus_one))


def test_another_default_precision_changes_nothing() -> None:
    theirs, ours = both(target_normalizer=EncoderNormalizer(method="robust"), add_target_scales=False)
    torch.set_default_dtype(torch.float64)
    try:
        assert_same_batches(ours.to_dataloader(train=False), theirs.to_dataloader(train=False))
    finally:
        torch.set_default_dtype(torch.float32)


def test_an_index_of_ones_own_is_obeyed(caplog: pytest.LogCaptureFixture) -> None:
    theirs, ours = both()
    for data in (theirs, ours):
        data.index = data.index.assign(note="x").iloc[::-1]
    assert_same_batches(ours.to_dataloader(train=False), theirs.to_dataloader(train=False))
    assert "columns of its own" in caplog.text
    for data in (theirs, ours):
        data.index = data.index.drop(columns="note")
        data.index.sort_values("time", inplace=True)
    assert_same_batches(ours.to_dataloader(train=False), theirs.to_dataloader(train=False))


def test_subsets_and_single_samples() -> None:
    theirs, ours = both()
    parts = [Subset(data, [5, 1, 30]) for data in (ours, theirs)]
    mine, upstreams = (DataLoader(part, 2, collate_fn=theirs._collate_fn) for part in parts)
    assert_same_batches(mine, upstreams)
    mine, upstreams = (DataLoader(part, 2, collate_fn=ours._collate_fn) for part in parts)
    assert_same_batches(mine, upstreams)
    with pytest.raises(IndexError):
        ours._collate_fn(ours.__getitems__([len(ours)]))


def test_copies_of_every_kind_give_the_same_batches(tmp_path: Path) -> None:
    theirs, ours = both()
    batch = next(iter(ours.to_dataloader(train=False)))  # what a batch leaves behind must not matter
    ours.save(tmp_path / "data.pt")
    later = table(n=80)
    pairs = {
        "pickle": (pickle.loads(pickle.dumps(ours)), theirs),
        "file": (torch.load(tmp_path / "data.pt", weights_only=False), theirs),
        "filter": tuple(data.filter(lambda index: index["time_idx_first_prediction"] > 30) for data in (ours, theirs)),
        "from_dataset": tuple(type(data).from_dataset(data, later) for data in (ours, theirs)),
        "from upstream's": (FastTimeSeriesDataSet.from_dataset(theirs, later), theirs.from_dataset(theirs, later)),
        "to upstream's": (ours, TimeSeriesDataSet.from_dataset(ours, table())),
        "predict": tuple(type(data).from_dataset(data, later, predict=True) for data in (ours, theirs)),
        "parameters": tuple(type(data).from_parameters(data.get_parameters(), later) for data in (ours, theirs)),
    }
    for mine, upstreams in pairs.values():
        assert type(mine) is FastTimeSeriesDataSet
        assert_same_batches(mine.to_dataloader(train=False), upstreams.to_dataloader(train=False))
    assert batches_differ(batch, next(iter(theirs.to_dataloader(train=False)))) == []


def test_another_process_reads_the_same_batches(tmp_path: Path) -> None:
    _, ours = both()
    ours.save(tmp_path / "data.pt")
    batch = next(iter(ours.to_dataloader(train=False)))
    code = (
        "import torch, sys; data = torch.load(sys.argv[1], weights_only=False);"
        "torch.save(next(iter(data.to_dataloader(train=False))), sys.argv[2])"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "data.pt", tmp_path / "batch.pt"], check=True)
    assert batches_differ(torch.load(tmp_path / "batch.pt"), batch) == []


def test_overwritten_values_reach_the_batches() -> None:
    theirs, ours = both(target_normalizer=GroupNormalizer(groups=["series"]))
    for variable, value, where in (
        ("price", 2.0, "decoder"),
        ("price", 1.0, "encoder"),
        ("day", "c", "all"),
        ("series", "s1", "decoder"),
    ):
        for data in (ours, theirs):
            data.set_overwrite_values(variable=variable, values=value, target=where)
        assert_same_batches(ours.to_dataloader(train=False), theirs.to_dataloader(train=False))
        for data in (ours, theirs):
            data.reset_overwrite_values()
    assert_same_batches(ours.to_dataloader(train=False), theirs.to_dataloader(train=False))


def test_a_normaliser_fitted_anew_is_noticed() -> None:
    theirs, ours = both(target_normalizer=GroupNormalizer(groups=["series"]))
    assert_same_batches(ours.to_dataloader(train=False), theirs.to_dataloader(train=False))
    groups = pd.DataFrame({"series": np.arange(3).repeat(2)})
    for data in (ours, theirs):
        data.target_normalizer.fit(pd.Series([1.0, 5.0, 2.0, 9.0, 3.0, 4.0]), groups)
    assert_same_batches(ours.to_dataloader(train=False), theirs.to_dataloader(train=False))
    for data in (ours, theirs):
        data.target_normalizer = TorchNormalizer().fit(np.array([1.0, 2.0]))
    assert_same_batches(ours.to_dataloader(train=False), theirs.to_dataloader(train=False))


class OwnScaler(EncoderNormalizer):
    """A normaliser that the fast path does not know."""

    def fit(self, y: Any) -> OwnScaler:
        super().fit(y)
        self.scale_ = self.scale_ * 2
        return self


def minus_largest(values: torch.Tensor) -> torch.Tensor:
    """Not element by element."""
    return values - values.max()


class Negated:
    """Samples of one's own."""

    def __getitem__(self, idx: int) -> Any:
        x, y = super().__getitem__(idx)
        return {**x, "x_cont": -x["x_cont"]}, y


class Augmented(Negated, FastTimeSeriesDataSet): ...


class SlowAugmented(Negated, TimeSeriesDataSet): ...


def test_what_cannot_be_gathered_is_read_one_by_one_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    repeated = table()
    repeated.loc[10, "t"] = 9
    cases: dict[str, tuple[type, pd.DataFrame, dict[str, Any], str]] = {
        "normaliser": (FastTimeSeriesDataSet, table(), {"target_normalizer": OwnScaler()}, "OwnScaler"),
        "covariate": (FastTimeSeriesDataSet, table(), {"scalers": {"price": OwnScaler()}}, "'price' is a OwnScaler"),
        "transformation": (
            FastTimeSeriesDataSet,
            table(),
            {
                "target_normalizer": EncoderNormalizer(
                    transformation={"forward": minus_largest, "reverse": minus_largest}
                )
            },
            "transformation of its own",
        ),
        "samples": (Augmented, table(), {}, "__getitem__ of its own"),
        "short": (
            FastTimeSeriesDataSet,
            table(),
            {"min_encoder_length": 1, "target_normalizer": None, "scalers": {"price": EncoderNormalizer()}},
            "too short",
        ),
        "random": (
            FastTimeSeriesDataSet,
            table(),
            {"randomize_length": (0.1, 0.9), "target_normalizer": OwnScaler()},
            "OwnScaler",
        ),
    }
    for cls, frame, arguments, reason in cases.values():
        caplog.clear()
        ours = cls(frame, **(ARGUMENTS | {"add_target_scales": False} | arguments))
        expected = TimeSeriesDataSet(frame, **(ARGUMENTS | {"add_target_scales": False} | arguments))
        if cls is Augmented:
            expected.__class__ = type("Slow", (TimeSeriesDataSet,), {"__getitem__": Augmented.__getitem__})
            expected.__class__.__getitem__ = lambda self, idx: (lambda x, y: ({**x, "x_cont": -x["x_cont"]}, y))(
                *TimeSeriesDataSet.__getitem__(self, idx)
            )
        loaded = []
        with caplog.at_level(logging.WARNING, logger="hourglass_ts"):
            for data in (ours, expected):
                torch.manual_seed(1)
                loaded.append(list(data.to_dataloader(train=True, batch_size=32)))
        assert_same_batches(*loaded)
        said = [record.getMessage() for record in caplog.records if record.name.startswith("hourglass_ts")]
        assert len(said) == 1, said
        assert reason in said[0]
        assert "one by one" in said[0]


def test_bad_data_is_refused_in_upstreams_words() -> None:
    frame = table()
    cases = {
        "non-finite": (frame.assign(price=np.where(frame.t == 3, np.nan, 1.0)), {}),
        "gap": (frame[frame.t != 7], {}),
        "too short": (frame[frame.t < 4], {}),
        "unknown category": (frame, {"categorical_encoders": {"day": NaNLabelEncoder().fit(pd.Series(["a", "b"]))}}),
    }
    for bad, arguments in cases.values():
        messages = []
        for cls in (TimeSeriesDataSet, FastTimeSeriesDataSet):
            with pytest.raises((ValueError, AssertionError, KeyError)) as error:
                cls(bad.copy(), **(ARGUMENTS | arguments))
            messages.append((type(error.value), str(error.value)))
        assert messages[0] == messages[1]


MODELS: dict[str, Any] = {
    "TFT": (
        TemporalFusionTransformer,
        {"hidden_size": 8, "attention_head_size": 1, "hidden_continuous_size": 4, "loss": QuantileLoss()},
        {},
    ),
    "DeepAR": (
        DeepAR,
        {"hidden_size": 8, "loss": NormalDistributionLoss()},
        {"add_relative_time_idx": False, "add_target_scales": False, "add_encoder_length": False},
    ),
    "N-HiTS": (
        NHiTS,
        {"hidden_size": 8, "loss": MAE()},
        {"min_encoder_length": 12, "add_relative_time_idx": False, "add_target_scales": False},
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_upstreams_models_train_to_the_same_loss_to_the_last_bit(name: str, tmp_path: Path) -> None:
    model_class, options, arguments = MODELS[name]
    losses = []
    for data in both(**arguments):
        pl.seed_everything(2)
        model = model_class.from_dataset(data, learning_rate=0.02, **options)
        trainer = pl.Trainer(
            max_epochs=2,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
        )
        validation = data.from_dataset(data, table(n=70), min_prediction_idx=60)
        trainer.fit(model, data.to_dataloader(batch_size=32), validation.to_dataloader(train=False, batch_size=32))
        weights = torch.cat([weight.detach().flatten() for weight in model.parameters()])
        losses.append((trainer.callback_metrics["val_loss"].item(), weights))
    (loss, weights), (fast_loss, fast_weights) = losses
    assert loss == fast_loss
    assert torch.equal(weights, fast_weights)
