"""What a coordinator gets for its questions, and what it does not, from a site's own app."""

from dataclasses import replace

import numpy as np
import pytest
from flwr.app import Context, Message, MessageType, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from client.answers import build_client_app
from client.policy import Policy
from client.site import Site
from shared.losses.multitask import LossSettings
from shared.model import ModelSettings
from shared.plan import OptimisationSettings, Plan, new_model
from shared.protocol import ErrorCode, Instruction, Update, read_update, write_instruction
from shared.weights import weights_of
from tests.client.patients import SMALL
from tests.simulation.small_sites import labelled_sites

PATIENTS = 16
# No penalty: a head moves by its patients alone.
PLAN = Plan(
    preprocessing=SMALL.fingerprint,
    training_fraction=0.99,
    model=ModelSettings(trunk="none"),
    optimisation=OptimisationSettings(local_steps=2, shared_ridge=0.0, own_ridge=0.0),
)
WEIGHTS = weights_of(new_model(PLAN))
MVI, OS = "heads.mvi.risk.bias", "heads.os.baseline"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Prepare a site under the default policy, all of whose patients train."""
    (site,) = labelled_sites(tmp_path_factory.mktemp("answers"), {"north": PATIENTS})
    return replace(site, policy=Policy())


def knowing_mvi_of(site: Site, known: int) -> Site:
    """Return the site with MVI unknown of all but the first patients."""
    cases = list(site.cases)
    for index, case in enumerate(cases[known:], start=known):
        cases[index] = replace(case, labels=replace(case.labels, mvi=None))
    return replace(site, cases=tuple(cases))


def ask(site: Site, plan: Plan, round_number: int = 1) -> Message:
    """Ask a site for one round of training."""
    TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = 1, 1, 2
    content = write_instruction(WEIGHTS, Instruction(plan, round_number))
    message = Message(content, dst_node_id=2, message_type=MessageType.TRAIN)
    context = Context(1, 2, node_config={}, state=RecordDict(), run_config={})
    return build_client_app(lambda _: site)(message, context)


def update_of(site: Site, plan: Plan, round_number: int = 1) -> Update:
    return read_update(ask(site, plan, round_number), WEIGHTS)


def moved(update: Update, key: str) -> bool:
    return not np.array_equal(update.weights[key], WEIGHTS[key])


def test_an_update_of_one_patient_is_refused(site: Site) -> None:
    """Its head's weights, divided by its bias, would be what was measured in that patient."""
    alone = replace(PLAN, optimisation=OptimisationSettings(local_steps=1, batch_size=1))
    assert ask(site, alone).error.code == ErrorCode.POLICY_REFUSED


@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize(("known", "trains"), [(0, False), (4, False), (5, True), (16, True)])
def test_a_task_that_few_have_the_label_of_is_left_as_it_came(
    site: Site, known: int, trains: bool, steps: int
) -> None:
    plan = replace(PLAN, optimisation=replace(PLAN.optimisation, local_steps=steps))
    update = update_of(knowing_mvi_of(site, known), plan)
    assert update.patients == PATIENTS
    assert update.labelled == {"mvi": known * trains, "rfs": PATIENTS, "os": PATIENTS}
    assert moved(update, MVI) is trains
    assert moved(update, OS)


def test_those_count_whom_the_round_draws(site: Site) -> None:
    """A step draws 8 of 16; of the 8 who have the label it may be any number."""
    half = knowing_mvi_of(site, 8)
    plan = replace(
        PLAN,
        loss=LossSettings(rfs_weight=0.0, os_weight=0.0),
        optimisation=replace(PLAN.optimisation, local_steps=1),
    )
    updates = [update_of(half, plan, number) for number in range(1, 21)]
    assert {update.labelled["mvi"] for update in updates} == {0, 8}
    assert all(moved(update, MVI) == (update.labelled["mvi"] > 0) for update in updates)


def test_a_site_may_knowingly_tell_of_fewer(site: Site) -> None:
    bold = replace(site, policy=Policy(min_batch_size=1, min_labelled_patients=1))
    alone = replace(PLAN, optimisation=OptimisationSettings(local_steps=1, batch_size=1))
    assert moved(update_of(bold, alone), MVI)
