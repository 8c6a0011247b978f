"""Each sign of the drawn patient can be read from the volumes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, label

from shared.tasks import Phase
from simulation.cohort.patient import Patient, draw_patient
from simulation.cohort.render import Scan, render
from simulation.cohort.settings import SyntheticCohortSettings
from simulation.cohort.signs import LesionSigns

PLAIN = LesionSigns(
    diameter_mm=44.0,
    irregularity=0.1,
    rim=0.0,
    hyperenhancement_hu=25.0,
    washout_hu=15.0,
    capsule=0.0,
    necrosis=0.0,
    satellites=0,
    lesions=1,
    corona=0.0,
)


@pytest.fixture(scope="module")
def patient(default_settings: SyntheticCohortSettings) -> Patient:
    return draw_patient(default_settings, "site_1", 4)


@pytest.fixture(scope="module")
def settings(default_settings: SyntheticCohortSettings) -> SyntheticCohortSettings:
    site = default_settings.sites["site_1"]
    whole = replace(site, contrast=replace(site.contrast, missing=None))
    return replace(default_settings, sites={"site_1": whole}, patients={"site_1": 1})


@pytest.fixture(scope="module")
def plain(settings: SyntheticCohortSettings, patient: Patient) -> Scan:
    return render(settings, replace(patient, signs=PLAIN))


def with_sign(settings: SyntheticCohortSettings, patient: Patient, **sign: Any) -> Scan:
    return render(settings, replace(patient, signs=replace(PLAIN, **sign)))


def depth_mm(scan: Scan) -> NDArray[np.float64]:
    """Return depth in the tumour, negative outside; -inf far from it."""
    tumour, spacing = scan.mask == 2, np.array(scan.spacing_mm[::-1])
    corners = np.argwhere(tumour)
    margin = np.ceil(45 / spacing).astype(int)
    low = np.maximum(corners.min(axis=0) - margin, 0)
    near = tuple(map(slice, low, corners.max(axis=0) + margin))
    inside = distance_transform_edt(tumour[near], sampling=spacing)
    outside = distance_transform_edt(~tumour[near], sampling=spacing)
    depth = np.full(tumour.shape, -np.inf)
    depth[near] = inside - outside
    return depth


def mean_hu(scan: Scan, phase: Phase, low_mm: float, high_mm: float) -> float:
    """Return the mean at a range of depths, in tumour or liver."""
    depth = depth_mm(scan)
    where = (depth > low_mm) & (depth <= high_mm) & (scan.mask > 0)
    return float(scan.phases[phase][where].mean())


def test_the_mask_has_the_drawn_diameter(plain: Scan) -> None:
    volume_mm3 = (plain.mask == 2).sum() * np.prod(plain.spacing_mm)
    assert (6 * volume_mm3 / np.pi) ** (1 / 3) == pytest.approx(44.0, rel=0.08)


def test_contrast_follows_the_phases(plain: Scan) -> None:
    against_liver = {
        phase: mean_hu(plain, phase, 4, 99) - mean_hu(plain, phase, -40, -10)
        for phase in plain.phases
    }
    assert against_liver["arterial"] == pytest.approx(25, abs=8)
    assert -14 < against_liver["portal_venous"] < 0
    assert against_liver["delayed"] == pytest.approx(-13, abs=6)


@pytest.mark.parametrize(
    ("sign", "value", "phase", "depths_mm", "difference_hu"),
    [
        ("rim", 1.0, "arterial", (0, 4), (20, 60)),
        ("capsule", 1.0, "delayed", (0, 3), (15, 60)),
        ("corona", 1.0, "arterial", (-6, -1), (10, 40)),
        ("washout_hu", 40.0, "delayed", (4, 99), (-32, -18)),
        ("hyperenhancement_hu", 50.0, "arterial", (4, 99), (18, 32)),
        ("necrosis", 0.5, "portal_venous", (2, 99), (-70, -25)),
    ],
)
def test_a_sign_shows_where_and_when_it_should(
    settings: SyntheticCohortSettings,
    patient: Patient,
    plain: Scan,
    sign: str,
    value: float,
    phase: Phase,
    depths_mm: tuple[float, float],
    difference_hu: tuple[float, float],
) -> None:
    signed = with_sign(settings, patient, **{sign: value})
    np.testing.assert_array_equal(signed.mask, plain.mask)
    difference = mean_hu(signed, phase, *depths_mm) - mean_hu(plain, phase, *depths_mm)
    assert difference_hu[0] < difference < difference_hu[1]


def test_an_irregular_margin_has_more_surface(
    settings: SyntheticCohortSettings, patient: Patient, plain: Scan
) -> None:
    def rim_share(scan: Scan) -> float:
        depth = depth_mm(scan)
        return float(((depth > 0) & (depth < 4)).sum() / (depth > 0).sum())

    assert rim_share(with_sign(settings, patient, irregularity=1.0)) > 1.15 * rim_share(plain)


def test_satellites_and_further_tumours_are_pieces_of_the_mask(
    settings: SyntheticCohortSettings, patient: Patient
) -> None:
    scan = with_sign(settings, patient, satellites=2, lesions=2)
    pieces, count = label(scan.mask == 2, np.ones((3, 3, 3)))
    assert count == 4
    main = int(np.bincount(pieces.ravel())[1:].argmax()) + 1
    away_mm = distance_transform_edt(pieces != main, sampling=scan.spacing_mm[::-1])
    gaps = sorted(float(away_mm[pieces == n].min()) for n in range(1, 5) if n != main)
    assert gaps[0] < 15
    assert gaps[1] < 15 < gaps[2]


def test_a_patient_keeps_a_phase_where_all_may_be_missing(
    settings: SyntheticCohortSettings, patient: Patient
) -> None:
    site = settings.sites["site_1"]
    missing: dict[Phase, float] = {"arterial": 1.0, "portal_venous": 1.0, "delayed": 1.0}
    none = replace(site, contrast=replace(site.contrast, missing=missing))
    scan = render(replace(settings, sites={"site_1": none}, coarsening=2.0), patient)
    assert set(scan.phases) == {"portal_venous"}
