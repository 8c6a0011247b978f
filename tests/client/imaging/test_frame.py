from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from client.imaging.blocks import averaged, whole_blocks
from client.imaging.errors import ImagingError
from client.imaging.frame import Frame, extract_roi, tumour_lattice
from client.imaging.grid import Volume
from client.imaging.lattice import Lattice
from client.imaging.tumours import Tumours
from shared.preprocessing import PreprocessingSettings
from shared.tasks import PHASES
from tests.client.patients import (
    LIVER_HU,
    SMALL,
    SPACING_MM,
    TUMOUR_CENTRE_MM,
    TUMOUR_HU,
    TUMOUR_RADIUS_MM,
    as_image,
    label_array,
    phase_array,
)

FINE = PreprocessingSettings(shape=(24, 24, 24), spacing_mm=2.0, margin_mm=5.0)
MASK = as_image(label_array())
IMAGES = {phase: as_image(phase_array(phase)) for phase in PHASES}


def lattice_of(mask: sitk.Image, settings: PreprocessingSettings) -> Lattice:
    volume = Volume.of(mask)
    tumours = Tumours.find(volume.voxels, Path("mask"))
    return tumour_lattice(volume.grid, tumours, settings)


def test_the_region_is_centred_on_the_tumour() -> None:
    lattice = lattice_of(MASK, SMALL)
    np.testing.assert_allclose(lattice.centre_mm, TUMOUR_CENTRE_MM, atol=max(SPACING_MM) / 2)
    assert lattice.spacing_mm == SMALL.spacing_mm


def test_intensities_are_relative_to_the_patients_liver() -> None:
    """(tumour HU - liver HU) / scale, by hand from the phantom's attenuation."""
    roi = extract_roi(IMAGES, MASK, SMALL)
    for index, phase in enumerate(PHASES):
        tumour = roi.phases[index][roi.mask == 2].astype(float)
        liver = roi.phases[index][roi.mask == 1].astype(float)
        expected = (TUMOUR_HU[phase] - LIVER_HU[phase]) / SMALL.scale_hu
        assert np.median(tumour) == pytest.approx(expected, abs=0.1)
        assert np.median(liver) == pytest.approx(0, abs=0.05)


def test_the_window_is_mapped_to_unit_range() -> None:
    settings = PreprocessingSettings(
        shape=(16, 16, 16), spacing_mm=5.0, window_hu=(-100, 300), normalisation="window"
    )
    roi = extract_roi(IMAGES, MASK, settings)
    expected = 2 * (TUMOUR_HU["arterial"] + 100) / 400 - 1
    assert np.median(roi.phases[0][roi.mask == 2]) == pytest.approx(expected, abs=0.02)


def test_volume_is_kept() -> None:
    roi = extract_roi(IMAGES, MASK, FINE)
    volume = float((roi.mask == 2).sum()) * roi.spacing_mm**3
    assert volume == pytest.approx(4 / 3 * np.pi * TUMOUR_RADIUS_MM**3, rel=0.1)


@pytest.mark.parametrize("axes", [(True, False, False), (False, True, True), (True, True, True)])
def test_a_flipped_grid_is_the_same_patient(axes: tuple[bool, bool, bool]) -> None:
    """The same voxels stored the other way round lie at the same places in the world."""
    flip = sitk.FlipImageFilter()
    flip.SetFlipAxes(axes)
    flipped = {phase: flip.Execute(image) for phase, image in IMAGES.items()}
    first, second = extract_roi(IMAGES, MASK, SMALL), extract_roi(flipped, MASK, SMALL)
    third = extract_roi(IMAGES, flip.Execute(MASK), SMALL)
    np.testing.assert_array_equal(first.mask, third.mask)
    np.testing.assert_allclose(first.phases.astype(float), third.phases.astype(float), atol=1e-2)
    # Blocks of averaged voxels begin at the other end: equal up to the phantom's noise of 3 HU.
    difference = np.abs(first.phases.astype(float) - second.phases.astype(float))
    assert np.median(difference) < 3 / SMALL.scale_hu


