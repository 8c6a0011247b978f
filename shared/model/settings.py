"""How the network is configured."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from shared.measurements import MEASUREMENTS
from shared.model.features import DIRECT_FEATURE_NAMES, check_clinical_variables

# Channels of the trunk come in so many groups, each normalised apart.
GROUPS = 4

Trunk = Literal["densenet", "none"]
Precision = Literal["auto", "float32"]
_CHOICES = {"trunk": Trunk, "trunk_precision": Precision}


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
        ``"densenet"``; or ``"none"``: the heads read the measurements alone.
    measurements : bool
        Whether the heads read the lesion's measurements; without them a model shows what its
        trunk learns by itself.
    withheld_measurements : tuple of str
        Names among `MEASUREMENTS` that the heads are not told: to see what a sign is worth, or
        since a federation does not trust it, as where livers are outlined in different ways.
    embedding : int
        Width of the layer that condenses the pooled trunk features, after they are standardised.
    embedding_scale : float
        Size of each of these features beside measurements of deviation 1: under one ridge
        penalty, how much less the heads trust what the trunk sees.
    dropout : float
        On the pooled trunk features, in [0, 1).
    mask_channel : bool
        Whether tumour and liver masks are input channels beside the phases.
    liver_clipped : bool
        Whether what lies outside the liver is hidden from the trunk: put at the liver's own level
        (with ``normalisation=liver``); nothing is hidden where a mask marks no liver.
    trunk_precision : str
        ``"auto"``: the trunk computes in bfloat16 on a GPU, in float32 elsewhere: on a CPU,
        oneDNN's bfloat16 gradients of small maps (2 x 2 x 2) hold memory that nobody wrote.
        ``"float32"``: everywhere. Weights, what the heads read and the heads are float32 always:
        at the 8 bits of bfloat16 patients of different risk would tie.
    clinical_variables : tuple of str
        Further columns of ``clinical.csv`` that the heads read beside the measurements, such as
        age: numbers, or 0 and 1. They enter linearly: a skewed one, such as AFP, belongs there
        as its logarithm. A site without such a column counts as not knowing it.
    """

    init_features: int = 16
    growth_rate: int = 8
    block_config: tuple[int, ...] = (4, 4, 4)
    bottleneck: int = 2
    trunk: Trunk = "densenet"
    measurements: bool = True
    withheld_measurements: tuple[str, ...] = ()
    embedding: int = 8
    embedding_scale: float = 0.3
    dropout: float = 0.5
    mask_channel: bool = True
    liver_clipped: bool = False
    trunk_precision: Precision = "auto"
    clinical_variables: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {self.dropout}")
        for name, choices in _CHOICES.items():
            allowed, value = get_args(choices), getattr(self, name)
            if value not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {value!r}")
        if self.trunk == "none" and self.liver_clipped:
            raise ValueError("liver_clipped must be false without a trunk: nothing would be seen")
        if self.trunk == "none" and not self.measurements:
            raise ValueError("measurements must be true without a trunk: nothing would be read")
        if self.embedding < 1 or self.embedding_scale <= 0:
            raise ValueError("embedding must be at least 1 and embedding_scale > 0")
        self._check_trunk()
        strange = set(self.withheld_measurements) - set(MEASUREMENTS)
        if strange:
            raise ValueError(
                f"withheld_measurements: {sorted(strange)} are none of {list(MEASUREMENTS)}"
            )
        check_clinical_variables(self.clinical_variables)

    def _check_trunk(self) -> None:
        counts = (self.init_features, self.growth_rate, self.bottleneck, *self.block_config)
        if not self.block_config or min(counts) < 1:
            raise ValueError(
                "init_features, growth_rate, bottleneck and each of block_config must be at"
                f" least 1, got {counts}"
            )
        if self.init_features % GROUPS or self.growth_rate % GROUPS:
            raise ValueError(f"init_features and growth_rate must be multiples of {GROUPS}")
        uneven = [width for width in self.widths[1:-1] if width % (2 * GROUPS)]
        if uneven:
            raise ValueError(
                f"block_config: its blocks end with {uneven} channels; half of them go on to the"
                f" next block and must be a multiple of {GROUPS}"
            )

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the stem, and of each dense block's end; between blocks they are halved."""
        channels = self.init_features
        widths = [channels]
        for layers in self.block_config:
            channels += layers * self.growth_rate
            widths.append(channels)
            channels //= 2
        return tuple(widths)

    def check_region(self, shape: Sequence[int]) -> None:
        """Check that a region of interest has a voxel left in the last dense block.

        The stem halves it twice and rounds up; between blocks it is halved and rounded down.

        Raises
        ------
        ValueError
            The region is too small, or the blocks are too many.
        """
        least = 2 ** (len(self.block_config) + 1) - 3
        if self.trunk != "none" and min(shape) < least:
            raise ValueError(
                f"preprocessing.shape {tuple(shape)} is too small for the"
                f" {len(self.block_config)} blocks of model.block_config: {least} voxels an axis at"
                " least"
            )

    @property
    def feature_names(self) -> tuple[str, ...]:
        """What the federation sums up before the first round; the heads read the last of them."""
        return (*DIRECT_FEATURE_NAMES, *self.clinical_variables)
