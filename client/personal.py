"""The part of the model that a site keeps as its own, where the federation personalises.

The update that leaves is whole all the same, and the coordinator averages all of it: a site that
is new, or held out, is thus given a whole model. A site that has trained puts its own part in
place of the averaged one whenever it trains, judges or gives evidence. What is personal is so
for the fit, not for secrecy.
"""

import logging
from collections.abc import Set

import torch
from torch import nn

from client.memory import SiteMemory, memory_of
from client.site import Site
from shared.algorithm import PersonalPart
from shared.model import HEADS, MultiTaskNet
from shared.plan import Plan
from shared.protocol import Instruction, check_weights
from shared.weights import Weights, parameters_of

logger = logging.getLogger("hepafed.client")


def personal_keys(model: nn.Module, part: PersonalPart) -> frozenset[str]:
    """Return the names of the parameters that stay at a site.

    ``"heads"``: everything after the features (Arivazhagan et al., arXiv 1912.00818).
    ``"norms"``: scale and shift of every normalisation (Li et al., arXiv 2102.07623); this
    network's keep no statistics.
    """
    if part == "heads":
        return frozenset(k for k, _ in model.named_parameters() if k.startswith(f"{HEADS}."))
    if part == "norms":
        return frozenset(
            f"{name}.{key}"
            for name, module in model.named_modules()
            if isinstance(module, nn.GroupNorm | nn.LayerNorm)
            for key, _ in module.named_parameters(recurse=False)
        )
    return frozenset()


def take_own_part(model: MultiTaskNet, site: Site, instruction: Instruction) -> None:
    """Put the site's own part into the model that came down.

    The part is of the last round, up to the one that made the model, in which the site's update
    counted. Without one, or where it is lost, the average stays.
    """
    plan = instruction.plan
    counted = instruction.counted.get(site.name, 0)
    if plan.algorithm.personal == "none" or not counted:
        return
    if not put_own_part(model, plan, memory_of(site, instruction), counted):
        logger.warning("the site's own part is lost: the average takes its place")


def put_own_part(model: MultiTaskNet, plan: Plan, memory: SiteMemory, round_number: int) -> bool:
    """Put what a site kept in a round into a model; False, and the model as it was, if lost.

    An entry that was not kept stays the average: of a task whose label the site never had.

    Raises
    ------
    ProtocolError
        What was kept is not that part of this model.
    """
    own = memory.recall("personal", round_number)
    if own is None:
        return False
    part = _part_of(parameters_of(model), model, plan.algorithm.personal)
    check_weights(own, {key: part[key] for key in part.keys() & own.keys()})
    tensors = {key: torch.from_numpy(value) for key, value in own.items()}
    model.load_state_dict(tensors, strict=False)
    return True


def keep_own_part(
    model: MultiTaskNet,
    weights: Weights,
    site: Site,
    instruction: Instruction,
    *,
    unmoved: Set[str] = frozenset(),
) -> None:
    """Keep the personal part of freshly trained weights: of every round, for it is small.

    Entries in `unmoved`, behind which no patient stood in the round, stay what they were to the
    site: its own of an earlier round, or else everybody's.
    """
    plan = instruction.plan
    if plan.algorithm.personal == "none":
        return
    memory, counted = memory_of(site, instruction), instruction.counted.get(site.name, 0)
    own = _part_of(weights, model, plan.algorithm.personal)
    stay = own.keys() & unmoved
    before = (memory.recall("personal", counted) if stay and counted else None) or {}
    earlier = {key: before[key] for key in stay & before.keys()}
    trained = {key: value for key, value in own.items() if key not in stay}
    memory.keep("personal", instruction.round, trained | earlier)


def _part_of(weights: Weights, model: nn.Module, part: PersonalPart) -> Weights:
    return {key: weights[key] for key in sorted(personal_keys(model, part))}
