"""`HourGlassModel`: the network on its floor, as a pytorch-forecasting (v1) model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, NamedTuple, cast

import torch
from lightning.pytorch.trainer.states import TrainerFn
from pytorch_forecasting import TimeSeriesDataSet
from pytorch_forecasting.data.encoders import NaNLabelEncoder, TorchNormalizer
from pytorch_forecasting.metrics import MAE, MultiLoss
from pytorch_forecasting.models.base import BaseModelWithCovariates
from pytorch_forecasting.models.nn.embeddings import MultiEmbedding
from pytorch_forecasting.utils import OutputMixIn, detach
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, Subset

from hourglass_ts.errors import DataError, Problem, SettingsError, raise_problem, raise_problems
from hourglass_ts.model._checkpoints import allow_checkpoint_classes
from hourglass_ts.model._outputs import (
    FloorResiduals,
    count_problems,
    encoder_problems,
    is_absolute,
    point_forecast,
    readout_for,
)
from hourglass_ts.model._reader import WindowReader, as_list, normalise, target_scale
from hourglass_ts.model._series import dataset_stretches, hold_out_tail, numbering_problems, series_numbers
from hourglass_ts.network.floor import LinearFloor, Stretch
from hourglass_ts.network.gate import GateEvidence
from hourglass_ts.network.network import HourGlassNetwork, NetworkConfig, default_patch, stack_targets
from hourglass_ts.network.scale import MIN_SPREAD, WindowScale
from hourglass_ts.windows.batch import WindowBatch

logger = logging.getLogger(__name__)

OFFSET_WINDOWS = 4096
WARM_UP_SHARE = 0.2


class _OutputFields(NamedTuple):
    prediction: Any
    floor: Any
    residual: Any


class HourGlassOutput(OutputMixIn, _OutputFields):
    """What `forward` gives: the loss's parameters in real units; floor and residual in normalised space.

    One entry per target where there are several.
    """


class HourGlassModel(BaseModelWithCovariates):
    """A causal HourGlass transformer that learns what a ridge regression cannot, on any `TimeSeriesDataSet`.

    When training starts, a linear floor is fitted in closed form; the network adds a residual that starts at zero.
    After every validation epoch the residual's share of the forecast is fitted (`model.share`), and may be zero.

    Args:
        context, horizon: steps; `from_dataset` takes them from the data set.
        shortening_factors: how strongly each level of the hourglass shortens; [1] does not.
        patch: steps per token; None makes a dozen tokens or more of the context.
        d_model, n_heads, d_ff, dropout, layers_per_level, shortening, upsampling: see `HourGlass`.
        floor: False leaves the network alone, on the last value: no floor, and a share of 1.
        series_dim: width of a learned embedding of each series; 0 for none.
        window_weights: weigh every window's loss by 1 / its spread, so that loud series do not drown quiet ones; for
            losses that grow with the error, such as MAE and quantile loss. One target alone.
        one_cycle: let the learning rate rise to its value and fall to nothing over the training that the trainer plans
            (Smith 2018); False leaves upstream's optimiser as it is.
        normalise: what the network measures a window in: "last" its last value and spread; "robust" its median and
            quartiles; "prefix" at each step, mean and spread up to there, so that no token depends on a later value;
            "series" nothing, as the data set scaled it. The floor is centred on the last value all the same.
        observed_real: a real in the data set that is 1 where the target was observed and 0 where it is a filling.

    Source: Nawrot et al. 2022, https://arxiv.org/abs/2110.13711; for the floor see `hourglass_ts.network.floor`.
    """

    _output_class = HourGlassOutput
    share: Tensor
    floor_fitted: Tensor

    @classmethod
    def _pkg(cls) -> type:
        from hourglass_ts.model._model_pkg import HourGlassModel_pkg

        return HourGlassModel_pkg

    def __init__(
        self,
        context: int = 64,
        horizon: int = 1,
        shortening_factors: Sequence[int] = (2, 2),
        patch: int | None = None,
        d_model: int = 64,
        n_heads: int = 4,
        d_ff: int = 128,
        dropout: float = 0.0,
        layers_per_level: int = 1,
        shortening: str = "attention",
        upsampling: str = "attention",
        floor: bool = True,
        series_dim: int = 0,
        window_weights: bool = False,
        one_cycle: bool = False,
        normalise: str = "last",
        observed_real: str | None = None,
        n_series: int = 0,
        group_sizes: Sequence[int] = (),
        output_size: int | list[int] = 1,
        static_categoricals: list[str] | None = None,
        static_reals: list[str] | None = None,
        time_varying_categoricals_encoder: list[str] | None = None,
        time_varying_categoricals_decoder: list[str] | None = None,
        categorical_groups: dict[str, list[str]] | None = None,
        time_varying_reals_encoder: list[str] | None = None,
        time_varying_reals_decoder: list[str] | None = None,
        embedding_sizes: dict[str, tuple[int, int]] | None = None,
        embedding_paddings: list[str] | None = None,
        embedding_labels: dict[str, Any] | None = None,
        x_reals: list[str] | None = None,
        x_categoricals: list[str] | None = None,
        logging_metrics: nn.ModuleList | None = None,
        **kwargs: Any,
    ) -> None:
        allow_checkpoint_classes()
        static_categoricals, static_reals = static_categoricals or [], static_reals or []
        time_varying_categoricals_encoder = time_varying_categoricals_encoder or []
        time_varying_categoricals_decoder = time_varying_categoricals_decoder or []
        time_varying_reals_encoder = time_varying_reals_encoder or []
        time_varying_reals_decoder = time_varying_reals_decoder or []
        categorical_groups, embedding_sizes = categorical_groups or {}, embedding_sizes or {}
        embedding_paddings, embedding_labels = embedding_paddings or [], embedding_labels or {}
        x_reals, x_categoricals = x_reals or [], x_categoricals or []
        shortening_factors, group_sizes = list(shortening_factors), list(group_sizes)
        self.save_hyperparameters(ignore=["loss", "logging_metrics"])
        super().__init__(logging_metrics=logging_metrics or nn.ModuleList([]), **kwargs)

        losses = self._losses
        self.readouts = [
            readout_for(loss, size) for loss, size in zip(losses, self._output_sizes(len(losses)), strict=True)
        ]
        encoders = zip(losses, self._normalizers, strict=False)
        raise_problems(SettingsError, [problem for pair in encoders for problem in encoder_problems(*pair)])
        embeddings = MultiEmbedding(
            embedding_sizes=embedding_sizes,
            categorical_groups=categorical_groups,
            embedding_paddings=embedding_paddings,
            x_categoricals=x_categoricals,
        )
        not_covariates = {observed_real, *(self.target_names if self.dataset_parameters is not None else [])}
        self.reader = WindowReader(
            embeddings,
            x_reals,
            context=context,
            horizon=horizon,
            past=time_varying_categoricals_encoder + [n for n in time_varying_reals_encoder if n not in not_covariates],
            future=time_varying_categoricals_decoder + time_varying_reals_decoder,
            static=static_categoricals + static_reals,
            observed_real=observed_real,
            group_sizes=group_sizes,
            n_series=n_series,
        )
        n_targets = len(self.readouts)
        if window_weights and n_targets > 1:
            raise_problem(
                SettingsError,
                Problem(f"window_weights with {n_targets} targets", "one target", "Leave window_weights out."),
            )
        self.network = HourGlassNetwork(
            NetworkConfig(
                context=context,
                horizon=horizon,
                n_outputs=tuple(readout.n_outputs for readout in self.readouts),
                patch=patch or default_patch(context),
                d_model=d_model,
                n_heads=n_heads,
                d_ff=d_ff,
                dropout=dropout,
                shortening_factors=tuple(shortening_factors),
                shortening=shortening,
                upsampling=upsampling,
                layers_per_level=layers_per_level,
                n_past=self.reader.width(self.reader.past),
                n_future=self.reader.width(self.reader.future),
                n_static=self.reader.width(self.reader.static),
                n_series=n_series,
                series_dim=series_dim,
                level_features=not all(readout.on_floor for readout in self.readouts),
                normalise=normalise,
            )
        )
        self.floors = nn.ModuleList(
            [LinearFloor(context, horizon, n_series if floor and r.on_floor else 0) for r in self.readouts]
        )
        for number, readout in enumerate(self.readouts):
            self.register_buffer(f"offsets_{number}", torch.tensor(readout.unfitted).repeat(horizon, 1))
        self.register_buffer("share", torch.ones(n_targets))
        self.register_buffer("floor_fitted", torch.tensor(False))
        self._gate_evidence = [GateEvidence(horizon, is_absolute(loss)) for loss in losses]

    @classmethod
    def from_dataset(
        cls,
        dataset: TimeSeriesDataSet,
        allowed_encoder_known_variable_names: list[str] | None = None,
        **kwargs: Any,
    ) -> HourGlassModel:
        """A model with the sizes of `dataset`; `kwargs` go to `HourGlassModel` and upstream's `BaseModel`.

        Raises:
            DataError: a target is categorical (integers are read as categories), or no counts for a loss of counts.
            SettingsError: a loss's parameters mean something else in the space of the target's normaliser.
        """
        categorical = [
            Problem(
                "a categorical target (upstream reads integers and strings as categories)",
                "real numbers",
                "Convert it before making the data set: df[column] = df[column].astype(float).",
                column=name,
            )
            for name, normalizer in zip(dataset.target_names, dataset.target_normalizers, strict=True)
            if isinstance(normalizer, NaNLabelEncoder)
        ]
        raise_problems(DataError, categorical)
        loss = kwargs.get("loss", MAE())
        if dataset.multi_target and not isinstance(loss, MultiLoss):
            loss = MultiLoss([deepcopy(loss) for _ in dataset.target_names])
        targets = zip(_losses_of(loss), dataset.target_names, dataset.data["target"], strict=False)
        raise_problems(DataError, [problem for target in targets for problem in count_problems(*target)])
        groups = dataset.data["groups"]
        sizes = {
            "context": max(dataset.max_encoder_length, 1),
            "horizon": dataset.max_prediction_length,
            "n_series": len(groups.unique(dim=0)),
            "group_sizes": [int(column.max()) + 1 for column in groups.T],
            **cls.deduce_default_output_parameters(dataset, {**kwargs, "loss": loss}),
            "loss": loss,
        }
        model = super().from_dataset(
            dataset,
            allowed_encoder_known_variable_names=allowed_encoder_known_variable_names,
            **{**sizes, **kwargs, "loss": loss},
        )
        model.reader.series_keys.copy_(series_numbers(groups, model.hparams.group_sizes).unique())
        return model

    # --- forward -----------------------------------------------------------------------------------------------------

    def forward(self, x: dict[str, Any], full_share: bool = False) -> HourGlassOutput:
        """Forecast every window of `x`; `full_share` leaves the gate open, as training does."""
        predictions, floors, residuals = [], [], []
        for number, readout in enumerate(self.readouts):
            batch = self._windows(x, number)
            spread = self._spread(batch)
            numbers = self.network(batch, number).float()
            with torch.autocast(self.device.type, enabled=False):
                floor = self._floor(number)(batch.past, batch.present, batch.series, batch.units)
                residual = spread * numbers[..., 0]
                share = 1.0 if full_share else self.share[number]
                parameters = readout.parameters(
                    floor + share * residual, spread, numbers, getattr(self, f"offsets_{number}")
                )
                steps = self._n_decoder_steps(x)
                predictions.append(readout.in_order(self._to_real_units(parameters[:, :steps], x, number)))
            floors.append(floor[:, :steps])
            residuals.append(residual[:, :steps])
        return self.to_network_output(
            prediction=stack_targets(predictions), floor=stack_targets(floors), residual=stack_targets(residuals)
        )

    def _windows(self, x: dict[str, Any], number: int) -> WindowBatch:
        return self.reader(x, number, self._normalizers[number])

    def _spread(self, batch: WindowBatch) -> Tensor:
        return WindowScale.of(batch, self.hparams.normalise).spread

    def _to_real_units(self, parameters: Tensor, x: dict[str, Any], number: int) -> Tensor:
        return self._losses[number].rescale_parameters(
            parameters, target_scale=target_scale(x, number), encoder=self._normalizers[number]
        )

    def _n_decoder_steps(self, x: dict[str, Any]) -> int:
        steps = int(x["decoder_lengths"].max())
        if steps > self.hparams.horizon:
            raise_problem(
                SettingsError,
                Problem(
                    f"a decoder of {steps} steps",
                    f"at most the model's horizon of {self.hparams.horizon}",
                    "Make the model from a data set with a longer max_prediction_length, and train it.",
                ),
            )
        return steps

    @property
    def _losses(self) -> list[Any]:
        return _losses_of(self.loss)

    @property
    def _normalizers(self) -> list[TorchNormalizer]:
        return list(getattr(self.output_transformer, "normalizers", [self.output_transformer]))

    def _output_sizes(self, n_targets: int) -> list[int]:
        return [int(size) for size in as_list(self.hparams.output_size)] * (
            n_targets if isinstance(self.hparams.output_size, int) else 1
        )

    def _has_floor(self, number: int) -> bool:
        return bool(self.hparams.floor) and self.readouts[number].on_floor

    def _floor(self, number: int) -> LinearFloor:
        return cast(LinearFloor, self.floors[number])

    # --- floor and gate ----------------------------------------------------------------------------------------------

    def on_train_start(self) -> None:
        """Fit the floor in closed form, before the first gradient step; a resumed training keeps the one it had."""
        super().on_train_start()
        if not bool(self.floor_fitted):
            validation = self.trainer.val_dataloaders
            self.fit_floor(_dataset_of(self.trainer.train_dataloader), _dataset_of(validation) if validation else None)

    def fit_floor(
        self,
        training: TimeSeriesDataSet,
        validation: TimeSeriesDataSet | None = None,
        seconds: float | None = None,
    ) -> None:
        """Fit the floor of every target on `training`, choosing its strengths on `validation`.

        Without `validation` the last fifth of the training origins judges, and the floor is then fitted on all of them.
        `seconds`: after those no further series is tried for a map of its own.
        `Trainer.fit` calls this by itself.
        """
        self._check_groups(training)
        for number in range(len(self.readouts)):
            floor, used = self._floor(number), self.stretches(training, number)
            if validation is None:
                early, judges = hold_out_tail(used, self.hparams.horizon)
            else:
                self._check_groups(validation)
                early, judges = used, self.stretches(validation, number)
            if self._has_floor(number):
                report = floor.cpu().fit(early, judges, seconds)
                if validation is None:
                    floor.refit(used)
                floor.to(self.device)
                logger.info("floor: %s", report)
            self._fit_offsets(number, validation or training)
        self.floor_fitted.fill_(True)

    def refit_floor(self, dataset: TimeSeriesDataSet) -> None:
        """Fit the floor again on the windows of `dataset` (all rows, say), with the strengths chosen before.

        Raises NotFittedError on a model from a checkpoint, which holds the maps but not how they were chosen.
        """
        self._check_groups(dataset)
        for number in range(len(self.readouts)):
            if self._has_floor(number):
                self._floor(number).refit(self.stretches(dataset, number))

    def stretches(self, dataset: TimeSeriesDataSet, number: int) -> list[Stretch]:
        """The series of a data set as the floor of target `number` sees them."""
        return dataset_stretches(
            dataset,
            number,
            self._normalizers[number].preprocess,
            lambda groups: self.reader.series_codes(groups.to(self.device)).cpu(),
            self.hparams.observed_real,
        )

    def _fit_offsets(self, number: int, dataset: TimeSeriesDataSet) -> None:
        """Start quantiles, widths and shapes at the floor's residuals per lead, in units of each window's spread.

        The residuals' own mean is taken out: a ridge has none in expectation, and that of one stretch is its season.
        """
        offsets = getattr(self, f"offsets_{number}")
        if offsets.shape[1] == 0:
            return
        every = max(1, len(dataset) // OFFSET_WINDOWS)
        loader = DataLoader(
            Subset(dataset, range(0, len(dataset), every)), batch_size=256, collate_fn=dataset._collate_fn
        )
        errors, spreads, floors, scales = [], [], [], []
        was_training = self.training
        self.eval()
        with torch.no_grad():
            for x, y in loader:
                x, y = _to_device(x, self.device), _to_device(y, self.device)
                batch = self._windows(x, number)
                floor = self._floor(number)(batch.past, batch.present, batch.series, batch.units)
                error, seen = self._floor_error(x, y, floor, number)
                missing = (0, self.hparams.horizon - error.shape[1])
                errors.append(nn.functional.pad(torch.where(seen, error, torch.nan), missing, value=torch.nan))
                spread = self._spread(batch)
                spreads.append(spread.where(spread > 2 * MIN_SPREAD, torch.nan))  # a constant window has no unit
                floors.append(floor)
                scales.append(target_scale(x, number)[:, 1:])
        self.train(was_training)
        residuals = torch.cat(errors).double()
        starts = self.readouts[number].starts(
            FloorResiduals(
                errors=residuals - residuals.nanmean(dim=0),
                spreads=torch.cat(spreads),
                floors=torch.cat(floors),
                scales=torch.cat(scales),
            )
        )
        offsets.copy_(starts.where(starts.isfinite(), offsets))

    def _floor_error(self, x: dict[str, Any], y: Any, floor: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """What the floor missed, in normalised space, and which of it counts: (B, steps) each."""
        target, weight = as_list(y[0])[number], y[1]
        steps = target.shape[1]
        normalised = normalise(target, target_scale(x, number), self._normalizers[number])
        seen = torch.arange(steps, device=target.device) < x["decoder_lengths"][:, None]
        if weight is not None:
            seen = seen & (weight > 0)
        return torch.where(seen, normalised - floor[:, :steps], 0.0), seen

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """Upstream's step, with the gate open."""
        x, y = self._weighted(batch)
        log, _ = self.step(x, y, batch_idx, full_share=True)
        self.training_step_outputs.append(detach(log))
        return log

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        """Upstream's step; while fitting, with the gate open, gathering what the gate is fitted on."""
        fitting = self.trainer.state.fn == TrainerFn.FITTING
        x, y = self._weighted(batch)
        log, out = self.step(x, y, batch_idx, full_share=fitting)
        log.update(self.create_log(x, y, out, batch_idx))
        self.validation_step_outputs.append(detach(log))
        if fitting and not self.trainer.sanity_checking:
            for number in range(len(self.readouts)):
                self._gather_evidence(x, y, out, number)
        return log

    def _weighted(self, batch: Any) -> Any:
        """The batch, its weights divided by the spread of every window where that was asked for."""
        x, (target, weight) = batch
        if not self.hparams.window_weights:
            return batch
        spread = self._spread(self._windows(x, 0)) * target_scale(x, 0)[:, 1:]
        return x, (target, (torch.ones_like(target) if weight is None else weight) / spread)

    def _gather_evidence(self, x: dict[str, Any], y: Any, out: HourGlassOutput, number: int) -> None:
        error, seen = self._floor_error(x, y, as_list(out.floor)[number], number)
        residual = torch.where(seen, as_list(out.residual)[number], 0.0)
        if self.hparams.window_weights:
            spread = self._spread(self._windows(x, number))
            error, residual = error / spread, residual / spread
        series = series_numbers(x["groups"], self.hparams.group_sizes)
        self._gate_evidence[number].add(residual, error, series, x["decoder_time_idx"][:, 0])

    def on_validation_epoch_end(self) -> None:
        """Fit the network's share on this epoch's validation windows, in time for the checkpoint."""
        super().on_validation_epoch_end()
        if not all(self._gate_evidence):
            return
        for number, evidence in enumerate(self._gate_evidence):
            share = evidence.take_share()
            self.share[number] = share if self._has_floor(number) else 1.0
        self.log("val_share", self.share.mean(), prog_bar=True)

    def on_validation_start(self) -> None:
        """Refuse data whose series are numbered otherwise."""
        super().on_validation_start()
        self._check_groups(_dataset_of(self.trainer.val_dataloaders))

    def on_test_start(self) -> None:
        """Refuse data whose series are numbered otherwise."""
        super().on_test_start()
        self._check_groups(_dataset_of(self.trainer.test_dataloaders))

    def _check_groups(self, dataset: TimeSeriesDataSet) -> None:
        """Refuse a data set that numbers the series otherwise than the one the model was made from."""
        if self.dataset_parameters is not None:
            raise_problems(DataError, numbering_problems(self.dataset_parameters["categorical_encoders"], dataset))

    def configure_optimizers(self) -> Any:
        """Upstream's optimiser; with `one_cycle`, its learning rate follows one cycle over the planned training."""
        configured = super().configure_optimizers()
        if not self.hparams.one_cycle:
            return configured
        optimizer = configured["optimizer"]
        total = int(self.trainer.estimated_stepping_batches)
        # torch divides by the warm-up's steps less one.
        warm_up = WARM_UP_SHARE if total * WARM_UP_SHARE != 1 else 2 / total
        schedule = OneCycleLR(optimizer, max_lr=self.hparams.learning_rate, total_steps=total, pct_start=warm_up)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    # --- prediction --------------------------------------------------------------------------------------------------

    def predict(self, data: Any, *args: Any, trainer_kwargs: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        """Upstream's `predict`, on one device, refusing a data set whose series are numbered otherwise."""
        if isinstance(data, (DataLoader, TimeSeriesDataSet)):
            self._check_groups(_dataset_of(data))
        settings = {"logger": False, "devices": 1, **(trainer_kwargs or {})}
        return super().predict(data, *args, trainer_kwargs=settings, **kwargs)

    def to_prediction(self, out: Any, use_metric: bool = True, **kwargs: Any) -> Any:
        """Upstream's point forecast, but exact where upstream samples it; quantiles without 0.5 are interpolated."""
        if not use_metric:
            return super().to_prediction(out, use_metric=use_metric, **kwargs)
        pairs = zip(self._losses, as_list(out["prediction"]), strict=True)
        return stack_targets([point_forecast(loss, forecast, **kwargs) for loss, forecast in pairs])


def _to_device(value: Any, device: torch.device) -> Any:
    """Tensors on `device`, in dictionaries, lists and tuples too."""
    if isinstance(value, dict):
        return {name: _to_device(part, device) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_to_device(part, device) for part in value)
    return value.to(device) if isinstance(value, Tensor) else value


def _losses_of(loss: Any) -> list[Any]:
    """The loss of every target."""
    return list(loss.metrics) if isinstance(loss, MultiLoss) else [loss]


def _dataset_of(data: Any) -> TimeSeriesDataSet:
    """The `TimeSeriesDataSet` behind a loader, the first of several loaders, or the data set itself."""
    while not isinstance(data, TimeSeriesDataSet):
        data = data[0] if isinstance(data, (list, tuple)) else data.dataset
    return data
