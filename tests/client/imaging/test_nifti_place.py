"""NIfTI lies where nibabel, an independent reader, puts it; or says that it cannot be told."""

import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from client.imaging.errors import ImagingError
from client.imaging.read import open_scan

VOXELS: NDArray[np.int16] = np.random.default_rng(0).integers(0, 99, (5, 6, 7)).astype(np.int16)
OBLIQUE = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
UPRIGHT = np.diag([0.8, 1.1, 2.5, 1.0])


def write(
    path: Path, sform: NDArray[np.float64], qform: NDArray[np.float64], codes: tuple[int, int]
) -> None:
    image = nib.nifti1.Nifti1Image(VOXELS, None)
    image.set_sform(sform, codes[0])
    image.set_qform(qform, codes[1])
    nib.loadsave.save(image, path)


@pytest.mark.parametrize("turn", [np.eye(3), OBLIQUE])
@pytest.mark.parametrize("codes", [(1, 1), (0, 1), (2, 0)])
def test_any_orientation_lies_where_nibabel_puts_it(
    tmp_path: Path, turn: NDArray[np.float64], codes: tuple[int, int]
) -> None:
    path = tmp_path / "mask.nii.gz"
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            affine = np.eye(4)
            affine[:3, :3] = turn @ (np.eye(3)[:, order] * signs) * [0.8, 1.1, 2.5]
            affine[:3, 3] = [10, -20, 30]
            write(path, affine, affine, codes)
            scan = open_scan(path)
            indices = np.argwhere(np.ones(VOXELS.shape, bool)).astype(float)
            theirs = nib.affines.apply_affine(nib.loadsave.load(path).affine, indices)
            ours = scan.grid.indices(theirs * [-1, -1, 1])
            np.testing.assert_allclose(ours, ours.round(), atol=1e-3)
            found = scan.read(scan.grid.whole)[tuple(ours.round().astype(int)[:, ::-1].T)]
            np.testing.assert_array_equal(found, VOXELS.ravel())


def test_a_file_that_programs_read_in_two_ways_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mask.nii.gz"
    flipped, moved, skewed = UPRIGHT.copy(), UPRIGHT.copy(), UPRIGHT.copy()
    flipped[1, 1] *= -1
    moved[2, 3] = 5
    skewed[1, 2] = 0.9
    cases = [
        (flipped, UPRIGHT, (1, 1), "disagree"),
        (moved, UPRIGHT, (1, 2), "disagree"),
        (skewed, UPRIGHT, (1, 1), "not perpendicular"),
        (skewed, UPRIGHT, (1, 0), "not perpendicular"),
        (UPRIGHT, UPRIGHT, (0, 0), "which way its voxels lie"),
    ]
    for sform, qform, codes, reason in cases:
        write(path, sform, qform, codes)
        with pytest.raises(ImagingError, match=reason):
            open_scan(path)
    write(path, flipped, UPRIGHT, (0, 1))  # a record that is said not to count does not
    open_scan(path)
