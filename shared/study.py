"""What a study prescribes to its federation, as both `run.py` commands are configured."""

from dataclasses import dataclass, field

from shared.algorithm import AlgorithmSettings
from shared.losses.multitask import LossSettings
from shared.model import ModelSettings
from shared.plan import AugmentationSettings, OptimisationSettings, Plan
from shared.preprocessing import PreprocessingSettings
from shared.time_grid import TimeGrid


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """The part of a configuration that becomes the plan: one value a configuration group.

    A simulation and a real federation are configured with the same groups, so that the same
    words give the same plan.
    """

    seed: int
    rounds: int
    training_fraction: float
    time_grid_months: tuple[float, ...]
    preprocessing: PreprocessingSettings
    model: ModelSettings = field(default_factory=ModelSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    optimisation: OptimisationSettings = field(default_factory=OptimisationSettings)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    algorithm: AlgorithmSettings = field(default_factory=AlgorithmSettings)

    def __post_init__(self) -> None:
        # What the plan refuses is refused here, before anything is written or trained.
        self.plan  # noqa: B018
        self.model.check_region(self.preprocessing.shape)

    @property
    def plan(self) -> Plan:
        """What the coordinator asks the sites to learn."""
        return Plan(
            seed=self.seed,
            rounds=self.rounds,
            preprocessing=self.preprocessing.fingerprint,
            training_fraction=self.training_fraction,
            time_grid=TimeGrid(self.time_grid_months),
            model=self.model,
            loss=self.loss,
            optimisation=self.optimisation,
            augmentation=self.augmentation,
            algorithm=self.algorithm,
        )
