"""The multi-task network: one 3D DenseNet trunk, an MVI head and two survival heads."""

from dataclasses import dataclass
from typing import Self, cast

import torch
from monai.networks.nets import DenseNet
from torch import Tensor, nn
from torch.nn import functional

from shared.regions import REGIONS, region_moments, region_weights, resample_regions
from shared.tasks import PHASES, SURVIVAL_TASKS, TUMOUR_LABEL

HEADS = "heads"


@dataclass(frozen=True)
class ModelSettings:
    """Size of the network.

    Attributes
    ----------
    init_features, growth_rate, block_config, bottleneck
        As in DenseNet (Huang et al., arXiv 1608.06993); MONAI's `DenseNet` builds the blocks.
        Normalisation is by group: it keeps no statistics, so that one site's scanner cannot
        leak into another's predictions, and an unseen site needs none.
    embedding : int
        Width of the layer that condenses the pooled trunk features.
    dropout : float
        On the pooled trunk features, in [0, 1).
    mask_channel : bool
        Whether tumour and liver masks are input channels beside the phases.
    """

    init_features: int = 16
    growth_rate: int = 8
    block_config: tuple[int, ...] = (4, 4, 4)
    bottleneck: int = 2
    embedding: int = 32
    dropout: float = 0.5
    mask_channel: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {self.dropout}")
        if self.init_features % GROUPS or self.growth_rate % GROUPS:
            raise ValueError(f"init_features and growth_rate must be multiples of {GROUPS}")


GROUPS = 4


@dataclass(frozen=True)
class RoiBatch:
    """What the network sees of B patients.

    Attributes
    ----------
    phases : Tensor, shape (B, 3, D, H, W), float32
        Normalised intensities in the order of `PHASES`; zero where a phase is absent.
    mask : Tensor, shape (B, D, H, W), uint8
        0 background, 1 liver, 2 tumour.
    present : Tensor, shape (B, 3), float32
        1 where the phase was acquired.
    spacing_mm : Tensor, shape (B,), float32
        Edge of a voxel.
    """

    phases: Tensor
    mask: Tensor
    present: Tensor
    spacing_mm: Tensor

    def to(self, device: torch.device) -> Self:
        """Return the batch on a device."""
        return type(self)(
            *(x.to(device) for x in (self.phases, self.mask, self.present, self.spacing_mm))
        )


class ProportionalHazardHead(nn.Module):
    """A survival head: one risk a patient on a baseline shared by all.

    The logit of the conditional hazard in interval k is ``baseline_k + risk``: a
    proportional-odds model in discrete time (Cox, J R Stat Soc B 1972;34:187, section 6),
    with T + F parameters where free logits would have T * F.
    """

    def __init__(self, features: int, intervals: int) -> None:
        super().__init__()
        self.risk = nn.Linear(features, 1, bias=False)
        # A conditional hazard of 5% in each interval: near what is seen, so no first steps
        # are spent on the level.
        self.baseline = nn.Parameter(torch.full((intervals,), -3.0))

    def forward(self, features: Tensor) -> Tensor:
        """Return hazard logits, shape (B, T), from features, shape (B, F)."""
        return cast(Tensor, self.baseline + self.risk(features))


