"""The typed record between tables and tensors: what a network needs to know about a batch of windows."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class WindowBatch:
    """Windows of one target, right-aligned: the forecast origin is the last place of every window.

    B windows, L steps of context, H steps of horizon. Values are in the target's normalised space.
    """

    past: Tensor
    """(B, L) the target; holes hold an earlier value, pads anything finite."""
    present: Tensor
    """(B, L) bool: False at pads, the places before a window begins."""
    observed: Tensor
    """(B, L) bool: False at pads and where `past` is only a filling."""
    past_covariates: Tensor
    """(B, L, n_past) what is known up to the origin."""
    future_covariates: Tensor
    """(B, H, n_future) what is known beforehand for every step of the horizon."""
    static: Tensor
    """(B, n_static) what never changes in a series."""
    series: Tensor
    """(B,) the number of the series; any number that the model does not know means an unseen one."""
    units: Tensor
    """(B, 2) centre and scale that the values were normalised by, each window's own."""
