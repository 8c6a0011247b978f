"""What a site remembers between rounds outlives the processes that made it.

A federation of its own: beside the other faults, not after them.
"""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from shared.algorithm import AlgorithmSettings
from shared.plan import OptimisationSettings, Plan
from tests.faults.cohort import plan_of
from tests.faults.expected import NAMES, VICTIM, assert_expected, rounds_kept, took_part
from tests.faults.federation import NGINX, PATIENCE_S, Federation, open_federation_of
from tests.polling import wait_until

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not NGINX.exists(), reason="nginx is not installed"),
]

ROUNDS = 2


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Start a coordinator and have three sites join it."""
    with open_federation_of(tmp_path_factory.mktemp("memory"), NAMES) as federation:
        yield federation


def test_a_restarted_node_and_a_run_submitted_again_find_what_the_site_remembers(
    federation: Federation,
) -> None:
    federation.wait_for_sites(*NAMES)
    plan, state = scaffold(plan_of(ROUNDS, seed=5)), federation.root / "scaffold"
    began = time.monotonic()
    run = federation.submit(plan, state, NAMES, minimum_sites=3)
    wait_until("round 1 is kept", lambda: rounds_kept(plan, state) >= 1, PATIENCE_S)
    federation.kill("coordinator", "flwr-serverapp")
    assert federation.wait_for_end(run) == "finished:failed"
    said = federation.log(VICTIM).count("SuperNode ID")
    federation.kill(VICTIM, "flower-supernode")
    wait_until(
        "the node is back",
        lambda: federation.log(VICTIM).count("SuperNode ID") > said,
        PATIENCE_S,
    )
    federation.wait_for_sites(*NAMES)
    again = federation.submit(plan, state, NAMES, minimum_sites=3)
    assert federation.wait_for_end(again) == "finished:completed"
    took_s = time.monotonic() - began
    print(f"\nkill -9 of the ServerApp and of a site's node, with SCAFFOLD: {took_s:.0f} s in all")
    found = assert_expected(federation, plan, state)
    assert took_part(found) == [list(NAMES)] * ROUNDS
    assert any(value.any() for value in found.memory.values())


def scaffold(plan: Plan) -> Plan:
    """Return the plan with control variates, which sites keep from round to round."""
    return replace(
        plan,
        optimisation=OptimisationSettings(
            optimiser="sgd", learning_rate=0.02, head_learning_rate=0.05, batch_size=5
        ),
        algorithm=AlgorithmSettings(control_variates=True),
    )
