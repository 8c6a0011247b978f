"""An activation map as a NIfTI file in the patient's own space."""

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from client.imaging.lattice import Lattice


def write_activation(values: NDArray[np.floating[Any]], lattice: Lattice, path: Path) -> None:
    """Write a map so that a viewer lays it over the CT it was made from.

    Parameters
    ----------
    values : ndarray, shape (D, H, W)
    lattice : Lattice
        Where the voxels lie (LPS, mm); SimpleITK turns it into NIfTI's RAS.
    path : Path
        Ends in ``.nii.gz``.
    """
    image = sitk.GetImageFromArray(np.asarray(values, dtype=np.float32))
    image.SetSpacing((lattice.spacing_mm,) * 3)
    image.SetOrigin(lattice.origin_mm)
    sitk.WriteImage(image, str(path), useCompression=True)
