"""Weights as they travel (Flower's ArrayRecord) and as they rest (safetensors)."""

from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord
from numpy.typing import NDArray
from safetensors.numpy import load_file, save
from torch import nn

from shared.durable_file import write_durably

Weights = dict[str, NDArray[np.float32]]

# No network in training has it: beyond, a sum would not stay exact.
LARGEST_WEIGHT = 2.0**23


def weights_of(model: nn.Module) -> Weights:
    """Return a copy of a model's state, key by key."""
    return {key: value.detach().cpu().numpy().copy() for key, value in model.state_dict().items()}


def parameters_of(model: nn.Module) -> Weights:
    """Return a copy of what training moves, without buffers."""
    return {key: value.detach().cpu().numpy().copy() for key, value in model.named_parameters()}


def to_record(weights: Weights) -> ArrayRecord:
    """Return weights as Flower sends them."""
    return ArrayRecord({key: Array(value) for key, value in weights.items()})


def from_record(record: ArrayRecord) -> Weights:
    """Return weights as they were sent."""
    return {key: array.numpy() for key, array in record.items()}


def write_weights(weights: Weights, path: Path) -> None:
    """Write safetensors so that a reader sees the old file or the new one, never half."""
    write_durably(path, save(weights))


def read_weights(path: Path) -> Weights:
    """Read safetensors."""
    return dict(load_file(path))
