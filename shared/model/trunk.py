"""The 3D DenseNet, and in what precision it computes."""

from typing import cast

import torch
from torch import nn

from shared.model.settings import GROUPS, ModelSettings
from shared.regions import REGIONS


def build_trunk(settings: ModelSettings, channels: int) -> nn.Sequential:
    """Return the layers of a DenseNet for so many input channels, without its classifier.

    MONAI is imported where it is needed: it takes longer than torch, and most commands only ask,
    check or prepare.
    """
    from monai.networks.nets import DenseNet

    trunk = DenseNet(
        spatial_dims=3,
        in_channels=channels,
        out_channels=1,
        init_features=settings.init_features,
        growth_rate=settings.growth_rate,
        block_config=settings.block_config,
        bn_size=settings.bottleneck,
        act="elu",
        norm=("group", {"num_groups": GROUPS}),
    ).features
    # MONAI's stem is 7 x 7 x 7, made for whole scans; at 3 mm a 3 x 3 x 3 sees 9 mm.
    trunk.conv0 = nn.Conv3d(
        channels, settings.init_features, kernel_size=3, stride=2, padding=1, bias=False
    )
    return cast(nn.Sequential, trunk)


def stages(settings: ModelSettings) -> dict[str, int]:
    """Return the layers whose maps are pooled, by name, and how many channels each has.

    They are the stem and the end of every dense block.
    """
    if settings.trunk == "none":
        return {}
    blocks = range(1, len(settings.block_config))
    names = ("norm0", *(f"denseblock{i}" for i in blocks), "norm5")
    return dict(zip(names, settings.widths, strict=True))


def pooled_maps(settings: ModelSettings) -> int:
    """Return P, how many means of maps are pooled of a patient; 0 without a trunk."""
    return len(REGIONS) * sum(stages(settings).values())


def precision(settings: ModelSettings, device: torch.device) -> torch.autocast:
    """Return the context in which the trunk computes."""
    half = settings.trunk_precision == "auto" and device.type == "cuda"
    return torch.autocast(device.type, torch.bfloat16, enabled=half)
