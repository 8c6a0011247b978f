"""The institution's rule, its secret, and its codes for reasons."""

import stat
from pathlib import Path

import numpy as np
import pytest

from client.evidence.reasons import reason_code
from client.evidence.rule import Rule
from client.evidence.secret import own_seed
from client.evidence.survival import survival_sums
from shared.evidence.cells import Cells, merged_starts
from shared.evidence.description import REASONS
from shared.evidence.follow_up import FollowUpCells
from shared.evidence.hidden import hidden, unsummed
from shared.evidence.request import EvidenceRequest
from shared.evidence.sums import CohortSums, Evidence, MviSums, SurvivalSums
from shared.metrics.predictions import SurvivalPredictions
from tests.client.evidence.cohorts import QUARTERS, request


@pytest.mark.parametrize(
    ("part", "whole", "told"), [(0, 9, 0), (3, 9, None), (5, 9, None), (9, 9, 9), (5, 10, 5)]
)
def test_a_part_is_told_only_if_the_rest_is_enough_too(
    part: int, whole: int, told: int | None
) -> None:
    assert Rule(5, 0).told_part(part, whole) == told


def test_resamples_depend_on_the_use_and_the_secret() -> None:
    rule = Rule(1, 7)
    first = rule.weights("a", 12, "internal/os", 20)
    assert first.shape == (21, 12)
    assert (first[0] == 1).all()
    assert (first.sum(axis=1) == 12).all()
    np.testing.assert_array_equal(first, rule.weights("a", 12, "internal/os", 20))
    for other in (
        rule.weights("a", 12, "internal/mvi", 20),
        Rule(1, 8).weights("a", 12, "internal/os", 20),
    ):
        assert (first[1:] != other[1:]).any()


def test_known_resamples_would_give_patients_away() -> None:
    """Why the seed is secret: 12 unknowns, 30 sums, and everybody's score is solved for."""
    score = np.random.default_rng(0).random(12)
    weights = Rule(5, 7).weights("a", 12, "internal/mvi", 30)
    solved, *_ = np.linalg.lstsq(weights, weights @ score, rcond=None)
    np.testing.assert_allclose(solved, score, atol=1e-9)
    guessed = Rule(5, 8).weights("a", 12, "internal/mvi", 30)
    wrong, *_ = np.linalg.lstsq(guessed, weights @ score, rcond=None)
    assert np.abs(wrong - score).max() > 0.1


@pytest.mark.parametrize("minimum", [1, 3, 5])
def test_merged_cells_hold_enough_and_cover_the_axis(minimum: int) -> None:
    generator = np.random.default_rng(minimum)
    patients = generator.poisson(0.7, 60)
    starts = merged_starts(patients, minimum)
    held = np.add.reduceat(patients, starts)
    assert starts[0] == 0
    assert held.sum() == patients.sum()
    assert minimum == 1 or held.min() >= minimum
    values = held[None, :, None].astype(float)
    spread = Cells(starts, values).spread(60)[0, :, 0]
    assert spread.sum() == pytest.approx(patients.sum())
    if minimum == 1:
        np.testing.assert_array_equal(spread, patients)


