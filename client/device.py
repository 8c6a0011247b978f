"""Where the network runs."""

import torch

from shared.config import ConfigurationError


def find_device(name: str) -> torch.device:
    """Return a device that can be used here, by the name that torch has for it.

    Raises
    ------
    ConfigurationError
        Neither a CPU nor a GPU of CUDA, or a GPU that is not here.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise ConfigurationError(f"device {name}: must be cpu, cuda or cuda:N")
    absent = not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()
    if device.type == "cuda" and absent:
        raise ConfigurationError(
            f"device {name} cannot be used: set device: cpu, or install a driver that torch can"
            " use (nvidia-smi)"
        )
    return device
