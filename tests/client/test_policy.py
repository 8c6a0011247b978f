"""A site's limits hold whatever the coordinator asks."""

from dataclasses import replace

import pytest
from flwr.app import MessageType

from client.policy import Policy
from shared.algorithm import AlgorithmSettings
from shared.losses.multitask import LossSettings
from shared.plan import OptimisationSettings, Plan
from shared.protocol import ErrorCode, Instruction, ProtocolError

POLICY = Policy(tasks=("os", "rfs"), max_rounds=10, max_local_epochs=2, min_training_patients=20)
PLAN = Plan(rounds=10, loss=LossSettings(mvi_weight=0.0))
LONGER = replace(PLAN, rounds=11)
HARDER = replace(PLAN, optimisation=OptimisationSettings(local_steps=0, local_epochs=3))
MORE_STEPS = replace(PLAN, optimisation=OptimisationSettings(local_steps=51))
LARGER = replace(PLAN, optimisation=OptimisationSettings(batch_size=129))
SMALLER = replace(PLAN, optimisation=OptimisationSettings(batch_size=4))
LAST_STEP_ALONE = [
    replace(PLAN, optimisation=OptimisationSettings(head_learning_rate=2.0)),
    replace(PLAN, optimisation=OptimisationSettings(own_ridge=10.0)),
    replace(PLAN, optimisation=OptimisationSettings(shared_ridge=5.0, final_learning_rate=2.0)),
    replace(PLAN, optimisation=OptimisationSettings(weight_decay=2000.0)),
    replace(PLAN, algorithm=AlgorithmSettings(proximal_mu=1.5)),
]
WIDER = replace(PLAN, loss=LossSettings(mvi_weight=0.1))


def test_what_lies_within_the_limits_passes() -> None:
    POLICY.check(MessageType.QUERY, Instruction(PLAN, 0), 20)
    POLICY.check(MessageType.TRAIN, Instruction(PLAN, 10), 20)
    POLICY.check(MessageType.EVALUATE, Instruction(PLAN, 11), 20)


@pytest.mark.parametrize(
    ("kind", "plan", "number", "patients", "reason"),
    [
        (MessageType.QUERY, LONGER, 0, 20, "11 rounds asked, 10 allowed"),
        (MessageType.TRAIN, LONGER, 1, 20, "11 rounds asked, 10 allowed"),
        (MessageType.EVALUATE, LONGER, 1, 20, "11 rounds asked, 10 allowed"),
        (MessageType.TRAIN, PLAN, 12, 20, "round 12 of 10"),
        (MessageType.TRAIN, PLAN, -1, 20, "round -1 of 10"),
        (MessageType.TRAIN, HARDER, 1, 20, "3 local epochs asked, 2 allowed"),
        (MessageType.TRAIN, MORE_STEPS, 1, 20, "51 local steps asked, 50 allowed"),
        (MessageType.TRAIN, LARGER, 1, 20, "batches of 129 asked, 128 allowed"),
        (MessageType.TRAIN, SMALLER, 1, 20, "batches of 4 asked, at least 5 wanted"),
        *((MessageType.TRAIN, plan, 1, 20, "a step would undo") for plan in LAST_STEP_ALONE),
        (MessageType.TRAIN, WIDER, 1, 20, "training of mvi is not allowed"),
        (MessageType.QUERY, PLAN, 0, 19, "19 training patients"),
        (MessageType.TRAIN, PLAN, 1, 19, "19 training patients"),
        (MessageType.EVALUATE, PLAN, 11, 19, "19 training patients"),
    ],
)
def test_what_goes_beyond_is_refused_with_its_reason(
    kind: str, plan: Plan, number: int, patients: int, reason: str
) -> None:
    with pytest.raises(ProtocolError, match=reason) as refusal:
        POLICY.check(kind, Instruction(plan, number), patients)
    assert refusal.value.code is ErrorCode.POLICY_REFUSED


def test_an_external_site_judges_and_never_trains() -> None:
    external = replace(POLICY, role="external")
    external.check(MessageType.EVALUATE, Instruction(PLAN, 11), 0)
    for kind in (MessageType.TRAIN, f"{MessageType.TRAIN}.once-more"):
        with pytest.raises(ProtocolError, match="external site trains no model"):
            external.check(kind, Instruction(PLAN, 1), 100)


@pytest.mark.parametrize("bundle", ["", "abc", "A" * 64, "g" * 64])
def test_a_bundle_must_be_named_by_its_whole_hash(bundle: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        Policy(bundles=(bundle,))


def test_limits_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Policy(max_rounds=0)
    with pytest.raises(ValueError, match="no batch would be allowed"):
        Policy(max_batch_size=4)


def test_the_default_plan_and_fedprox_pass_the_default_policy() -> None:
    Policy().check(MessageType.TRAIN, Instruction(Plan(), 1), 10)
    fedprox = Plan(algorithm=AlgorithmSettings(proximal_mu=0.1))
    Policy().check(MessageType.TRAIN, Instruction(fedprox, 1), 10)
