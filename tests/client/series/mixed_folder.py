"""Folders of mixed series as an archive exports them, made in code: one trunk, many scans."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray

from tests.client.imaging.dicom_files import write_series

SPACING_MM = (3.0, 3.0, 5.0)
SHAPE = (18, 80, 110)
ORIGIN_MM = (-163.5, -118.5, -45.0)
LIVER_CENTRE_MM = (-70.0, -15.0)
TUMOUR_CENTRE_MM = (-75.0, -20.0, 0.0)
# Aorta and liver.
HU = {
    "native": (42, 55),
    "arterial": (300, 65),
    "portal_venous": (165, 110),
    "delayed": (105, 92),
    # Neither quite portal venous nor delayed.
    "unclear": (132, 100),
}


@dataclass(frozen=True)
class Series:
    """One series to write.

    Attributes
    ----------
    seen : str
        What the image shows, of `HU`.
    time : str
        Of acquisition; empty leaves it out.
    vein_hu, kidney_hu : float or tuple, optional
        A vein in the liver, and the left kidney's cortex and medulla, where they are to be seen.
    seed : int
        Of the noise: another patient has another.
    """

    name: str
    description: str
    seen: str = "portal_venous"
    time: str = ""
    number: int = 1
    acquisition: int | None = None
    study: str = "1.2.3.1"
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL")
    kernel: str = "B30f"
    thickness_mm: float = 3.0
    contrast: str = ""
    modality: str = "CT"
    levels: tuple[int, int] = (0, SHAPE[0])
    header: Callable[[pydicom.Dataset], None] | None = None
    vein_hu: float | None = None
    kidney_hu: tuple[float, float] | None = None
    seed: int = 0


NATIVE = Series("native", "Liver w/o", "native", "095900", 2)
ARTERIAL = Series("arterial", "Late art. phase 3.0 B30f", "arterial", "100045", 3)
PORTAL = Series("portal", "P.Venous 3.0 B30f", "portal_venous", "100115", 4)
DELAYED = Series("delayed", "3 min delay", "delayed", "100305", 5)
TRIPHASIC = (NATIVE, ARTERIAL, PORTAL, DELAYED)
NAMELESS = tuple(replace(one, description="Abdomen 3.0 B30f", seed=1) for one in TRIPHASIC)


def positions_mm() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    z, y, x = np.indices(SHAPE).astype(np.float64)
    return tuple(
        index * step + start
        for index, step, start in zip((x, y, z), SPACING_MM, ORIGIN_MM, strict=True)
    )


def labels() -> NDArray[np.uint8]:
    x, y, z = positions_mm()
    inside = ((x - LIVER_CENTRE_MM[0]) / 62) ** 2 + ((y - LIVER_CENTRE_MM[1]) / 65) ** 2 < 1
    tumour = sum((a - b) ** 2 for a, b in zip((x, y, z), TUMOUR_CENTRE_MM, strict=True)) < 14.0**2
    found = inside.astype(np.uint8)
    found[tumour] = 2
    return found


def trunk(seen: str, seed: int = 0) -> NDArray[np.int16]:
    """Return a body with spine, aorta and liver, shape `SHAPE`."""
    aorta_hu, liver_hu = HU[seen]
    x, y, z = positions_mm()
    hu = np.full(SHAPE, -1000.0)
    hu[(x / 155) ** 2 + (y / 110) ** 2 < 1] = -90
    marks = labels()
    hu[marks == 1] = liver_hu
    hu[marks == 2] = liver_hu - 20
    spine = (x / 22) ** 2 + ((y - 45) / 17) ** 2 < 1
    arch = (x / 20) ** 2 + ((y - 72) / 16) ** 2 < 1
    hu[spine | arch] = 380
    hu[(x / 10) ** 2 + ((y - 70) / 9) ** 2 < 1] = 25
    hu[(x - 10) ** 2 + (y - 18) ** 2 < 11**2] = aorta_hu
    noise = np.random.default_rng((len(seen), seed)).normal(0, 4, SHAPE)
    return np.asarray((hu + noise + 0 * z).round(), np.int16)


def _with_organs(hu: NDArray[np.int16], one: Series) -> NDArray[np.int16]:
    x, y, z = positions_mm()
    if one.vein_hu is not None:
        hu[(np.abs(y + 45) < 6) & (np.abs(x + 70) < 32)] = one.vein_hu
    for part, value in zip((28.0, 20.0), one.kidney_hu or (), strict=False):
        away = ((x - 66) / part) ** 2 + ((y - 30) / part) ** 2 + (z / (part + 18)) ** 2
        hu[away < 1] = value
    return hu


def write(patient: Path, *series: Series, mask: bool = True) -> Path:
    """Write a patient's folder: the series in nested folders, and the mask."""
    for number, one in enumerate(series):
        _write_one(patient / "DICOM" / f"ST{number % 2}" / f"SE{number}", one)
    if mask:
        patient.mkdir(parents=True, exist_ok=True)
        image = sitk.GetImageFromArray(labels())
        image.SetSpacing(SPACING_MM)
        image.SetOrigin(ORIGIN_MM)
        sitk.WriteImage(image, str(patient / "mask.nii.gz"))
    return patient


def _write_one(folder: Path, one: Series) -> None:
    first, last = one.levels
    hu = _with_organs(trunk(one.seen, one.seed), one)[first:last]
    origin = (*ORIGIN_MM[:2], ORIGIN_MM[2] + first * SPACING_MM[2])

    def change(number: int, header: pydicom.Dataset) -> None:
        header.SeriesInstanceUID = f"1.2.3.{sum(map(ord, one.name))}.{len(one.name)}"
        header.SOPInstanceUID = f"{header.SeriesInstanceUID}.{number}.{one.acquisition or 0}"
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
        header.StudyInstanceUID, header.SeriesNumber = one.study, one.number
        header.SeriesDescription, header.ImageType = one.description, list(one.image_type)
        header.ConvolutionKernel, header.SliceThickness = one.kernel, one.thickness_mm
        header.Modality = one.modality
        header.FrameOfReferenceUID = f"{one.study}.9"
        if one.acquisition is not None:
            header.AcquisitionNumber = one.acquisition
            header.InstanceNumber = number + 1 + 1000 * one.acquisition
        if one.time:
            header.AcquisitionTime = one.time
        if one.contrast:
            header.ContrastBolusStartTime = one.contrast
        if one.header is not None:
            one.header(header)

    write_series(folder, hu, spacing_mm=SPACING_MM, origin_mm=origin, change=change)
