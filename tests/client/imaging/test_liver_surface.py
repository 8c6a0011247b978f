"""Livers whose surface is known."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from client.imaging.grid import Grid, Volume
from client.imaging.liver_surface import nodularity_mm

REAL = Path(__file__).resolve().parents[4] / "shared/data/ct/totalsegmentator"
REAL_LIVER = 5
EDGE_MM, RADIUS_MM = 150.0, 55.0
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
Labels = NDArray[np.uint8]


def liver(
    waves_mm: float = 0.0,
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 3.0),
    *,
    length_mm: float = 8.0,
) -> Volume:
    """Return a round column with waves of an amplitude and a length along its surface."""
    x, y = (np.arange(0, EDGE_MM, edge) + edge / 2 - EDGE_MM / 2 for edge in spacing_mm[:2])
    radius = np.hypot(x[None, :], y[:, None])
    # As many waves as fit around, so that none is cut.
    number = round(2 * np.pi * RADIUS_MM / length_mm)
    margin = RADIUS_MM + waves_mm * np.sin(number * np.arctan2(y[:, None], x[None, :]))
    sections = int(60 / spacing_mm[2])
    labels = np.repeat((radius < margin)[None].astype(np.uint8), sections, axis=0)
    return Volume(labels, Grid(labels.shape[::-1], spacing_mm, (0.0, 0.0, 0.0), AXIAL))


def with_labels(volume: Volume, labels: Labels) -> Volume:
    return Volume(labels, volume.grid)


@pytest.mark.parametrize("waves_mm", [1.0, 2.0])
def test_waves_are_told_by_how_far_they_reach(waves_mm: float) -> None:
    """Of |A sin(2 pi u / L)| along the margin, whose steep parts are longer, the median; A << s.

    A Gaussian of deviation s leaves exp(-(2 pi s / L)^2 / 2) of the waves: 11% of 12 mm.
    """
    along = np.linspace(0, np.pi / 2, 10_001)
    length = np.cumsum(np.hypot(1, 2 * np.pi * waves_mm / 12 * np.cos(along)))
    median = np.interp(length[-1] / 2, length, waves_mm * np.sin(along))
    passed_over = 1 - np.exp(-((2 * np.pi * 4 / 12) ** 2) / 2)
    found = nodularity_mm(liver(waves_mm, (0.8, 0.8, 3.0), length_mm=12.0))
    assert found == pytest.approx(median * passed_over, rel=0.1)


def test_a_smooth_surface_strays_by_its_pixels_alone() -> None:
    assert nodularity_mm(liver()) < 0.35
    assert nodularity_mm(liver(1.5)) > 2 * nodularity_mm(liver())


def test_what_is_wide_is_shape_and_no_nodule() -> None:
    assert nodularity_mm(liver(1.5, length_mm=60.0)) < nodularity_mm(liver(1.5)) / 2


@pytest.mark.parametrize("spacing_mm", [(0.7, 0.7, 1.0), (0.8, 0.8, 5.0), (1.4, 1.4, 3.0)])
def test_pixels_and_sections_change_little(spacing_mm: tuple[float, float, float]) -> None:
    assert nodularity_mm(liver(2.0, spacing_mm)) == pytest.approx(
        nodularity_mm(liver(2.0)), rel=0.1
    )


@pytest.mark.parametrize("axis", [0, 1])
def test_sections_are_axial_however_the_mask_is_stored(axis: int) -> None:
    upright = liver(2.0)
    order = [0, 1, 2]
    order[axis], order[2] = 2, axis
    direction = np.eye(3)[:, order].ravel()
    spacing_mm = np.array(upright.grid.spacing_mm)[order].tolist()
    labels = np.ascontiguousarray(upright.voxels.transpose([2 - order[2 - i] for i in range(3)]))
    turned = Grid(labels.shape[::-1], tuple(spacing_mm), (0.0, 0.0, 0.0), tuple(direction))
    # The filter sums along its axes in another order.
    assert nodularity_mm(Volume(labels, turned)) == pytest.approx(nodularity_mm(upright), rel=1e-5)


def test_holes_a_bulging_tumour_and_the_end_of_the_scan_are_no_surface() -> None:
    smooth = liver()
    expected = nodularity_mm(smooth)
    labels = smooth.voxels.copy()
    labels[:, 60:90:6, 60:90:6] = 0
    assert nodularity_mm(with_labels(smooth, labels)) == expected
    labels[5:12, 60:90, 15:30] = 2
    assert nodularity_mm(with_labels(smooth, labels)) == pytest.approx(expected, abs=0.02)
    part = smooth.voxels[:, :, 60:]
    assert nodularity_mm(
        Volume(part, Grid(part.shape[::-1], smooth.grid.spacing_mm, (0, 0, 0), AXIAL))
    ) == pytest.approx(expected, abs=0.03)


def test_a_mask_of_the_tumour_alone_tells_nothing() -> None:
    smooth = liver()
    assert np.isnan(nodularity_mm(with_labels(smooth, smooth.voxels * np.uint8(2))))


@pytest.mark.skipif(not REAL.is_dir(), reason="the real outlines are not beside the project")
def test_a_real_liver_is_as_nodular_by_two_outlines() -> None:
    """Of one scan, outlined on voxels of 3 mm, whose steps are a part of what is found."""
    found = []
    for name in ("example_seg.nii.gz", "example_seg_fast_force_split.nii.gz"):
        image = sitk.ReadImage(str(REAL / name))
        found.append(nodularity_mm(Volume.of(sitk.Cast(image == REAL_LIVER, sitk.sitkUInt8))))
    assert found[0] == pytest.approx(found[1], rel=0.1)
    assert 0.2 < found[0] < 0.6
