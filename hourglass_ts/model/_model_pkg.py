"""How pytorch-forecasting discovers and tests `HourGlassModel`."""

from __future__ import annotations

from typing import Any

from pytorch_forecasting.models.base._base_object import _BasePtForecaster


class HourGlassModel_pkg(_BasePtForecaster):  # noqa: N801 (upstream finds it by this name)
    """Package container of `HourGlassModel`: its tags, and the settings that upstream's test suite runs it with."""

    _tags = {  # noqa: RUF012 (upstream's own form)
        "info:name": "HourGlassModel",
        "info:compute": 2,
        "info:pred_type": ["point", "quantile", "distr"],
        "info:y_type": ["numeric"],
        "authors": ["hourglass_ts"],
        "capability:exogenous": True,
        "capability:multivariate": True,
        "capability:pred_int": True,
        "capability:flexible_history_length": True,
        "capability:cold_start": True,
    }

    @classmethod
    def get_cls(cls) -> type:
        """The model class."""
        from hourglass_ts.model._model import HourGlassModel

        return HourGlassModel

    @classmethod
    def get_base_test_params(cls) -> list[dict[str, Any]]:
        """Settings that upstream's suite combines with every loss."""
        from pytorch_forecasting.data.encoders import EncoderNormalizer

        return [
            {},
            {"shortening_factors": [2, 3], "patch": 1, "d_model": 16, "n_heads": 2, "normalise": "prefix"},
            {"floor": False, "series_dim": 4, "d_model": 8, "n_heads": 1, "shortening_factors": [1]},
            {"data_loader_kwargs": {"target_normalizer": EncoderNormalizer(), "min_encoder_length": 2}},
        ]

    @classmethod
    def _get_test_dataloaders_from(cls, params: dict[str, Any]) -> dict[str, Any]:
        """Train, validation and test loaders on upstream's example frame, with a target that the loss accepts."""
        from pytorch_forecasting.metrics import (
            LogNormalDistributionLoss,
            NegativeBinomialDistributionLoss,
            PoissonLoss,
            TweedieLoss,
        )
        from pytorch_forecasting.tests._data_scenarios import data_with_covariates, make_dataloaders

        loss = params.get("loss")
        frame = data_with_covariates()
        if params.get("clip_target") or isinstance(loss, (PoissonLoss, TweedieLoss, LogNormalDistributionLoss)):
            frame["target"] = frame["volume"].clip(1e-3, 1.0)
        else:
            frame["target"] = frame["volume"]
        if isinstance(loss, NegativeBinomialDistributionLoss):
            frame["target"] = frame["target"].round()
        settings = {
            "target": "target",
            "time_varying_known_reals": ["price_actual"],
            "time_varying_unknown_reals": ["target", "industry_volume"],
            "time_varying_known_categoricals": ["month"],
            "static_categoricals": ["agency"],
            "add_relative_time_idx": True,
        }
        return make_dataloaders(frame, **{**settings, **params.get("data_loader_kwargs", {})})