def test_a_mask_on_its_own_grid_is_brought_over() -> None:
    coarse = sitk.Resample(
        MASK,
        (24, 22, 26),
        sitk.Transform(),
        sitk.sitkNearestNeighbor,
        MASK.GetOrigin(),
        (3.3, 3.3, 3.1),
        MASK.GetDirection(),
        0,
        sitk.sitkUInt8,
    )
    first, second = extract_roi(IMAGES, MASK, FINE), extract_roi(IMAGES, coarse, FINE)
    assert (second.mask == 2).sum() == pytest.approx((first.mask == 2).sum(), rel=0.1)
    for index in range(3):
        inside = [float(np.median(roi.phases[index][roi.mask == 2])) for roi in (first, second)]
        assert inside[1] == pytest.approx(inside[0], abs=0.1)


def test_a_tumour_too_large_coarsens_the_grid_and_says_so() -> None:
    settings = PreprocessingSettings(shape=(8, 8, 8), spacing_mm=3.0, margin_mm=5.0)
    roi = extract_roi(IMAGES, MASK, settings)
    assert roi.spacing_mm > 3.0
    # The bounding box, 22 mm across give or take a slice, and 5 mm on either side must fit.
    assert 8 * roi.spacing_mm == pytest.approx(32, abs=4)
    assert (roi.mask == 2).sum() * roi.spacing_mm**3 == pytest.approx(
        4 / 3 * np.pi * TUMOUR_RADIUS_MM**3, rel=0.3
    )


def test_the_largest_of_several_tumours_is_the_centre() -> None:
    labels = label_array()
    labels[2:4, 6:8, 2:4] = 2
    lattice = lattice_of(as_image(labels), SMALL)
    np.testing.assert_allclose(lattice.centre_mm, TUMOUR_CENTRE_MM, atol=2)


def test_an_absent_phase_is_zero() -> None:
    roi = extract_roi({"delayed": IMAGES["delayed"]}, MASK, SMALL)
    assert roi.present.tolist() == [0, 0, 1]
    assert not roi.phases[:2].any()


def test_a_mask_without_tumour_is_refused() -> None:
    with pytest.raises(ImagingError, match="no voxel is tumour"):
        extract_roi(IMAGES, MASK == 1, SMALL)


def test_a_mask_elsewhere_in_space_is_refused() -> None:
    moved = sitk.Image(MASK)
    moved.SetOrigin((500.0, 0.0, 0.0))
    with pytest.raises(ImagingError, match="outside this scan"):
        extract_roi(IMAGES, moved, SMALL)


@pytest.mark.parametrize(
    ("hu", "reason"),
    [
        (-90, r"tumour measures -[78]\d HU"),
        (-900, r"tumour measures -[89]\d HU"),
        (300, "liver measures 300"),
    ],
)
def test_a_mask_on_fat_air_or_bone_is_refused(hu: int, reason: str) -> None:
    """Within the scan, but not on soft tissue; blended with its rim, and clipped by the window."""
    values = phase_array("delayed")
    values[label_array() == (2 if hu < 0 else 1)] = hu
    with pytest.raises(ImagingError, match=reason):
        extract_roi({"delayed": as_image(values)}, MASK, SMALL)


def test_iodised_oil_in_a_tumour_is_no_reason() -> None:
    values = phase_array("delayed")
    values[label_array() == 2] = 900
    assert extract_roi({"delayed": as_image(values)}, MASK, SMALL).present.tolist() == [0, 0, 1]


def test_a_mask_of_another_frame_of_reference_is_refused() -> None:
    mask, scan = Volume.of(MASK), Volume.of(IMAGES["delayed"])
    frame = Frame.around_tumour(
        replace(mask, grid=replace(mask.grid, space="1.2")), SMALL, Path("m")
    )
    frame.bring_in(scan, Path("delayed"))
    frame.bring_in(replace(scan, grid=replace(scan.grid, space="1.2")), Path("delayed"))
    with pytest.raises(ImagingError, match="another frame of reference"):
        frame.bring_in(replace(scan, grid=replace(scan.grid, space="1.3")), Path("delayed"))