def test_the_secret_is_drawn_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "bootstrap-seed"
    seed = own_seed(path)
    assert own_seed(path) == seed
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert own_seed(tmp_path / "another") != seed
    path.write_text("secret")
    with pytest.raises(ValueError, match="does not hold a number"):
        own_seed(path)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("used without this phase: is cut short: fewer voxels", "phase-left-out"),
        ("used in part: mvi must be 0 or 1, so it is unknown", "label-unusable"),
        ("used, though a localiser lay among the slices", "used-with-a-note"),
        ("no folder of this name", "no-images"),
        ("no phase can be used: arterial: is damaged", "no-images"),
        ("no mask: expected mask.nii.gz or seg.dcm", "no-mask"),
        ("no voxel is tumour (label 2)", "no-tumour"),
        ("the tumour of the mask lies outside this scan: another patient", "geometry"),
        ("slices are not evenly spaced: 1.0 to 3.0 mm apart", "geometry"),
        ("no row in clinical.csv", "no-clinical-row"),
        ("several rows for one patient: leave one", "no-clinical-row"),
        ("is damaged, cut short, or not an image", "unreadable"),
        ("cannot be opened: Permission denied", "unreadable"),
        ("is there as arterial and arterial.nii.gz: leave one", "ambiguous"),
        ("the mask is there as mask.nii.gz and seg.dcm: leave one", "ambiguous"),
        ("its values are not HU: a map of something else", "not-ct"),
        ("the mask's liver measures -80 HU here: the mask is moved or another", "geometry"),
        ("region 2 has contours that are not closed", "no-mask"),
        ("Mrs Miller wished it", "other"),
    ],
)
def test_a_reason_becomes_a_code(reason: str, code: str) -> None:
    assert reason_code(reason) == code
    assert code in REASONS


def test_what_is_hidden_is_counted_where_it_may_be() -> None:
    told = SurvivalSums(
        labelled=30,
        pairs=np.ones((1, 3)),
        groups=(FollowUpCells(Cells(np.array([0]), np.ones((1, 1, 2))), np.array([4])),),
    )
    silent = CohortSums(patients=None)
    partly = CohortSums(
        patients=30, mvi=MviSums(labelled=12), rfs=told, os=SurvivalSums(labelled=None)
    )
    found = {
        h.statistic: h
        for h in hidden(
            [Evidence("a", 5, {"internal": silent}), Evidence("b", 5, {"internal": partly})],
            EvidenceRequest(),
        )
    }
    mvi = found["MVI, all statistics"]
    assert (mvi.sites, mvi.patients, mvi.untold) == (("a", "b"), 12, 1)
    assert found["OS, all statistics"].untold == 2
    assert found["RFS, risk groups"].sites == ("a",)


def test_measurements_without_a_sum_are_told_of_those_who_withhold() -> None:
    rounds = [
        {"round": 1, "untold": {"b": ["of another round"]}},
        {
            "round": 0,
            "untold": {"a": ["other_tumours", "age"], "b": ["other_tumours"], "c": ["age"]},
        },
    ]
    answers = [
        Evidence("a", 5, {"training": CohortSums(patients=18)}),
        Evidence("b", 5, {"training": CohortSums(patients=None)}),
        Evidence("c", 1, {"training": CohortSums(patients=40)}),
    ]
    both, one = unsummed(rounds, answers)
    assert both.statistic == "Mean and deviation of other tumours"
    assert (both.sites, both.patients, both.untold) == (("a", "b"), 18, 1)
    assert (one.statistic, one.sites) == ("Mean and deviation of age", ("a",))
    assert unsummed([{"round": 0}], answers) == ()


def at_horizons(minimum_count: int) -> list[str]:
    """Of 40 patients nobody dies in the first year, 3 in the second, 27 by the third."""
    generator = np.random.default_rng(0)
    months = np.array([20.0] * 3 + [30.0] * 24 + [70.0] * 13)
    event = np.array([1.0] * 27 + [0.0] * 13)
    rows = SurvivalPredictions(
        months, event, generator.normal(size=40), np.tile(np.linspace(0.99, 0.2, 28), (40, 1))
    )
    asked = request()
    sums = survival_sums(
        rows,
        QUARTERS.edges_months,
        site="a",
        cohort="internal",
        task="os",
        request=asked,
        rule=Rule(minimum_count, 0),
    )
    answer = Evidence("a", minimum_count, {"internal": CohortSums(patients=40, os=sums)})
    return [h.statistic for h in hidden([answer], asked) if h.statistic.startswith("OS, at")]


def test_nobody_is_hidden_where_nobody_had_the_event() -> None:
    assert at_horizons(minimum_count=5) == ["OS, at 24 months"]
    assert at_horizons(minimum_count=3) == []
    assert at_horizons(minimum_count=1) == []
