"""The multi-task network: one 3D DenseNet trunk, an MVI head and two survival heads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self, cast

import torch
from monai.networks.nets import DenseNet
from torch import Tensor, nn
from torch.nn import functional

from shared.measurements import MEASUREMENTS
from shared.regions import REGIONS, region_moments, region_weights, resample_regions
from shared.tasks import LABEL_COLUMNS, PHASES, SURVIVAL_TASKS, TASKS, TUMOUR_LABEL

HEADS = "heads"
SHARED_RISK = "shared_risk"
# Standardised measurements are held within this many deviations.
WINSOR = 3.0

# What the federation sums up before the first round, in this order: the statistics describe
# what training saw; the heads read the measurements among them.
DIRECT_FEATURE_NAMES: tuple[str, ...] = (
    *(f"intensity_{phase}_{region}" for phase in PHASES for region in REGIONS),
    *(f"deviation_{phase}_{region}" for phase in PHASES for region in REGIONS),
    *(f"present_{phase}" for phase in PHASES),
    *MEASUREMENTS,
)
DIRECT_FEATURES = len(DIRECT_FEATURE_NAMES)
# What comes before all that the heads read.
IMAGE_STATISTICS = DIRECT_FEATURES - len(MEASUREMENTS)


@dataclass(frozen=True)
class ModelSettings:
    """Size of the network.

    Attributes
    ----------
    init_features, growth_rate, block_config, bottleneck
        As in DenseNet (Huang et al., arXiv 1608.06993); MONAI's `DenseNet` builds the blocks.
        Normalisation is by group: it keeps no statistics, so that one site's scanner cannot
        leak into another's predictions, and an unseen site needs none.
    trunk : str
        ``"densenet"``; ``"none"``: the heads read the measurements alone.
    embedding : int
        Width of the layer that condenses the pooled trunk features.
    embedding_scale : float
        Size of each of these features beside measurements of deviation 1: under one ridge
        penalty, how much less the heads trust what the trunk sees.
    dropout : float
        On the pooled trunk features, in [0, 1).
    mask_channel : bool
        Whether tumour and liver masks are input channels beside the phases.
    trunk_precision : str
        What the trunk computes in: ``"bfloat16"``, ``"float32"``, or ``"auto"``: bfloat16 on a
        GPU, float32 elsewhere. Weights, what the heads read and the heads are float32 always: at
        the 8 bits of bfloat16 patients of different risk would tie.
    clinical_variables : tuple of str
        Further columns of ``clinical.csv`` that the heads read beside the measurements, such as
        age: numbers, or 0 and 1. They enter linearly: a skewed one, such as AFP, belongs there
        as its logarithm. A site without such a column counts as not knowing it.
    """

    init_features: int = 16
    growth_rate: int = 8
    block_config: tuple[int, ...] = (4, 4, 4)
    bottleneck: int = 2
    trunk: Literal["densenet", "none"] = "densenet"
    embedding: int = 8
    embedding_scale: float = 0.3
    dropout: float = 0.5
    mask_channel: bool = True
    trunk_precision: Literal["auto", "float32", "bfloat16"] = "auto"
    clinical_variables: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {self.dropout}")
        if self.trunk not in ("densenet", "none"):
            raise ValueError(f"trunk must be 'densenet' or 'none', got {self.trunk!r}")
        if self.trunk_precision not in ("auto", "float32", "bfloat16"):
            raise ValueError(
                "trunk_precision must be 'auto', 'float32' or 'bfloat16',"
                f" got {self.trunk_precision!r}"
            )
        if self.embedding < 1 or self.embedding_scale <= 0:
            raise ValueError("embedding must be at least 1 and embedding_scale > 0")
        if self.init_features % GROUPS or self.growth_rate % GROUPS:
            raise ValueError(f"init_features and growth_rate must be multiples of {GROUPS}")
        check_clinical_variables(self.clinical_variables)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """What the federation sums up before the first round; the heads read the last of them."""
        return (*DIRECT_FEATURE_NAMES, *self.clinical_variables)


def check_clinical_variables(names: Sequence[str]) -> None:
    """Raise ValueError unless these columns may be inputs: no outcome, no name twice."""
    taken = {"patient_id", *LABEL_COLUMNS, *DIRECT_FEATURE_NAMES}
    wrong = [name for name in names if name in taken or not name.strip()]
    if wrong or len(set(names)) < len(names):
        raise ValueError(
            f"clinical_variables must be columns beside the labels, each once, got {list(names)}"
        )


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
    measurements : Tensor, shape (B, M), float32
        In the order of `shared.measurements.MEASUREMENTS`; NaN where unknown.
    clinical : Tensor, shape (B, V), float32
        In the order of `ModelSettings.clinical_variables`; NaN where unknown.
    """

    phases: Tensor
    mask: Tensor
    present: Tensor
    spacing_mm: Tensor
    measurements: Tensor
    clinical: Tensor

    @property
    def head_inputs(self) -> Tensor:
        """What the heads read directly, shape (B, M + V); NaN where unknown."""
        return torch.cat([self.measurements, self.clinical], dim=1)

    def to(self, device: torch.device) -> Self:
        """Return the batch on a device."""
        return type(self)(**{key: value.to(device) for key, value in vars(self).items()})


