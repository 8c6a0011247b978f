"""Whatever sites do, the federation goes on with the rest or ends by name; nothing is silent."""

import io
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Error, Message, MetricRecord, RecordDict
from flwr.common.constant import ErrorCode as FlowerErrorCode

from server import checkpoint as checkpoints
from server.checkpoint import Checkpoint, CheckpointMismatchError
from server.federation import FederationSettings, initial_weights, run_federation
from server.optimiser import FedAdam, FedAvg, FedAvgM, FedYogi, ServerOptimiser
from server.progress import read_progress
from server.question import FederationFailedError
from server.roll import Roll
from server.terms import Patience, Terms
from shared.weights import Weights
from tests.server.fake_grid import PLAN, Behaviour, FakeGrid, FakeSite, changed, renamed, silent

QUICK = Patience(minimum_sites=2, deadline_s=0.2, attempts=2, gathering_s=0.0)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("flwr").setLevel(logging.ERROR)


def run(
    grid: FakeGrid,
    state_dir: Path,
    patience: Patience = QUICK,
    on_checkpoint: Callable[[Checkpoint], None] | None = None,
    optimiser: ServerOptimiser = FedAvg(),  # noqa: B008
    external: tuple[str, ...] = (),
) -> Checkpoint:
    names = tuple(name for name in grid.sites if name not in external)
    terms = Terms(Roll(names, external), patience, optimiser)
    return run_federation(grid, FederationSettings(PLAN, state_dir, terms), on_checkpoint)


def three(third: FakeSite) -> FakeGrid:
    return FakeGrid(FakeSite("a"), FakeSite("b", step=0.5), third)


def same(first: Weights, second: Weights) -> bool:
    return all(first[key].tobytes() == second[key].tobytes() for key in first | second)


def arrays(content: RecordDict) -> ArrayRecord:
    record = content["model"]
    assert isinstance(record, ArrayRecord)
    return record


def metrics(content: RecordDict, key: str) -> MetricRecord:
    record = content[key]
    assert isinstance(record, MetricRecord)
    return record


def with_first_array(change: Callable[[Weights, str], object]) -> Behaviour:
    """Return a behaviour that changes the first array of an update."""

    def spoil(content: RecordDict) -> None:
        key = next(iter(arrays(content)))
        value = arrays(content)[key].numpy().copy()
        change_of = change({key: value}, key)
        arrays(content)[key] = Array(np.asarray(change_of))

    return changed(spoil)


def no_array(content: RecordDict) -> None:
    arrays(content).pop(next(iter(arrays(content))))


def one_more(content: RecordDict) -> None:
    arrays(content)["backdoor"] = Array(np.zeros(3, np.float32))


def garbage(content: RecordDict) -> None:
    key, value = next(iter(arrays(content).items()))
    arrays(content)[key] = Array("float32", value.shape, "numpy.ndarray", b"no array")


def pickled(content: RecordDict) -> None:
    key, value = next(iter(arrays(content).items()))
    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    arrays(content)[key] = Array("float32", value.shape, "numpy.ndarray", stream.getvalue())


def one_nan(weights: Weights, key: str) -> object:
    weights[key].flat[-1] = np.nan
    return weights[key]


