"""Portal vein and kidneys: right or silent in each phase, whatever hides them."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import SimpleITK as sitk

from client.imaging.grid import Volume
from client.series import kidneys, portal_vein
from client.series.enhancement import Enhancement, measure, seen_phase
from client.series.kidneys import Kidneys
from shared.tasks import Phase
from tests.client.series.abdomen import (
    CONTRAST,
    KIDNEY_AXES_MM,
    KIDNEYS_MM,
    Abdomen,
    cropped,
    labels,
    scan,
)

PHASE_OF: dict[str, Phase | Literal["native"]] = {
    "native": "native",
    "early arterial": "arterial",
    "late arterial": "arterial",
    "early portal venous": "portal_venous",
    "portal venous": "portal_venous",
    "nephrographic": "portal_venous",
    "delayed": "delayed",
    "excretory": "delayed",
}
EARLY = {"arterial", "portal_venous"}
LATE = {"portal_venous", "delayed"}


@pytest.mark.parametrize("name", [name for name in CONTRAST if name != "native"])
def test_organs_measure_what_they_were_made_of(name: str) -> None:
    contrast = CONTRAST[name]
    found = measure(scan(contrast), labels())
    if contrast.portal > contrast.liver + 15:
        assert found.portal_hu == pytest.approx(contrast.portal, abs=12)
    assert found.kidneys is not None
    assert len(found.kidneys.cortex_hu) == 2
    assert np.mean(found.kidneys.cortex_hu) == pytest.approx(contrast.cortex, abs=8)
    # Columns of cortex reach between the pyramids.
    assert np.mean(found.kidneys.medulla_hu) == pytest.approx(contrast.medulla, abs=22)
    assert found.kidneys.excreting == (name == "excretory")


@pytest.mark.parametrize(
    ("name", "vein", "renal"),
    [
        ("early arterial", None, EARLY),
        ("late arterial", {"arterial"}, EARLY),
        ("early portal venous", {"portal_venous"}, EARLY),
        ("portal venous", {"portal_venous"}, LATE),
        ("nephrographic", LATE, LATE),
        ("delayed", {"delayed"}, LATE),
        ("excretory", {"delayed"}, {"delayed"}),
    ],
)
def test_each_phase_leaves_the_phases_that_it_may_be(
    name: str, vein: set[Phase] | None, renal: set[Phase]
) -> None:
    others = measure(scan(CONTRAST[name]), labels()).others
    assert others.get("portal vein") == (vein and frozenset(vein))
    assert others.get("kidneys") == frozenset(renal)


@pytest.mark.parametrize("noise_hu", [6.0, 25.0, 45.0])
@pytest.mark.parametrize("name", CONTRAST)
def test_noise_makes_organs_silent_never_wrong(name: str, noise_hu: float) -> None:
    for seed in (1, 2):
        found = measure(scan(CONTRAST[name], noise_hu, seed), labels())
        assert seen_phase(found) in (None, PHASE_OF[name])
        assert found.against(PHASE_OF[name]) == ()
        assert found.decided_together in (None, PHASE_OF[name])


@pytest.mark.parametrize("name", CONTRAST)
def test_kidneys_out_of_the_field_of_view_are_not_made_up(name: str) -> None:
    above = KIDNEYS_MM[1][2] + KIDNEY_AXES_MM[2]
    found = measure(cropped(scan(CONTRAST[name]), above - 20), labels())
    assert found.kidneys is None
    assert found.against(PHASE_OF[name]) == ()


@pytest.mark.parametrize("gut_hu", [15.0, 160.0, 320.0])
@pytest.mark.parametrize("name", CONTRAST)
def test_gut_and_spleen_are_no_kidneys(name: str, gut_hu: float) -> None:
    body = Abdomen(kidneys=(False, False), gut_hu=gut_hu)
    found = measure(scan(CONTRAST[name], body=body), labels(body))
    assert "kidneys" not in found.others
    assert found.against(PHASE_OF[name]) == ()


@pytest.mark.parametrize("name", ["late arterial", "portal venous", "excretory"])
def test_one_kidney_is_enough_but_not_for_what_it_excretes(name: str) -> None:
    body = Abdomen(kidneys=(False, True))
    found = measure(scan(CONTRAST[name], body=body), labels(body))
    assert found.kidneys is not None
    assert len(found.kidneys.cortex_hu) == 1
    assert set(found.others["kidneys"]) == (EARLY if name == "late arterial" else LATE)


@pytest.mark.parametrize("name", ["late arterial", "portal venous"])
def test_a_stone_is_no_excretion(name: str) -> None:
    found = measure(scan(CONTRAST[name], body=Abdomen(stone=True)), labels())
    assert found.kidneys is not None
    assert not found.kidneys.excreting


def test_a_tumour_that_lights_up_is_no_portal_vein() -> None:
    body = Abdomen(tumour_hu=260)
    bright = measure(scan(CONTRAST["late arterial"], body=body), labels(body))
    plain = measure(scan(CONTRAST["late arterial"]), labels())
    assert bright.portal_hu == pytest.approx(plain.portal_hu, abs=6)


def test_a_patient_who_lies_the_other_way_round_measures_the_same() -> None:
    upright = scan(CONTRAST["portal venous"])
    image = upright.grid.place(upright.voxels, upright.grid.whole)
    turned = Volume.of(sitk.DICOMOrient(image, "RAI"))
    assert turned.grid.direction != upright.grid.direction
    one, other = measure(turned, labels()), measure(upright, labels())
    assert one.kidneys == other.kidneys
    assert one.portal_hu == pytest.approx(other.portal_hu)


@pytest.mark.parametrize(
    ("portal", "aorta", "liver", "expected"),
    [
        (145, 320, 75, {"arterial"}),
        (175, 155, 110, {"portal_venous"}),
        (110, 112, 92, {"delayed"}),
        (130, 135, 100, LATE),
        # A clot, poor contrast, or between two phases: silent.
        *((90, 185, 110, None), (82, 95, 75, None), (150, 205, 100, None), (98, 100, 92, None)),
    ],
)
def test_limits_of_the_portal_vein_leave_gaps(
    portal: float, aorta: float, liver: float, expected: set[Phase] | None
) -> None:
    assert portal_vein.possible_phases(portal, aorta, liver) == expected


@pytest.mark.parametrize(
    ("cortex", "medulla", "excreting", "aorta", "expected"),
    [
        ((190, 200), (70, 80), False, None, EARLY),
        ((180, 175), (170, 160), False, 150, LATE),
        ((140, 140), (138, 135), True, 110, {"delayed"}),
        # An earlier injection is still excreted; kidneys differ; a kidney darker than the aorta.
        *(((190, 190), (70, 80), True, 300, None), ((190, 180), (70, 165), False, 150, None)),
        *(((130, 130), (125, 125), False, 160, None), ((180, 180), (130, 130), False, 150, None)),
    ],
)
def test_limits_of_the_kidneys_leave_gaps(
    cortex: tuple[float, ...],
    medulla: tuple[float, ...],
    excreting: bool,
    aorta: float | None,
    expected: set[Phase] | None,
) -> None:
    assert kidneys.possible_phases(Kidneys(cortex, medulla, excreting), aorta) == expected


def test_only_both_organs_decide_and_only_on_one_phase() -> None:
    vein = Enhancement(100.0, 132.0, portal_hu=150.0)
    assert vein.decided_together is None
    late = replace(vein, portal_hu=130.0, kidneys=Kidneys((170.0,), (165.0,), False))
    assert late.decided_together is None
    early = replace(vein, portal_hu=130.0, kidneys=Kidneys((200.0,), (90.0,), False))
    assert early.decided_together == "portal_venous"
    assert seen_phase(early) is None
