"""What forecasters that wrap another one share."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator

from hourglass_ts.errors import NotFittedError, Problem, raise_problem


class WrappedForecaster(BaseEstimator):
    """A forecaster around `model`, anything with `fit` and `forecast`; `fit` sets `model_`, a fitted copy."""

    model: Any

    @property
    def horizon(self) -> int | None:
        """The model's horizon, where it says it."""
        return getattr(self.model, "horizon", None)

    @property
    def pipeline(self) -> Any:
        """The model's pipeline, where it has one."""
        return getattr(self.model, "pipeline", None)

    @property
    def transform(self) -> str | None:
        """The model's transform, where it has one."""
        return getattr(self.model, "transform", None)

    def _model_problems(self) -> list[Problem]:
        if hasattr(self.model, "fit") and hasattr(self.model, "forecast"):
            return []
        return [Problem(f"model={self.model!r}", "a forecaster with fit and forecast", "Pass one.")]

    def _check_fitted(self) -> None:
        if not hasattr(self, "model_"):
            found = f"a {type(self).__name__} that was not fitted"
            raise_problem(NotFittedError, Problem(found, "a fitted one", "Call fit(df, ...) first."))
