"""What a coordinator asks the sites to do: one frozen value that travels with every message."""

from dataclasses import dataclass, field
from typing import Literal

from shared.algorithm import AlgorithmSettings
from shared.losses.multitask import LossSettings
from shared.model import ModelSettings, MultiTaskNet, constant_hazard
from shared.time_grid import TimeGrid

DEFAULT_EDGES_MONTHS = (3.0, 6.0, 9.0, 12.0, 18.0, 24.0, 30.0, 36.0, 48.0, 60.0, 84.0, 120.0)


@dataclass(frozen=True)
class OptimisationSettings:
    """Local optimisation, begun afresh in every round, on a cosine across rounds.

    The heads are linear and their loss is convex: plain gradient steps. An optimiser that divides
    by what it sees of the gradients, as Adam does, takes steps of one size at every site, and
    their average comes to rest away from the minimum of the pooled loss.

    Attributes
    ----------
    optimiser : str
        Of the trunk: ``"adamw"``, or ``"sgd"``: plain gradient steps without momentum, after
        which an average over sites is a step along the pooled gradient.
    local_steps : int
        Steps a round at every site, however many patients it has; 0: `local_epochs` instead.
        With passes a large site takes more steps, and its update, weighted by its patients,
        counts by their square (Wang et al., arXiv 2007.07481).
    local_epochs : int
        Passes over a site's training patients in a round, where `local_steps` is 0.
    batch_size : int
        Patients a step.
    learning_rate : float
        Of the trunk at the first round; falls to `final_learning_rate` times it at the last.
    head_learning_rate : float
        Of the linear heads, on the same cosine: they read features of known meaning and unit
        scale, and a site has a handful of steps a round.
    intercept_learning_rate : float
        Of what the heads add for everybody: the baselines of survival and MVI's bias. Where the
        chance of an event is p, the loss has a curvature of p (1 - p) along them: 0.05 for an
        interval, against 1 and more along a weight. At the weights' rate 30 rounds move a
        baseline by a tenth of its way, but for the level that all intervals share
        (`ProportionalHazardHead`). At 1 a site of 16 patients runs after each event, and no
        round of its is better than its start.
    final_learning_rate : float
        As a fraction of `learning_rate`.
    weight_decay : float
        Of the trunk, decoupled (Loshchilov and Hutter, arXiv 1711.05101); for SGD that is the
        same as a penalty of half of it times the sum of squares.
    shared_ridge, own_ridge : float
        Penalties of the heads: half of each times the sum of squares of the weights that all
        tasks share, and of each task's own, joins the mean loss a patient.
    max_grad_norm : float
        Gradients are clipped to this norm.
    """

    optimiser: Literal["adamw", "sgd"] = "adamw"
    local_steps: int = 5
    local_epochs: int = 1
    batch_size: int = 8
    learning_rate: float = 5e-4
    head_learning_rate: float = 0.1
    intercept_learning_rate: float = 0.5
    final_learning_rate: float = 0.02
    weight_decay: float = 0.02
    shared_ridge: float = 0.5
    own_ridge: float = 0.5
    max_grad_norm: float = 5.0

    def __post_init__(self) -> None:
        if self.optimiser not in ("adamw", "sgd"):
            raise ValueError(f"optimiser must be 'adamw' or 'sgd', got {self.optimiser!r}")
        if self.local_epochs < 1 or self.batch_size < 1:
            raise ValueError("local_epochs and batch_size must be at least 1")
        if self.local_steps < 0:
            raise ValueError("local_steps must be at least 0")
        rates = (self.learning_rate, self.head_learning_rate, self.intercept_learning_rate)
        if not all(rate > 0 for rate in rates):
            raise ValueError(
                "learning_rate, head_learning_rate and intercept_learning_rate must be > 0, got"
                f" {rates}"
            )
        if self.shared_ridge < 0 or self.own_ridge < 0:
            raise ValueError("shared_ridge and own_ridge must be >= 0")


@dataclass(frozen=True)
class AugmentationSettings:
    """Changes to a training ROI that leave its labels true.

    Attributes
    ----------
    flip : bool
        Mirror each axis with probability 1/2: what is learned is the lesion, not its side.
    shift_voxels : int
        Translation of up to this many voxels along each axis.
    intensity_shift, intensity_scale : float
        Standard deviations, per patient and phase, in units of normalised intensity: scanner
        calibration and contrast timing.
    noise : float
        Largest standard deviation of added voxel noise, in the same units.
    phase_dropout : float
        Probability that a phase is withheld, so that one model serves every site; at least
        one phase is always kept.
    """

    flip: bool = True
    shift_voxels: int = 2
    intensity_shift: float = 0.1
    intensity_scale: float = 0.1
    noise: float = 0.05
    phase_dropout: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.phase_dropout < 1:
            raise ValueError(f"phase_dropout must lie in [0, 1), got {self.phase_dropout}")
        strengths = (self.intensity_shift, self.intensity_scale, self.noise)
        if min(self.shift_voxels, *strengths) < 0:
            raise ValueError("augmentation strengths must be >= 0")


@dataclass(frozen=True)
class Plan:
    """Everything that decides what a federation learns.

    Attributes
    ----------
    seed : int
        The run's seed; every other seed is derived from it (`shared.seeds`).
    rounds : int
        Rounds of federated averaging.
    preprocessing : str
        Fingerprint of the settings that prepared the ROIs: a site that prepared its own with
        others refuses to train.
    training_fraction : float
        Share of a site's patients that trains; the rest is internal validation.
    """

    seed: int = 0
    rounds: int = 30
    preprocessing: str = ""
    training_fraction: float = 192 / 308
    time_grid: TimeGrid = field(default_factory=lambda: TimeGrid(DEFAULT_EDGES_MONTHS))
    model: ModelSettings = field(default_factory=ModelSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    optimisation: OptimisationSettings = field(default_factory=OptimisationSettings)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    algorithm: AlgorithmSettings = field(default_factory=AlgorithmSettings)

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"rounds must be at least 1, got {self.rounds}")
        if not 0 < self.training_fraction < 1:
            raise ValueError(f"training_fraction must lie in (0, 1), got {self.training_fraction}")
        if self.algorithm.control_variates and self.optimisation.optimiser != "sgd":
            raise ValueError(
                "algorithm.control_variates corrects plain gradient steps: choose optimisation=sgd"
            )
        if self.algorithm.personal == "norms" and self.model.trunk == "none":
            raise ValueError("algorithm.personal=norms needs a trunk: the heads have no norms")


def new_model(plan: Plan) -> MultiTaskNet:
    """Return the plan's network, its weights drawn from torch's global generator."""
    discrete = plan.loss.survival == "logistic_hazard"
    return MultiTaskNet(
        plan.model, constant_hazard(plan.time_grid.widths_months if discrete else (1.0,))
    )