class ProportionalHazardHead(nn.Module):
    """A survival head: one risk a patient on a baseline shared by all.

    The logit of the conditional hazard in interval k is ``baseline_k + risk``: a
    proportional-odds model in discrete time (Cox, J R Stat Soc B 1972;34:187, section 6),
    with T + F parameters where free logits would have T * F. The risk is the part that all
    tasks share and this task's own.
    """

    def __init__(self, features: int, intervals: int) -> None:
        super().__init__()
        self.risk = _zero_linear(features, bias=False)
        # A conditional hazard of 5% in each interval: near what is seen, so no first steps
        # are spent on the level.
        self.baseline = nn.Parameter(torch.full((intervals,), -3.0))

    def forward(self, features: Tensor, shared_risk: Tensor) -> Tensor:
        """Return hazard logits, shape (B, T), from features, shape (B, F), and a risk (B, 1)."""
        return cast(Tensor, self.baseline + shared_risk + self.risk(features))


class LogisticHead(nn.Module):
    """The MVI head: logistic regression on the risk that all tasks share and a part of its own."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.risk = _zero_linear(features, bias=True)

    def forward(self, features: Tensor, shared_risk: Tensor) -> Tensor:
        """Return logits, shape (B,), from features, shape (B, F), and a risk (B, 1)."""
        return cast(Tensor, (shared_risk + self.risk(features)).squeeze(1))


def _squares(linear: nn.Module) -> Tensor:
    return cast(nn.Linear, linear).weight.square().sum()


def _zero_linear(features: int, *, bias: bool) -> nn.Linear:
    # Ridge regression begins, as it ends without evidence, at no effect.
    layer = nn.Linear(features, 1, bias=bias)
    nn.init.zeros_(layer.weight)
    return layer


class Standardise(nn.Module):
    """Centre and scale features by statistics that the federation summed once, and froze.

    Batch statistics would be one site's; these are everybody's: counts, sums and products over
    the training patients of all sites, before the first round (`shared.standardisation`).
    Measurements and clinical variables, the last of the features, are read by the heads. One
    that is unknown, as of an absent phase, takes the value that is expected where the known ones
    are what they are, by the correlations: a washout in the portal venous phase foretells the
    delayed one.

    Parameters
    ----------
    clinical_variables : int
        V, how many there are.

    Attributes
    ----------
    mean, deviation : Tensor, shape (`DIRECT_FEATURES` + V,)
    correlation : Tensor, shape (M + V, M + V)
        Of what the heads read.
    """

    mean: Tensor
    deviation: Tensor
    correlation: Tensor

    def __init__(self, clinical_variables: int = 0) -> None:
        super().__init__()
        features = DIRECT_FEATURES + clinical_variables
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))
        self.register_buffer("correlation", torch.eye(features - IMAGE_STATISTICS))

    def forward(self, head_inputs: Tensor) -> Tensor:
        """Return complete standardised inputs from those with NaN, shape (B, M + V)."""
        known = ~torch.isnan(head_inputs)
        mean = self.mean[IMAGE_STATISTICS:]
        deviation = self.deviation[IMAGE_STATISTICS:]
        standardised = torch.where(known, (head_inputs - mean) / deviation, 0.0)
        # No single patient, and no slip in a mask, decides alone.
        standardised = standardised.clamp(-WINSOR, WINSOR)
        return torch.where(known, standardised, self._expected(standardised, known))

    def _expected(self, values: Tensor, known: Tensor) -> Tensor:
        """Return E[unknown | known] of a normal distribution, shape (B, M + V).

        With R the correlations among the known, R x = z is solved for each patient; a row of
        the identity stands for what is unknown, so that all systems have one size.
        """
        mask = known.double()
        among_known = self.correlation.double() * mask[:, :, None] * mask[:, None, :]
        system = among_known + torch.diag_embed(1 - mask)
        weights: Tensor = torch.linalg.solve(system, values.double() * mask)
        return (weights @ self.correlation.double()).to(values.dtype)


class MultiTaskNet(nn.Module):
    """The shared network of the federation.

    The heads are linear. They read the lesion's measurements (`shared.measurements`), the signs
    by which radiologists judge: 192 patients are too few to learn these from voxels; and the
    clinical variables of the study, if it names any. Beside
    them stands what a 3D DenseNet sees, its maps pooled over tumour core, rim and ring apart
    (`shared.regions`). The three outcomes go with the same signs, so each head is what all
    share and a smaller part of its own; the penalty (`ridge`) holds both near zero.

    Parameters
    ----------
    settings : ModelSettings
    survival_outputs : int
        T, the intervals of the federation's time grid; 1 for the Cox loss.
    """

    def __init__(self, settings: ModelSettings, survival_outputs: int) -> None:
        super().__init__()
        self.settings = settings
        self.standardise = Standardise(len(settings.clinical_variables))
        features = len(MEASUREMENTS) + len(settings.clinical_variables)
        if settings.trunk == "densenet":
            channels = len(PHASES) + (2 if settings.mask_channel else 0)
            self.trunk = _densenet_trunk(settings, channels)
            self.embed = nn.Sequential(
                nn.Dropout(settings.dropout),
                nn.Linear(len(REGIONS) * sum(_stage_widths(settings)), settings.embedding),
                nn.LayerNorm(settings.embedding),
                nn.ELU(),
            )
            features += settings.embedding
        self.heads = nn.ModuleDict({SHARED_RISK: _zero_linear(features, bias=False)})
        self.heads["mvi"] = LogisticHead(features)
        for task in SURVIVAL_TASKS:
            self.heads[task] = ProportionalHazardHead(features, survival_outputs)

    def forward(self, batch: RoiBatch) -> dict[str, Tensor]:
        """Return ``{"mvi": (B,) logit, "rfs": (B, T), "os": (B, T) hazard logits}``."""
        features = self.features(batch)
        shared_risk = self.heads[SHARED_RISK](features)
        return {task: self.heads[task](features, shared_risk) for task in TASKS}

    def ridge(self, shared: float, own: float) -> Tensor:
        """Return half the penalised squares of the shared weights and of each task's own."""
        squares = [shared * _squares(self.heads[SHARED_RISK])]
        squares += [own * _squares(cast(nn.Module, self.heads[task].risk)) for task in TASKS]
        return torch.stack(squares).sum() / 2

    def features(self, batch: RoiBatch) -> Tensor:
        """Return the features that all heads share, shape (B, F)."""
        standardised = cast(Tensor, self.standardise(batch.head_inputs))
        if self.settings.trunk == "none":
            return standardised
        with _precision(self.settings, standardised.device):
            embedded = self._embed(batch)
        scaled = self.settings.embedding_scale * embedded.to(standardised.dtype)
        return torch.cat([standardised, scaled], dim=1)

    def _embed(self, batch: RoiBatch) -> Tensor:
        tumour = batch.mask == TUMOUR_LABEL
        regions = region_weights(tumour)
        pooled = []
        x = self._input_channels(batch, tumour)
        for name, layer in self.trunk.named_children():
            x = layer(x)
            if name in _stage_names(self.settings):
                weights = resample_regions(regions, x.shape[2:])
                pooled.append(region_moments(functional.elu(x), weights, order=1).flatten(1))
        return cast(Tensor, self.embed(torch.cat(pooled, dim=1)))

    def _input_channels(self, batch: RoiBatch, tumour: Tensor) -> Tensor:
        if not self.settings.mask_channel:
            return batch.phases
        masks = torch.stack([tumour, batch.mask > 0], dim=1)
        return torch.cat([batch.phases, masks.to(batch.phases.dtype)], dim=1)