class Standardise(nn.Module):
    """Centre and scale features by statistics that the federation summed once, and froze.

    Batch statistics would be one site's; these are everybody's: counts, sums and squares over
    the training patients of all sites, before the first round (`shared.standardisation`).
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))

    def forward(self, values: Tensor, known: Tensor) -> Tensor:
        """Return standardised values, shape (B, F); 0, the mean, where unknown."""
        return (values - self.mean) / self.deviation * known


class MultiTaskNet(nn.Module):
    """The shared network of the federation.

    The trunk's maps are pooled over tumour core, rim and ring apart (`shared.regions`), and so
    are the intensities themselves: the signs that radiologists read (rim enhancement, washout,
    capsule) are contrasts between these regions and phases, and 192 patients are too few to
    learn where to look from a global average.

    Parameters
    ----------
    settings : ModelSettings
    survival_outputs : int
        T, the intervals of the federation's time grid; 1 for the Cox loss.
    """

    def __init__(self, settings: ModelSettings, survival_outputs: int) -> None:
        super().__init__()
        self.settings = settings
        channels = len(PHASES) + (2 if settings.mask_channel else 0)
        self.trunk = _densenet_trunk(settings, channels)
        widths = _stage_widths(settings)
        self.embed = nn.Sequential(
            nn.Dropout(settings.dropout),
            nn.Linear(len(REGIONS) * sum(widths), settings.embedding),
            nn.LayerNorm(settings.embedding),
            nn.ELU(),
        )
        self.standardise = Standardise(DIRECT_FEATURES)
        features = settings.embedding + DIRECT_FEATURES
        self.heads = nn.ModuleDict({"mvi": nn.Linear(features, 1)})
        for task in SURVIVAL_TASKS:
            self.heads[task] = ProportionalHazardHead(features, survival_outputs)

    def forward(self, batch: RoiBatch) -> dict[str, Tensor]:
        """Return ``{"mvi": (B,) logit, "rfs": (B, T), "os": (B, T) hazard logits}``."""
        features = self.features(batch)
        outputs = {task: head(features) for task, head in self.heads.items()}
        outputs["mvi"] = outputs["mvi"].squeeze(1)
        return outputs

    def features(self, batch: RoiBatch) -> Tensor:
        """Return the features that all heads share, shape (B, F)."""
        tumour = batch.mask == TUMOUR_LABEL
        regions = region_weights(tumour)
        pooled = []
        x = self._input_channels(batch, tumour)
        for name, layer in self.trunk.named_children():
            x = layer(x)
            if name in _stage_names(self.settings):
                weights = resample_regions(regions, x.shape[2:])
                pooled.append(region_moments(functional.elu(x), weights, order=1).flatten(1))
        embedded = self.embed(torch.cat(pooled, dim=1))
        return torch.cat([embedded, self.standardise(*direct_features(batch, regions))], dim=1)

    def _input_channels(self, batch: RoiBatch, tumour: Tensor) -> Tensor:
        if not self.settings.mask_channel:
            return batch.phases
        masks = torch.stack([tumour, batch.mask > 0], dim=1)
        return torch.cat([batch.phases, masks.to(batch.phases.dtype)], dim=1)


def direct_features(batch: RoiBatch, regions: Tensor) -> tuple[Tensor, Tensor]:
    """Return what the heads read from the image itself, and what of it is known.

    Mean and deviation of every phase in core, rim and ring; logarithm of the tumour's diameter
    in mm; rim over the surface of a smooth sphere; which phases are there.

    Parameters
    ----------
    batch : RoiBatch
    regions : Tensor, shape (B, 3, D, H, W)
        From `shared.regions.region_weights`.

    Returns
    -------
    values, known : Tensor, shape (B, `DIRECT_FEATURES`)
        `known` is 0 for the moments of an absent phase, else 1.
    """
    moments = region_moments(batch.phases, regions, order=2)
    voxels = (batch.mask == TUMOUR_LABEL).flatten(1).sum(1).clamp_min(1)
    log_diameter = torch.log(batch.spacing_mm * (6 / torch.pi * voxels) ** (1 / 3))
    rim_voxels = regions[:, REGIONS.index("rim")].flatten(1).sum(1)
    # Rim over the surface of a sphere of the same volume: 2 voxels thick if smooth.
    roughness = rim_voxels / (torch.pi ** (1 / 3) * (6 * voxels) ** (2 / 3))
    always = torch.stack([log_diameter, roughness], dim=1)
    values = torch.cat([moments.flatten(1), always, batch.present], dim=1)
    by_phase = batch.present.repeat(1, 2).repeat_interleave(len(REGIONS), dim=1)
    known = torch.cat([by_phase, torch.ones_like(values[:, by_phase.shape[1] :])], dim=1)
    return values, known


# What each of them is, in their order.
DIRECT_FEATURE_NAMES: tuple[str, ...] = (
    *(f"intensity_{phase}_{region}" for phase in PHASES for region in REGIONS),
    *(f"deviation_{phase}_{region}" for phase in PHASES for region in REGIONS),
    "log_diameter_mm",
    "roughness",
    *(f"present_{phase}" for phase in PHASES),
)
DIRECT_FEATURES = len(DIRECT_FEATURE_NAMES)


def ranking_score(survival_output: Tensor) -> Tensor:
    """Return one number a patient, higher is worse, shape (B,), float64, from shape (B, T).

    With a baseline shared by all patients, the mean logit orders them as S(t) does at every
    t, and as `shared.losses.logistic_hazard.risk_score` does, without that score's rounding
    near its ends.
    """
    return survival_output.double().mean(dim=1)


def _stage_names(settings: ModelSettings) -> tuple[str, ...]:
    blocks = range(1, len(settings.block_config))
    return ("norm0", *(f"denseblock{i}" for i in blocks), "norm5")


def _stage_widths(settings: ModelSettings) -> list[int]:
    widths = [settings.init_features]
    channels = settings.init_features
    for layers in settings.block_config:
        channels += layers * settings.growth_rate
        widths.append(channels)
        channels //= 2
    return widths


def _densenet_trunk(settings: ModelSettings, channels: int) -> nn.Sequential:
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
