"""What goes wrong in the field, done on purpose: every run still ends with the right weights.

The weights that are right: those of a simulation in which, round by round, the same sites took
part. Each test prints what its fault cost: ``make faults``.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.cohort import plan_of
from tests.faults.expected import NAMES, VICTIM, assert_expected, rounds_kept, took_part
from tests.faults.federation import (
    NGINX,
    PATIENCE_S,
    Federation,
    open_federation_of,
)
from tests.polling import wait_until

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not NGINX.exists(), reason="nginx is not installed"),
]

ROUNDS = 2
SENT, RECEIVED = "Sent successfully", "Receiving: train"


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Start a coordinator and have three sites join it."""
    with open_federation_of(tmp_path_factory.mktemp("faults"), NAMES) as federation:
        yield federation


@pytest.fixture(scope="module")
def undisturbed_s(federation: Federation) -> float:
    """Run once without a fault, and return the seconds from submission to end."""
    began = time.monotonic()
    plan = plan_of(ROUNDS, seed=0)
    run = federation.submit(plan, federation.root / "undisturbed", NAMES, minimum_sites=3)
    assert federation.wait_for_end(run) == "finished:completed"
    assert_expected(federation, plan, federation.root / "undisturbed")
    return time.monotonic() - began


def wait_for_message(federation: Federation, site: str, run: int, kind: str) -> None:
    """Wait until a site has answered a message of this kind."""
    wait_until(
        f"{site} answers {kind}",
        lambda: any(line["kind"] == kind for line in federation.audit_lines(site, run)),
        PATIENCE_S,
    )


def tell(fault: str, began: float, undisturbed_s: float) -> None:
    cost_s = time.monotonic() - began
    print(
        f"\n{fault}: {cost_s:.0f} s from submission to end,"
        f" {cost_s - undisturbed_s:+.0f} s against {undisturbed_s:.0f} s undisturbed"
    )


@pytest.mark.parametrize(
    ("what", "process", "word", "says"),
    [
        ("the superlink", "coordinator", "flower-superlink", "Application startup complete"),
        ("the proxy", "coordinator", "nginx", "starting proxy"),
        ("a site's node", VICTIM, "flower-supernode", "SuperNode ID"),
        ("a site's executor", VICTIM, "flower-superexec", "Starting Flower SuperExec"),
    ],
)
def test_a_process_that_its_supervisor_restarts_costs_time_and_no_weights(
    federation: Federation, undisturbed_s: float, what: str, process: str, word: str, says: str
) -> None:
    federation.wait_for_sites(*NAMES)
    plan, state = plan_of(ROUNDS, seed=1), federation.root / word
    began = time.monotonic()
    run = federation.submit(plan, state, NAMES, minimum_sites=2)
    wait_until("round 0 is kept", lambda: rounds_kept(plan, state) >= 0, PATIENCE_S)
    said = federation.log(process).count(says)
    federation.kill(process, word)
    back_s = wait_until(
        f"{what} is back", lambda: federation.log(process).count(says) > said, PATIENCE_S
    )
    assert federation.wait_for_end(run) == "finished:completed"
    tell(f"kill -9 of {what} (back after {back_s:.0f} s)", began, undisturbed_s)
    assert_expected(federation, plan, state)


def test_a_site_killed_in_mid_round_is_missed_in_it_and_comes_back(
    federation: Federation, undisturbed_s: float
) -> None:
    federation.wait_for_sites(*NAMES)
    plan, state = plan_of(ROUNDS, seed=2), federation.root / "site"
    began = time.monotonic()
    sent, received = (federation.log(VICTIM).count(words) for words in (SENT, RECEIVED))
    run = federation.submit(plan, state, NAMES, minimum_sites=2)
    wait_until("round 0 is answered", lambda: federation.log(VICTIM).count(SENT) > sent, PATIENCE_S)
    # Its executor stands still: the message of round 1 comes and is not answered.
    federation.descendant(VICTIM, "flower-superexec").suspend()
    wait_until(
        "round 1 has begun", lambda: federation.log(VICTIM).count(RECEIVED) > received, PATIENCE_S
    )
    federation.kill(VICTIM)
    killed = time.monotonic()
    joined = federation.log(VICTIM).count("SuperNode ID")
    federation.join(VICTIM)
    wait_until(
        "the site is back",
        lambda: federation.log(VICTIM).count("SuperNode ID") > joined,
        PATIENCE_S,
    )
    back_s = time.monotonic() - killed
    assert federation.wait_for_end(run) == "finished:completed"
    tell(f"kill -9 of a site in mid-round (back after {back_s:.0f} s)", began, undisturbed_s)
    found = assert_expected(federation, plan, state)
    assert VICTIM not in took_part(found)[0]


def test_a_killed_server_app_is_submitted_again_and_goes_on(
    federation: Federation, undisturbed_s: float
) -> None:
    federation.wait_for_sites(*NAMES)
    plan, state = plan_of(ROUNDS, seed=3), federation.root / "serverapp"
    began = time.monotonic()
    run = federation.submit(plan, state, NAMES, minimum_sites=3)
    wait_for_message(federation, VICTIM, run, "train")
    wait_until("round 1 is kept", lambda: rounds_kept(plan, state) >= 1, PATIENCE_S)
    federation.kill("coordinator", "flwr-serverapp")
    assert federation.wait_for_end(run) == "finished:failed"
    again = federation.submit(plan, state, NAMES, minimum_sites=3)
    assert federation.wait_for_end(again) == "finished:completed"
    tell("kill -9 of the ServerApp", began, undisturbed_s)
    assert_expected(federation, plan, state)
    trained = [line["round"] for line in federation.audit_lines(VICTIM, again)]
    assert 1 not in trained, "a round that was kept is not trained again"


def break_table(folder: Path) -> Callable[[], object]:
    table = folder / "clinical.csv"
    kept = table.rename(table.with_suffix(".kept"))
    return lambda: kept.rename(table)


def test_a_folder_that_breaks_between_rounds_is_a_code_and_the_run_goes_on(
    federation: Federation, undisturbed_s: float
) -> None:
    federation.wait_for_sites(*NAMES)
    plan, state = plan_of(ROUNDS, seed=4), federation.root / "folder"
    began = time.monotonic()
    run = federation.submit(plan, state, NAMES, minimum_sites=2)
    wait_for_message(federation, VICTIM, run, "train")
    mend = break_table(federation.root / VICTIM)
    try:
        assert federation.wait_for_end(run) == "finished:completed"
    finally:
        mend()
    tell("a folder that breaks", began, undisturbed_s)
    found = assert_expected(federation, plan, state)
    assert took_part(found) == [list(NAMES), [name for name in NAMES if name != VICTIM]]
    codes = {line["code"] for line in federation.audit_lines(VICTIM, run) if line["round"] == 2}
    assert codes == {"DATA_UNREADABLE"}
    assert "clinical" not in federation.log("coordinator")
