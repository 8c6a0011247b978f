"""What an institution allows a coordinator to ask of it."""

import re
from dataclasses import dataclass
from typing import Literal

from flwr.app import MessageType

from shared.plan import Plan
from shared.protocol import ErrorCode, Instruction, ProtocolError
from shared.tasks import TASKS, Task

_LIMITS = (
    "max_rounds",
    "max_local_epochs",
    "max_local_steps",
    "max_batch_size",
    "min_batch_size",
    "min_training_patients",
    "min_labelled_patients",
)
# How much of what the steps before it did a step may undo. At 1 a round's update would be its last
# batch alone, whatever the floors say of the whole.
_MOST_UNDONE = 0.5
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Policy:
    """A site's own limits; a request beyond one is refused, whatever the coordinator says.

    The heads are linear: the change of a head's weights, divided by its bias's, is the mean of
    what was measured in the patients behind it. The floors see to it that no update is one
    patient's. They are not differential privacy. A mean over few still tells of each of them; two
    rounds, or two runs with another ``seed`` or ``training_fraction``, can be subtracted; and a
    coordinator that sends weights made for it can let most patients' gradients vanish. Against
    that stand the code that a site allows, the number of rounds, and its log of what was asked.

    Attributes
    ----------
    role : str
        ``"training"``, or ``"external"``: judges models and never trains one.
    bundles : tuple of str
        SHA-256 of the app bundles that may run here; no other code is even unpacked.
    tasks : tuple of Task
        Which tasks may be trained.
    max_rounds : int
        Rounds that a run may have.
    max_local_epochs : int
        Passes over the training patients in a round, where passes are asked for.
    max_local_steps : int
        Steps a round, where steps are asked for, the same at every site.
    max_batch_size : int
        Patients a step: what bounds the memory that training takes.
    min_batch_size : int
        Patients a step, at least; only the last step of a pass may have fewer.
    min_training_patients : int
        With fewer, nothing is shared at all.
    min_labelled_patients : int
        A task whose label fewer of a round's patients have is not trained in it, and the update
        says that nobody has it: the other tasks are.
    """

    role: Literal["training", "external"] = "training"
    bundles: tuple[str, ...] = ()
    tasks: tuple[Task, ...] = TASKS
    max_rounds: int = 100
    max_local_epochs: int = 5
    max_local_steps: int = 50
    max_batch_size: int = 128
    min_batch_size: int = 5
    min_training_patients: int = 10
    min_labelled_patients: int = 5

    def __post_init__(self) -> None:
        for bundle in self.bundles:
            if not _SHA256.fullmatch(bundle):
                raise ValueError(f"bundles: {bundle!r} is not a SHA-256 in lower-case hex")
        if min(getattr(self, limit) for limit in _LIMITS) < 1:
            raise ValueError(f"{', '.join(_LIMITS)} must be at least 1")
        if self.min_batch_size > self.max_batch_size:
            raise ValueError(
                f"min_batch_size {self.min_batch_size} is more than max_batch_size"
                f" {self.max_batch_size}: no batch would be allowed"
            )

    def check(self, kind: str, instruction: Instruction, training_patients: int) -> None:
        """Refuse a request that goes beyond what the site allows.

        Parameters
        ----------
        kind : str
            The message's type, as Flower names it.
        instruction : Instruction
        training_patients : int
            How many patients of this site would train.

        Raises
        ------
        ProtocolError
            With `ErrorCode.POLICY_REFUSED`; the reason is for the site's own log.
        """
        problems = self._problems(kind, instruction, training_patients)
        if problems:
            raise ProtocolError(ErrorCode.POLICY_REFUSED, "; ".join(problems))

    def _problems(self, kind: str, instruction: Instruction, training_patients: int) -> list[str]:
        plan = instruction.plan
        problems = []
        if plan.rounds > self.max_rounds:
            problems.append(f"{plan.rounds} rounds asked, {self.max_rounds} allowed")
        # Judging the last model is round rounds + 1.
        if not 0 <= instruction.round <= plan.rounds + 1:
            problems.append(f"round {instruction.round} of {plan.rounds}")
        trains = kind.partition(".")[0] == MessageType.TRAIN
        if self.role == "external":
            return [*problems, "an external site trains no model"] if trains else problems
        if training_patients < self.min_training_patients:
            problems.append(
                f"{training_patients} training patients, at least"
                f" {self.min_training_patients} wanted before anything is shared"
            )
        if trains:
            problems += self._training_problems(plan)
        return problems

    def _training_problems(self, plan: Plan) -> list[str]:
        problems = []
        epochs, steps = plan.optimisation.local_epochs, plan.optimisation.local_steps
        if steps > self.max_local_steps:
            problems.append(f"{steps} local steps asked, {self.max_local_steps} allowed")
        if not steps and epochs > self.max_local_epochs:
            problems.append(f"{epochs} local epochs asked, {self.max_local_epochs} allowed")
        batch = plan.optimisation.batch_size
        if batch > self.max_batch_size:
            problems.append(f"batches of {batch} asked, {self.max_batch_size} allowed")
        if batch < self.min_batch_size:
            problems.append(f"batches of {batch} asked, at least {self.min_batch_size} wanted")
        undone = _undone_by_a_step(plan)
        if undone > _MOST_UNDONE:
            problems.append(
                f"a step would undo {undone:g} of those before it, {_MOST_UNDONE} allowed: lower"
                " the learning rates, the penalties or proximal_mu"
            )
        asked = [task for task in TASKS if plan.loss.weight(task) > 0]
        forbidden = [task for task in asked if task not in self.tasks]
        if forbidden:
            problems.append(f"training of {', '.join(forbidden)} is not allowed")
        return problems


def _undone_by_a_step(plan: Plan) -> float:
    """Return the share of the steps before it that penalties have a step take back, at most.

    A step of rate r under a penalty of u / 2 times a square moves a weight by r u of its way back
    to where the penalty is 0.
    """
    settings, pull = plan.optimisation, plan.algorithm.proximal_mu
    trunk = settings.learning_rate * (settings.weight_decay + pull)
    ridge = max(settings.shared_ridge, settings.own_ridge)
    heads = settings.head_learning_rate * (ridge + pull)
    intercepts = settings.intercept_learning_rate * pull
    return max(trunk, heads, intercepts) * max(1.0, settings.final_learning_rate)
