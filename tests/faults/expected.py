"""What a disturbed federation must end with: the weights of a simulation of who took part."""

from pathlib import Path

from server.checkpoint import Checkpoint
from shared.plan import Plan
from tests.faults.cohort import simulate
from tests.faults.federation import Federation, last_checkpoint

NAMES = ("site_1", "site_2", "site_3")
VICTIM = "site_3"


def took_part(checkpoint: Checkpoint) -> list[list[str]]:
    """Return the sites whose updates count, round by round."""
    return [sorted(record["sites"]) for record in checkpoint.history[1:]]


def assert_expected(federation: Federation, plan: Plan, state: Path) -> Checkpoint:
    """Compare final weights with a simulation in which the same sites took part."""
    found = last_checkpoint(plan, state)
    assert found.finished
    missing = {
        number: set(NAMES) - set(sites) for number, sites in enumerate(took_part(found), start=1)
    }
    folder = state.with_name(f"{state.name}-simulated")
    expected = simulate(federation.root, NAMES, plan, folder, missing=missing)
    assert took_part(expected) == took_part(found)
    for key, value in expected.weights.items():
        assert value.tobytes() == found.weights[key].tobytes(), key
    return found


def rounds_kept(plan: Plan, state: Path) -> int:
    try:
        return last_checkpoint(plan, state).round
    except AssertionError:
        return -1
