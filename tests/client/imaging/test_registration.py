"""A phase that moved is moved back; one that cannot be told stays where it is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from client.imaging.registration import REACH_MM, find_motion
from client.region import build_region
from shared.preprocessing import PreprocessingSettings
from shared.tasks import Phase

SETTINGS = PreprocessingSettings(shape=(28, 28, 28), spacing_mm=4.0, margin_mm=10.0)
RIGID = replace(SETTINGS, registration="rigid")
SIZE = (60, 60, 60)
SPACING_MM = 4.0
# Attenuation of fat, liver, vessels and tumour: contrast between them turns from phase to phase.
TISSUES_HU: dict[Phase, tuple[float, ...]] = {
    "arterial": (-80, 65, 75, 110),
    "portal_venous": (-80, 110, 160, 90),
    "delayed": (-80, 95, 110, 70),
}
MIDDLE_MM = np.array([120.0, 118.0, 116.0])


def at(points_mm: NDArray[np.float64], phase: Phase) -> NDArray[np.float64]:
    """Return a phantom's HU at places, shape (n, 3): a liver with vessels and a tumour."""
    fat, liver, vessel, tumour = TISSUES_HU[phase]
    away = points_mm - MIDDLE_MM
    hu = np.full(len(points_mm), fat, np.float64)
    hu[np.linalg.norm(away / [62, 48, 40], axis=1) < 1] = liver
    for x, y, z in ((-20, 8, 0), (15, -20, 6), (-35, -10, -12), (28, 14, -16)):
        tube = np.linalg.norm((away - [x, y, z]) / [7, 7, 18 + x / 4], axis=1) < 1
        hu[tube] = vessel
    hu[np.linalg.norm(away - [5, 10, 5], axis=1) < 14] = tumour
    return hu


def places_mm() -> NDArray[np.float64]:
    z, y, x = np.indices(SIZE).reshape(3, -1)
    return np.asarray(np.stack([x, y, z], axis=1) * SPACING_MM, dtype=np.float64)


def turned(points_mm: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    return np.asarray((points_mm - MIDDLE_MM) @ matrix.T + MIDDLE_MM)


def scan(
    phase: Phase,
    shift_mm: tuple[float, float, float] = (0, 0, 0),
    degrees: float = 0,
    seed: int = 0,
) -> sitk.Image:
    """Return the phantom after a turn about its middle and then a shift, with noise."""
    where = turned(places_mm() - np.array(shift_mm), -degrees)
    noise = np.random.default_rng(seed).normal(0, 8, len(where))
    return as_image((at(where, phase) + noise).reshape(SIZE).astype(np.float32))


def as_image(values: NDArray[np.generic]) -> sitk.Image:
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((SPACING_MM,) * 3)
    return image


def liver() -> NDArray[np.bool_]:
    return np.asarray((at(places_mm(), "portal_venous") > 0).reshape(SIZE))


@pytest.mark.parametrize(
    ("shift_mm", "degrees"),
    [((0.0, 0.0, 9.0), 0.0), ((3.0, -5.0, -14.0), 0.0), ((-2.0, 4.0, 6.0), 5.0)],
)
@pytest.mark.parametrize("phase", ["arterial", "delayed"])
def test_a_motion_is_found_across_contrast(
    phase: Phase, shift_mm: tuple[float, float, float], degrees: float
) -> None:
    """To a quarter of a voxel at the liver's middle, and to a voxel at its far end."""
    motion = find_motion(scan("portal_venous"), scan(phase, shift_mm, degrees, seed=1), liver())
    assert motion.kept
    assert motion.after > motion.before + 0.02
    for point, tolerance_mm in ((MIDDLE_MM, 1.0), (MIDDLE_MM + np.array([60, 0, 0]), 4.0)):
        expected = turned(point[None], degrees)[0] + shift_mm
        assert np.linalg.norm(motion.way(point[None])[0] - expected) < tolerance_mm
    assert motion.shift_mm == pytest.approx(np.linalg.norm(shift_mm), abs=1.0)
    assert motion.turn_deg == pytest.approx(degrees, abs=1.0)


def test_what_did_not_move_stays() -> None:
    motion = find_motion(scan("portal_venous"), scan("arterial", seed=1), liver())
    assert not motion.kept
    assert motion.way.is_identity
    assert motion.shift_mm < 1.0


def test_noise_is_nothing_to_move_onto() -> None:
    noise = np.random.default_rng(0).normal(60, 30, SIZE).astype(np.float32)
    assert not find_motion(scan("portal_venous"), as_image(noise), liver()).kept


def test_a_motion_beyond_breathing_is_not_believed() -> None:
    far = scan("delayed", (0.0, 0.0, REACH_MM + 6.0), seed=1)
    assert not find_motion(scan("portal_venous"), far, liver()).kept


def test_the_same_motion_on_any_number_of_cores() -> None:
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    ways = []
    for threads in (1, 3):
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
        ways.append(find_motion(scan("portal_venous"), scan("delayed", (2, 1, 8)), liver()).way)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)
    np.testing.assert_array_equal(ways[0].matrix, ways[1].matrix)
    np.testing.assert_array_equal(ways[0].offset_mm, ways[1].offset_mm)


