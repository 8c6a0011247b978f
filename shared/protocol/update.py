"""What comes up from a round of training: a site's update and what stands behind it."""

from collections.abc import Mapping
from dataclasses import dataclass

from flwr.app import Message, MetricRecord, RecordDict

from shared.judgement import LEAST_LOSS, Judgement
from shared.model import HEADS
from shared.protocol.control import CONTROL, read_control
from shared.protocol.errors import ErrorCode, ProtocolError
from shared.protocol.instruction import MODEL
from shared.protocol.records import (
    COUNTS,
    check_weights,
    count_in,
    number_in,
    record_of,
    weights_in,
)
from shared.protocol.sums import read_judgement, write_judgement
from shared.tasks import TASKS, Task
from shared.weights import Weights, to_record


@dataclass(frozen=True)
class Update:
    """A site's answer to a training round.

    Attributes
    ----------
    site : str
        The name the site gives itself; sums run in its order.
    weights : Weights
        The locally trained model.
    patients : int
        Training patients behind it.
    labelled : dict of Task to int
        Training patients who have the task's label; 0 where a site leaves a task untrained.
    loss : float
        Mean training loss over the steps of the round.
    seconds : float
        What the site spent on the answer.
    judgement : Judgement
        Of the model that came down.
    control : Weights or None
        By how much the site's control variate has changed; None but in SCAFFOLD.
    """

    site: str
    weights: Weights
    patients: int
    labelled: dict[Task, int]
    loss: float
    seconds: float
    judgement: Judgement
    control: Weights | None = None


def patients_behind(key: str, patients: int, labelled: Mapping[Task, int]) -> int:
    """Return how many of a site's patients stand behind an entry of its model.

    Behind a task's own head, those who have its label; behind the trunk, and the risk that all
    tasks share, everybody who trained. A penalty draws towards zero what no label moves, which is
    no opinion: behind a head without a label stands nobody, nor behind anything else where no
    task has one.
    """
    task = task_of(key)
    if task is not None:
        return labelled[task]
    return patients if any(labelled.values()) else 0


def task_of(key: str) -> Task | None:
    """Return the task in whose own head an entry of a model is; None: in what all tasks share."""
    heads = (task for task in TASKS if key.startswith(f"{HEADS}.{task}."))
    return next(heads, None)


def write_update(update: Update) -> RecordDict:
    """Return the content of a training reply."""
    counts: dict[str, int | float] = {
        "patients": update.patients,
        "loss": update.loss,
        "seconds": update.seconds,
    }
    counts.update({f"labelled-{task}": update.labelled[task] for task in TASKS})
    content = RecordDict(
        {
            MODEL: to_record(update.weights),
            COUNTS: MetricRecord({**counts}),
            **write_judgement(update.site, update.judgement),
        }
    )
    if update.control is not None:
        content[CONTROL] = to_record(update.control)
    return content


def read_update(message: Message, expected: Weights, control: Weights | None = None) -> Update:
    """Check and return what a training reply carries.

    Parameters
    ----------
    message : Message
    expected : Weights
        The model that went down: keys and shapes must agree with it.
    control : Weights or None
        The control variate that went down, likewise; None but in SCAFFOLD.

    Raises
    ------
    ProtocolError
        Besides what `read_judgement` raises: wrong keys or shapes, non-finite numbers, counts
        that cannot be, a negative loss, or no patients behind the update.
    """
    name, judgement = read_judgement(message)
    weights = weights_in(message, MODEL)
    check_weights(weights, expected)
    change = read_control(message, control)
    counts = record_of(message, COUNTS, MetricRecord)
    try:
        patients = count_in(counts, "patients")
        labelled = {task: count_in(counts, f"labelled-{task}") for task in TASKS}
        loss, seconds = number_in(counts, "loss"), number_in(counts, "seconds")
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise ProtocolError(ErrorCode.MALFORMED_MESSAGE, str(error)) from error
    if patients < 1:
        raise ProtocolError(ErrorCode.NO_PATIENTS, f"{name} reports {patients} training patients")
    if max(labelled.values()) > patients:
        raise ProtocolError(
            ErrorCode.MALFORMED_MESSAGE, f"{name} reports {labelled} labelled of {patients}"
        )
    if loss < LEAST_LOSS:
        raise ProtocolError(ErrorCode.MALFORMED_MESSAGE, f"{name} reports a loss of {loss}")
    return Update(name, weights, patients, labelled, loss, seconds, judgement, change)
