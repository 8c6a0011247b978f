"""One round of learning at a site: what is recalled, judged, trained, kept and told."""

from collections.abc import Set

from client.cases import labelled
from client.control import ControlVariate
from client.evaluation import judge
from client.memory import memory_of
from client.personal import keep_own_part
from client.site import Site
from client.split import Split
from client.training import train_locally, with_enough_labels
from shared.model import MultiTaskNet
from shared.protocol import (
    ErrorCode,
    Instruction,
    ProtocolError,
    Update,
    check_weights,
    patients_behind,
)
from shared.weights import Weights, weights_of


def train_round(
    site: Site,
    model: MultiTaskNet,
    instruction: Instruction,
    split: Split,
    control: Weights | None,
) -> Update:
    """Judge the model that came down, train it in place, and return what is told of it.

    Parameters
    ----------
    site : Site
    model : MultiTaskNet
    instruction : Instruction
    split : Split
        With at least one training patient.
    control : Weights or None
        The server's control variate; None but in SCAFFOLD.

    Returns
    -------
    Update
        Its `seconds` are not measured here.

    Raises
    ------
    ProtocolError
        The update is not finite, or what the site should have kept is gone.
    """
    plan, device = instruction.plan, site.torch_device
    variate = None if control is None else _variate(site, model, instruction, control)
    judgement = judge(model, split.internal, plan, device, minimum_count=site.minimum_count)
    cases = with_enough_labels(
        split.training,
        plan,
        1 if site.policy is None else site.policy.min_labelled_patients,
        site=site.name,
        round_number=instruction.round,
    )
    loss = train_locally(
        model,
        cases,
        plan,
        site=site.name,
        round_number=instruction.round,
        device=device,
        control=variate,
    )
    weights, known = weights_of(model), labelled(cases)
    check_weights(weights, weights)
    unmoved = {key for key in weights if not patients_behind(key, len(cases), known)}
    keep_own_part(model, weights, site, instruction, unmoved=unmoved)
    return Update(
        site=site.name,
        weights=weights,
        patients=len(cases),
        labelled=known,
        loss=float(loss),
        seconds=0.0,
        judgement=judgement,
        control=None if variate is None else _keep(site, instruction, variate, unmoved),
    )


def _variate(
    site: Site, model: MultiTaskNet, instruction: Instruction, control: Weights
) -> ControlVariate:
    """Return the site's control variate as it was when its update last counted.

    Where that is lost the site stays out: the server's variate still holds its share, and one
    begun anew would bias every site's steps for good.
    """
    counted = instruction.counted.get(site.name, 0)
    own = memory_of(site, instruction).recall("control", counted) if counted else None
    if counted and own is None:
        raise ProtocolError(ErrorCode.MEMORY_LOST, f"no control variate of round {counted}")
    if own is not None:
        check_weights(own, control)
    return ControlVariate(model, own, control)


def _keep(
    site: Site, instruction: Instruction, variate: ControlVariate, unmoved: Set[str]
) -> Weights:
    """Keep the site's new control variate; return by how much it has changed."""
    change = variate.change(stay=unmoved)
    check_weights(change, change)
    memory, counted = memory_of(site, instruction), instruction.counted.get(site.name, 0)
    memory.keep("control", instruction.round, variate.after(stay=unmoved))
    memory.forget("control", instruction.round, but=counted)
    return change
