"""The 3D DenseNet, and in what precision it computes."""

from typing import cast

import torch
from torch import nn

from shared.model.rivals import (
    SoftAttention,
    transformer_stages,
    transformer_trunk,
)
from shared.model.settings import GROUPS, ModelSettings
from shared.regions import REGIONS
from shared.tasks import PHASES

# Attention, if any, goes over these maps of 5 x 5 x 5: a bottleneck of 8 tokens.
ATTENDED = "denseblock2"


def densenet_trunk(settings: ModelSettings, channels: int) -> nn.Sequential:
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


def densenet_stages(settings: ModelSettings) -> dict[str, int]:
    """Return the stem and the end of every dense block, and how many channels each has."""
    blocks = range(1, len(settings.block_config))
    names = ("norm0", *(f"denseblock{i}" for i in blocks), "norm5")
    widths = [settings.init_features]
    channels = settings.init_features
    for layers in settings.block_config:
        channels += layers * settings.growth_rate
        widths.append(channels)
        channels //= 2
    return dict(zip(names, widths, strict=True))


def build_trunk(settings: ModelSettings, channels: int) -> nn.Sequential:
    """Return the layers of the trunk that is configured."""
    if settings.trunk == "transformer":
        return transformer_trunk(settings, channels)
    trunk = densenet_trunk(settings, channels)
    if settings.attention == "soft":
        width = densenet_stages(settings)[ATTENDED]
        block = trunk.get_submodule(ATTENDED)
        setattr(trunk, ATTENDED, nn.Sequential(block, SoftAttention(width)))
    return trunk


def stages(settings: ModelSettings) -> dict[str, int]:
    """Return the layers whose maps are pooled, by name, and how many channels each has."""
    if settings.trunk == "none":
        return {}
    if settings.trunk == "transformer":
        return transformer_stages(settings)
    return densenet_stages(settings)


def pooled_maps(settings: ModelSettings) -> int:
    """Return P, how many means of maps are pooled of a patient; 0 without a trunk."""
    seen = len(PHASES) if settings.phases == "apart" else 1 + settings.close_up
    return seen * len(REGIONS) * sum(stages(settings).values())


def precision(settings: ModelSettings, device: torch.device) -> torch.autocast:
    """Return the context in which the trunk computes."""
    half = settings.trunk_precision == "auto" and device.type == "cuda"
    return torch.autocast(device.type, torch.bfloat16, enabled=half)