REFUSED: dict[str, tuple[Behaviour, str]] = {
    "missing array": (changed(no_array), "WRONG_MODEL"),
    "one array more": (changed(one_more), "WRONG_MODEL"),
    "wrong shape": (with_first_array(lambda w, k: w[k][..., None]), "WRONG_MODEL"),
    "wrong dtype": (with_first_array(lambda w, k: w[k].astype(np.float64)), "WRONG_MODEL"),
    "one nan": (with_first_array(one_nan), "NON_FINITE_UPDATE"),
    "infinite": (with_first_array(lambda w, k: w[k] + np.float32(np.inf)), "NON_FINITE_UPDATE"),
    "huge": (with_first_array(lambda w, k: w[k] + np.float32(1e30)), "OUT_OF_RANGE_UPDATE"),
    "bytes that are no array": (changed(garbage), "MALFORMED_MESSAGE"),
    "pickled bytes": (changed(pickled), "MALFORMED_MESSAGE"),
    "no patients": (
        changed(lambda c: metrics(c, "counts").update({"patients": 0})),
        "NO_PATIENTS",
    ),
    "a million hospitals": (
        changed(lambda c: metrics(c, "counts").update({"patients": 10**9})),
        "MALFORMED_MESSAGE",
    ),
    "more labels than patients": (
        changed(lambda c: metrics(c, "counts").update({"labelled-os": 11})),
        "MALFORMED_MESSAGE",
    ),
    "more patients than it told first": (
        changed(lambda c: metrics(c, "counts").update({"patients": 11})),
        "OUT_OF_RANGE_UPDATE",
    ),
    "a loss that nothing has": (
        changed(lambda c: metrics(c, "judgement").update({"os-loss": -1e6, "os-patients": 1})),
        "MALFORMED_MESSAGE",
    ),
    "loss is nan": (
        changed(lambda c: metrics(c, "counts").update({"loss": float("nan")})),
        "MALFORMED_MESSAGE",
    ),
    "a count beyond int64": (
        changed(lambda c: metrics(c, "judgement").update({"mvi-positive": [1e300] * 1024})),
        "MALFORMED_MESSAGE",
    ),
    "a histogram of other bins": (
        changed(lambda c: metrics(c, "judgement").update({"mvi-positive": [1]})),
        "MALFORMED_MESSAGE",
    ),
    "no judgement": (changed(lambda c: c.pop("judgement")), "MALFORMED_MESSAGE"),
    "control variates uninvited": (
        changed(lambda c: c.update({"control": c["model"]})), "MALFORMED_MESSAGE",
    ),
    "another protocol": (
        changed(lambda c: c.config_records["site"].update({"version": 99})),
        "UNKNOWN_VERSION",
    ),
    "another site's name": (changed(lambda c: renamed(c, "a")), "WRONG_SITE"),
    "an error of its own": (
        lambda message, _: [Message(Error(1006, "/data/patient_7"), reply_to=message)],
        "DATA_UNREADABLE",
    ),
    "its app raised": (
        lambda message, _: [Message(Error(int(FlowerErrorCode.CLIENT_APP_RAISED_EXCEPTION)),
                                    reply_to=message)],
        "NO_ANSWER",
    ),
    "its node is gone": (
        lambda message, _: [Message(Error(int(FlowerErrorCode.NODE_UNAVAILABLE)),
                                    reply_to=message)],
        "NO_ANSWER",
    ),
    "nothing by the deadline": (silent, "NO_ANSWER"),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_a_bad_update_is_refused_and_named_and_the_rest_count(fault: str, tmp_path: Path) -> None:
    behaviour, code = REFUSED[fault]
    # Messages: 0 before round 1, then 1 to 3 to train; the second round's goes wrong.
    found = run(three(FakeSite("c", step=1.0, behaviours={2: behaviour})), tmp_path)
    assert [record.get("refused", {}) for record in found.history] == [{}, {}, {"c": code}, {}]
    assert list(found.history[2]["sites"]) == ["a", "b"]
    assert list(found.history[3]["sites"]) == ["a", "b", "c"]
    # Steps a round: (0.25 + 0.5 + 1) / 3, then (0.25 + 0.5) / 2, then again the first.
    key = (
        "trunk.conv0.weight" if "trunk.conv0.weight" in found.weights else next(iter(found.weights))
    )
    gained = found.weights[key] - initial_weights(PLAN)[key]
    np.testing.assert_allclose(gained, 2 * 1.75 / 3 + 0.375, rtol=1e-5)
    assert "patient_7" not in json.dumps(found.history)


def first_of(record: str, key: str, number: float) -> Behaviour:
    """Return a behaviour that changes the first of a list of sums."""

    def spoil(content: RecordDict) -> None:
        sums = metrics(content, record)
        sums[key] = [number, *list(sums[key])[1:]]  # type: ignore[arg-type]

    return changed(spoil)


@pytest.mark.parametrize(
    "behaviour",
    [
        first_of("feature-sums", "total", 1e300),
        first_of("feature-sums", "square", 1e300),
        first_of("feature-sums", "count", 11.0),
        first_of("map-sums", "square", 1e300),
        changed(lambda c: metrics(c, "counts").update({"patients": 2**21})),
    ],
)
def test_sums_that_no_patients_have_are_their_sites_refusal(
    behaviour: Behaviour, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Added to the others' they would make a model that every site refuses."""
    found = run(three(FakeSite("c", behaviours={0: behaviour})), tmp_path)
    assert found.finished
    assert "c: MALFORMED_MESSAGE" in caplog.text
    assert found.history[0]["patients"] == {"a": 10, "b": 10}
    assert all(np.isfinite(value).all() for value in found.weights.values())
    assert list(found.history[1]["sites"]) == ["a", "b", "c"]


def test_a_site_that_comes_late_is_held_to_what_it_tells_first(tmp_path: Path) -> None:
    more = changed(lambda c: metrics(c, "counts").update({"patients": 2**20}))
    found = run(three(FakeSite("c", behaviours={0: silent, 3: more})), tmp_path)
    assert [record.get("refused", {}) for record in found.history] == [
        {}, {}, {}, {"c": "OUT_OF_RANGE_UPDATE"},
    ]  # fmt: skip


def test_a_duplicate_reply_counts_once(tmp_path: Path) -> None:
    """Two nodes of one name cannot both be asked; here an unnamed runtime's sites clash."""
    grid = FakeGrid(FakeSite("a"), FakeSite("b"), FakeSite("c", calls_itself="a", step=9.0))
    terms = Terms(patience=replace(QUICK, attempts=1))
    for site in grid.sites.values():
        site.name, site.calls_itself = "", site.calls_itself or site.name
    found = run_federation(grid, FederationSettings(PLAN, tmp_path, terms))
    assert found.history[-1]["refused"] == {"a": "DUPLICATE_REPLY"}
    assert list(found.history[-1]["sites"]) == ["a", "b"]


def test_the_newer_of_two_keys_of_a_name_is_the_site(tmp_path: Path) -> None:
    grid = FakeGrid(FakeSite("a"), FakeSite("b"), FakeSite("c"))
    old, new = grid.sites["b"], grid.sites["c"]
    new.name = "b"
    found = run_federation(grid, FederationSettings(PLAN, tmp_path, Terms(Roll(("a", "b")), QUICK)))
    assert list(found.history[-1]["sites"]) == ["a", "b"]
    assert (len(old.asked), len(new.asked)) == (0, 5)


def test_no_order_of_arrival_changes_a_bit(tmp_path: Path) -> None:
    models = []
    for hurry in (["a", "b", "c", "d"], ["d", "c", "b", "a"], ["c", "a", "d", "b"]):
        sites = [FakeSite(n, step=s, patients=p) for n, s, p in (
            ("a", 0.1, 7), ("b", 1e-6, 90), ("c", -0.3, 33), ("d", 3e3, 5))]  # fmt: skip
        grid = FakeGrid(*sites, hurry=hurry)
        models.append(run(grid, tmp_path / "-".join(hurry)).weights)
    assert same(models[0], models[1])
    assert same(models[0], models[2])


def test_an_external_site_is_never_asked(tmp_path: Path) -> None:
    grid = three(FakeSite("external"))
    found = run(grid, tmp_path, external=("external",))
    assert grid.sites["external"].asked == []
    assert list(found.history[-1]["sites"]) == ["a", "b"]
    unnamed = Terms(Roll(external=("external",)), QUICK)
    run_federation(grid, FederationSettings(PLAN, tmp_path / "2", unnamed))
    assert grid.sites["external"].asked == []


def test_a_node_that_is_not_on_the_roll_is_never_asked(tmp_path: Path) -> None:
    grid = three(FakeSite("stranger"))
    settings = FederationSettings(PLAN, tmp_path, Terms(Roll(("a", "b")), QUICK))
    run_federation(grid, settings)
    assert grid.sites["stranger"].asked == []


def test_a_round_with_too_few_is_tried_again_and_asks_only_the_missing(tmp_path: Path) -> None:
    grid = FakeGrid(FakeSite("a"), FakeSite("b", behaviours={2: silent}))
    found = run(grid, tmp_path)
    assert found.finished
    assert list(found.history[2]["sites"]) == ["a", "b"]
    assert found.history[2]["refused"] == {}
    (failure,) = found.history[2]["failed_attempts"]
    assert failure == (
        "round 2, attempt 1: 1 of at least 2 sites answered; refused: b NO_ANSWER; not online: none"
    )
    assert len(grid.sites["a"].asked) == 5
    assert len(grid.sites["b"].asked) == 6
    assert same(found.weights, run(FakeGrid(FakeSite("a"), FakeSite("b")), tmp_path / "2").weights)


@pytest.mark.parametrize("round_number", [0, 1, 2])
def test_too_few_sites_end_the_run_by_name_and_a_new_start_goes_on(
    tmp_path: Path, round_number: int
) -> None:
    grid = FakeGrid(FakeSite("a"), FakeSite("b"))
    grid.sites["b"].behaviours = {round_number: silent, round_number + 1: silent}
    with pytest.raises(FederationFailedError, match="attempt 2: 1 of at least 2 sites"):
        run(grid, tmp_path)
    progress = read_progress(tmp_path)
    assert progress is not None
    assert (progress.end, progress.attempt) == ("too-few-sites", 2)
    assert "b NO_ANSWER" in progress.reason
    assert len(checkpoints.read_history(tmp_path)) == round_number
    found = run(grid, tmp_path)
    assert found.finished
    progress = read_progress(tmp_path)
    assert progress is not None
    assert progress.end == "completed"
    assert same(found.weights, run(FakeGrid(FakeSite("a"), FakeSite("b")), tmp_path / "2").weights)


def test_sites_that_are_not_there_are_waited_for_within_bounds(tmp_path: Path) -> None:
    absent = FakeGrid(FakeSite("a"), FakeSite("b", online=lambda _: False))
    with pytest.raises(FederationFailedError, match=r"0 of at least 2 .* not online: b"):
        run(absent, tmp_path / "absent", replace(QUICK, gathering_s=0.1))
    assert absent.sites["a"].asked == []
    late = FakeGrid(FakeSite("a"), FakeSite("b", online=lambda looked: looked > 3))
    found = run(late, tmp_path / "late", Patience(2, 5.0, attempts=1, gathering_s=60.0))
    assert all(list(record["sites"]) == ["a", "b"] for record in found.history[1:])


def test_a_site_that_stays_away_is_named_and_does_not_hold_up_the_rest(tmp_path: Path) -> None:
    grid = three(FakeSite("c", online=lambda looked: looked < 6))
    found = run(grid, tmp_path)
    assert [r.get("absent") for r in found.history] == [None, [], ["c"], ["c"]]


def test_what_a_restarted_site_has_forgotten_is_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.streaming._LOOK_FOR_RESTARTS_EVERY_S", 0.0)
    site = FakeSite("b", behaviours={1: silent})
    site.activated = lambda _: "later" if len(site.asked) >= 2 else "then"
    found = run(FakeGrid(FakeSite("a"), site), tmp_path, Patience(2, 30.0, attempts=1))
    assert found.history[1]["refused"] == {}
    assert site.asked[1] == site.asked[2] == ("train", 1)


def test_a_state_folder_of_another_federation_is_refused(tmp_path: Path) -> None:
    run(FakeGrid(FakeSite("a"), FakeSite("b")), tmp_path)
    with pytest.raises(CheckpointMismatchError):
        run(FakeGrid(FakeSite("a"), FakeSite("b")), tmp_path, optimiser=FedAvgM())
    progress = read_progress(tmp_path)
    assert progress is not None
    assert progress.end == "another-plan"


@pytest.mark.parametrize("optimiser", [FedAvg(), FedAvgM(), FedAdam(), FedYogi()])
def test_a_crash_after_any_checkpoint_changes_no_bit(
    tmp_path: Path, optimiser: ServerOptimiser
) -> None:
    """The process dies after each checkpoint in turn, and between writing and the next round."""

    def sites() -> FakeGrid:
        return FakeGrid(FakeSite("a", step=0.01), FakeSite("b", step=-0.7, patients=3))

    whole = run(sites(), tmp_path / "whole", optimiser=optimiser)
    starts = 0
    while True:
        starts += 1
        seen: list[int] = []

        def die(checkpoint: Checkpoint, seen: list[int] = seen) -> None:
            seen.append(checkpoint.round)
            if not checkpoint.finished:
                raise KeyboardInterrupt

        try:
            found = run(sites(), tmp_path / "dying", optimiser=optimiser, on_checkpoint=die)
            break
        except KeyboardInterrupt:
            assert len(seen) == 1
    assert starts == PLAN.rounds + 2
    assert same(found.weights, whole.weights)
    assert found.memory.keys() == whole.memory.keys()
    assert all(found.memory[k].tobytes() == whole.memory[k].tobytes() for k in whole.memory)
    assert len(found.history) == len(whole.history)
