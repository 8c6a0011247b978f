"""What federation costs: ``python -m tests.benchmarks.federation``.

Trains five sites over the in-process grid, and the same work in a bare loop that knows neither
Flower nor messages nor checkpoints, each in processes of their own, by turns. Prints the wall
time as a ratio, and the peak memory of each.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

PATIENTS = (87, 74, 62, 49, 36)
EDGE = 40


def write_sites(folder: Path, seed: int) -> None:
    """Write prepared cases of noise at the published size: learning costs the same on them."""
    generator = np.random.default_rng(seed)
    mask = np.ones((EDGE,) * 3, np.uint8)
    mask[12:28, 12:28, 12:28] = 2
    for site, patients in enumerate(PATIENTS):
        for patient in range(patients):
            tensors: dict[str, NDArray[Any]] = {
                "phases": generator.standard_normal((3, EDGE, EDGE, EDGE)).astype(np.float16),
                "mask": mask,
                "present": np.ones(3, np.uint8),
                "spacing_mm": np.array([3.0], np.float32),
            }
            save_file(tensors, folder / f"{site}-{patient}.safetensors")
