"""Batches sent in one piece arrive as they were."""

from __future__ import annotations

import pickle
from multiprocessing.reduction import ForkingPickler
from typing import Any

import pytest
import torch
import torch.multiprocessing  # teaches the pickler tensors

from hourglass_ts.windows import parcel
from hourglass_ts.windows.parcel import Parcel
from tests.reference.batches import batches_differ


def batch() -> Any:
    x = {
        "encoder_cont": torch.randn(3, 5, 2),
        "encoder_cat": torch.randint(9, (3, 5, 0)),
        "groups": torch.arange(3)[:, None],
        "target_scale": [torch.randn(3, 2, dtype=torch.float64), torch.full((3, 2), torch.nan)],
        "flags": torch.tensor([True, False, True]),
    }
    return x, ([torch.randn(3, 4), torch.randint(9, (3, 4))], None)


@pytest.mark.parametrize("most", [0, 2**20], ids=["shared memory", "pipe"])
def test_a_batch_arrives_as_it_was(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(parcel, "MOST_BY_PIPE", most)
    sent = batch()
    received = pickle.loads(ForkingPickler.dumps(Parcel(sent)))
    assert batches_differ(received, sent) == []
    assert type(received) is tuple
    assert type(received[0]["target_scale"]) is list
    received[0]["encoder_cont"].zero_()  # writable, and apart from its neighbours
    assert torch.equal(received[0]["groups"], sent[0]["groups"])
    assert (received[0]["target_scale"][0] == sent[0]["target_scale"][0]).all()