def write(folder: Path, shifted: Phase, mask_origin_mm: tuple[float, float, float]) -> Path:
    """Write a patient of two phases, one of them shifted by 12 mm along the body."""
    folder.mkdir()
    phases: tuple[Phase, ...] = ("arterial", "portal_venous")
    for phase in phases:
        image = scan(phase, (0.0, 0.0, 12.0) if phase == shifted else (0.0, 0.0, 0.0), seed=2)
        image = sitk.Cast(sitk.Round(image), sitk.sitkInt16)
        if phase == "arterial":
            image = image[:, :, 1:]  # so that the phases' grids differ
        sitk.WriteImage(image, str(folder / f"{phase}.nii.gz"))
    hu = at(places_mm() - np.array(mask_origin_mm), "portal_venous").reshape(SIZE)
    labels = np.where(hu == TISSUES_HU["portal_venous"][3], 2, hu > 0).astype(np.uint8)
    mask = as_image(labels)
    sitk.WriteImage(mask[:, :, 1:] if mask_origin_mm[2] else mask, str(folder / "mask.nii.gz"))
    return folder


def test_a_phase_is_moved_onto_the_one_that_the_mask_was_drawn_on(tmp_path: Path) -> None:
    folder = write(tmp_path / "p", "arterial", (0.0, 0.0, 0.0))
    still, moved = build_region(folder, SETTINGS), build_region(folder, RIGID)
    assert not still.motions["arterial"].kept
    assert moved.motions["arterial"].kept
    assert not moved.motions["portal_venous"].kept
    tumour = moved.roi.mask == 2
    expected = (TISSUES_HU["arterial"][3] - TISSUES_HU["arterial"][1]) / SETTINGS.scale_hu
    np.testing.assert_array_equal(still.roi.phases[1], moved.roi.phases[1])
    assert np.median(moved.roi.phases[0][tumour]) == pytest.approx(expected, abs=0.15)
    off = np.abs(still.roi.phases[0][tumour] - expected).mean()
    assert np.abs(moved.roi.phases[0][tumour] - expected).mean() < 0.6 * off


def test_a_mask_on_the_arterial_grid_was_drawn_on_the_arterial_phase(tmp_path: Path) -> None:
    """The arterial phase and its mask are 12 mm off: the portal venous phase has to move."""
    folder = write(tmp_path / "p", "arterial", (0.0, 0.0, 12.0))
    moved = build_region(folder, RIGID).motions
    assert not moved["arterial"].kept
    assert moved["portal_venous"].kept
    assert moved["portal_venous"].shift_mm == pytest.approx(12, abs=1)