def direct_features(batch: RoiBatch, regions: Tensor) -> tuple[Tensor, Tensor]:
    """Return what is taken from the image itself, and what of it is known.

    Mean and deviation of every phase in core, rim and ring; which phases are there; what the
    heads read.

    Parameters
    ----------
    batch : RoiBatch
    regions : Tensor, shape (B, 3, D, H, W)
        From `shared.regions.region_weights`.

    Returns
    -------
    values, known : Tensor, shape (B, `DIRECT_FEATURES` + V)
        `known` is 0 for what an absent phase would have told, else 1; values are finite.
    """
    moments = region_moments(batch.phases, regions, order=2)
    read = batch.head_inputs
    values = torch.cat([moments.flatten(1), batch.present, torch.nan_to_num(read)], dim=1)
    by_phase = batch.present.repeat(1, 2).repeat_interleave(len(REGIONS), dim=1)
    always = torch.ones_like(batch.present)
    return values, torch.cat([by_phase, always, (~torch.isnan(read)).to(values.dtype)], dim=1)


def ranking_score(survival_output: Tensor) -> Tensor:
    """Return one number a patient, higher is worse, shape (B,), float64, from shape (B, T).

    With a baseline shared by all patients, the mean logit orders them as S(t) does at every
    t, and as `shared.losses.logistic_hazard.risk_score` does, without that score's rounding
    near its ends.
    """
    return survival_output.double().mean(dim=1)


def _precision(settings: ModelSettings, device: torch.device) -> torch.autocast:
    """Return the context in which the trunk computes."""
    half = settings.trunk_precision == "bfloat16"
    half |= settings.trunk_precision == "auto" and device.type == "cuda"
    return torch.autocast(device.type, torch.bfloat16, enabled=half)


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