def test_a_tilted_scan_gives_the_region_of_an_upright_one() -> None:
    """The same smooth patient on an upright grid and on one of a gantry tilted by 20 degrees."""
    regions = []
    for shear_mm in (0.0, 4.0 * np.tan(np.radians(20))):
        grid = replace(Volume.of(IMAGES["delayed"]).grid, shear_mm=(0.0, shear_mm))
        points = grid.points_mm(np.argwhere(np.ones(grid.size[::-1], bool))[:, ::-1].astype(float))
        waves = 60 + 30 * np.sin(points / [9.0, 11.0, 13.0]).sum(axis=1)
        scan = Volume(waves.reshape(grid.size[::-1]).astype(np.float32), grid)
        frame = Frame.around_tumour(Volume.of(MASK), SMALL, Path("mask"))
        regions.append(frame.bring_in(scan, Path("delayed")).hu.astype(float))
    inside = frame.labels == 2
    assert np.abs(regions[0] - regions[1])[inside].max() < 4
    assert np.ptp(regions[0][inside]) > 50


def test_a_stray_mark_is_no_tumour() -> None:
    labels = label_array()
    labels[labels == 2] = 1
    labels[10, 18, 20] = 2
    with pytest.raises(ImagingError, match="smaller than a voxel"):
        extract_roi(IMAGES, as_image(labels), SMALL)


def test_beyond_the_scan_is_the_windows_floor() -> None:
    """A tumour at the scan's lowest slice: half of the region lies below it."""
    labels = np.ones_like(label_array())
    labels[0:3, 14:22, 18:24] = 2
    settings = PreprocessingSettings(shape=(16, 16, 16), spacing_mm=4.0, normalisation="window")
    roi = extract_roi(IMAGES, as_image(labels), settings)
    lattice = lattice_of(as_image(labels), settings)
    heights = np.arange(16) * lattice.spacing_mm + lattice.origin_mm[2]
    below = heights < as_image(labels).GetOrigin()[2] - SPACING_MM[2] / 2
    assert 4 < below.sum() < 12
    assert (roi.phases[:, below] == -1).all()
    assert not roi.mask[below].any()


def test_noise_is_averaged_not_picked() -> None:
    """Fine voxels of independent noise shrink by the root of the number averaged."""
    generator = np.random.default_rng(0)
    fine = sitk.GetImageFromArray(generator.normal(50, 20, (80, 80, 80)).astype(np.float32))
    labels = np.ones((80, 80, 80), np.uint8)
    labels[35:45, 35:45, 35:45] = 2
    settings = PreprocessingSettings(shape=(16, 16, 16), spacing_mm=4.0, margin_mm=10.0)
    roi = extract_roi({"arterial": fine}, sitk.GetImageFromArray(labels), settings)
    deviation = float(roi.phases[0].astype(float).std()) * settings.scale_hu
    # Blocks of 4 x 4 x 4 voxels: 20 / 8 = 2.5 HU, less where neighbouring blocks are blended.
    assert deviation < 2.6


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32])
@pytest.mark.parametrize("window_hu", [(-100.0, 300.0), (-100.5, 299.25)])
def test_averaging_clips_and_joins_as_itk_does(
    dtype: type[np.generic], window_hu: tuple[float, float]
) -> None:
    voxels = np.random.default_rng(0).normal(60, 300, (9, 22, 21)).astype(dtype)
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((0.7, 0.7, 2.5))
    scan, box = Volume.of(image), (slice(1, 9), slice(3, 22), slice(0, 20))
    clipped = sitk.Clamp(image[0:20, 3:22, 1:9], sitk.sitkFloat32, *window_hu)
    expected = sitk.BinShrink(clipped, (4, 4, 1))
    joined = averaged(scan, box, window_hu, (4, 4, 1))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(joined), sitk.GetArrayFromImage(expected))
    np.testing.assert_allclose(joined.GetOrigin(), expected.GetOrigin())
    np.testing.assert_array_equal(scan.voxels, voxels)


def test_a_spacing_rounded_by_its_format_counts_as_what_it_means() -> None:
    """NIfTI keeps 0.6 mm as 0.60000002: five of these are 3 mm, as five of 0.6 are."""
    rounded = float(np.float32(0.6))
    assert rounded > 0.6
    assert whole_blocks((3.0, 3.0, 3.0), (0.6, rounded, 5.0)) == [5, 5, 1]
    assert whole_blocks((3.0, 3.0, 3.0), (0.7, 1.6, 2.9)) == [4, 1, 1]
