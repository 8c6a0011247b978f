"""Phases brought onto one another: a rigid motion, found where the liver is.

A patient breathes between the phases, and the liver moves by up to some centimetres, mostly along
the body. A mask is drawn on one phase; in the others it lies beside its tumour by as much. The
motion is found by mutual information (Mattes et al., IEEE Trans Med Imaging 2003;22:120), which
contrast medium does not mislead, within the liver and 9 mm around it, on the region's own grid.
The motion is part of the one interpolation that brings a phase onto the region's grid.

It is kept only if it is better than doing nothing by a measure that it was not searched with: the
correlation of edges in the liver must rise by 0.02. It may shift by 25 mm and turn by 10 degrees
at most. Otherwise the phase stays where its header says.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from client.imaging.affine import IDENTITY, Affine

FloatArray = NDArray[np.float64]

REACH_MM = 25.0
_MOST_TURN_DEG = 10.0
_LEAST_GAIN = 0.02
_AROUND_MM = 9.0
_FEWEST_VOXELS = 500
_BINS = 32
_ITERATIONS = 100
# A turn is steered by how far it moves the liver, not the corners of the image.
_LEVER_MM = 30.0


@dataclass(frozen=True, eq=False)
class Motion:
    """How a phase lies against the reference phase.

    Attributes
    ----------
    way : Affine
        From the reference's place to the same tissue's place in the phase; the identity where
        nothing better was found.
    shift_mm, turn_deg : float
        Of the middle of the liver, and around it: as found, also where it was not kept.
    before, after : float
        Correlation of edges in the liver as the headers say, and after the motion found.
    """

    way: Affine
    shift_mm: float
    turn_deg: float
    before: float
    after: float

    @property
    def kept(self) -> bool:
        """Whether the motion is used."""
        return not self.way.is_identity


STILL = Motion(IDENTITY, 0.0, 0.0, 1.0, 1.0)


def find_motion(reference: sitk.Image, moving: sitk.Image, liver: NDArray[np.bool_]) -> Motion:
    """Find how a phase moved against the reference.

    Parameters
    ----------
    reference : Image
        HU on the region's grid, shape (D, H, W).
    moving : Image
        HU of the other phase on any upright grid that reaches `REACH_MM` beyond.
    liver : ndarray, shape (D, H, W)
        Where the mask says liver or tumour.

    Returns
    -------
    Motion
        The same for the same images on every machine's number of cores.
    """
    around = ndimage.binary_dilation(
        liver, iterations=round(_AROUND_MM / reference.GetSpacing()[0])
    )
    if liver.sum() < _FEWEST_VOXELS:
        return STILL
    mask = sitk.GetImageFromArray(around.astype(np.uint8))
    mask.CopyInformation(reference)
    try:
        found = _search(reference, moving, mask, _middle(reference, liver))
    except RuntimeError:  # too few voxels of the two meet
        return STILL
    way = Affine(
        np.array(found.GetMatrix()).reshape(3, 3),
        np.array(found.TransformPoint((0.0, 0.0, 0.0))),
    )
    middle = np.array(found.GetCenter())
    shift_mm = float(np.linalg.norm(way(middle[None])[0] - middle))
    turn_deg = float(np.degrees(np.arccos(np.clip((np.trace(way.matrix) - 1) / 2, -1, 1))))
    before, after = (_edges_agree(reference, moving, x, around) for x in (IDENTITY, way))
    bounded = shift_mm <= REACH_MM and turn_deg <= _MOST_TURN_DEG
    better = bounded and after >= before + _LEAST_GAIN
    return Motion(way if better else IDENTITY, shift_mm, turn_deg, before, after)


def _middle(reference: sitk.Image, liver: NDArray[np.bool_]) -> FloatArray:
    index = np.argwhere(liver).mean(axis=0)[::-1]
    return np.array(reference.TransformContinuousIndexToPhysicalPoint(index.tolist()))


def _search(
    reference: sitk.Image, moving: sitk.Image, mask: sitk.Image, middle: FloatArray
) -> sitk.Euler3DTransform:
    start = sitk.Euler3DTransform()
    start.SetCenter(middle.tolist())
    method = sitk.ImageRegistrationMethod()
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricFixedMask(mask)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=4.0,
        minStep=0.02,
        numberOfIterations=_ITERATIONS,
        relaxationFactor=0.6,
        gradientMagnitudeTolerance=1e-8,
    )
    method.SetOptimizerScales([_LEVER_MM**2] * 3 + [1.0] * 3)
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([4.0, 2.0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(start, inPlace=True)
    with _one_thread():
        method.Execute(reference, moving)
    return start


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let one thread add up the metric: the order of sums, and so the result, is always the same.

    The method's own setting is not heard by its metric, only the global one.
    """
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def _edges_agree(
    reference: sitk.Image, moving: sitk.Image, way: Affine, where: NDArray[np.bool_]
) -> float:
    """Return the correlation of the two gradients' magnitudes where a mask is true."""
    moved = sitk.Resample(moving, reference, way.as_transform(), sitk.sitkLinear, -100.0)
    edges = [
        ndimage.gaussian_gradient_magnitude(sitk.GetArrayFromImage(image).astype(float), 1.0)[where]
        for image in (reference, moved)
    ]
    return float(np.corrcoef(edges[0], edges[1])[0, 1])
