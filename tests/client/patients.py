"""Small patients for tests: a body, a liver and a tumour with known attenuation."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from client.cohort import PreparedSite, prepare_site
from shared.preprocessing import PreprocessingSettings
from shared.tasks import PHASES, Phase

SMALL = PreprocessingSettings(shape=(16, 16, 16), spacing_mm=5.0, margin_mm=10.0)
LIVER_HU = {"arterial": 60, "portal_venous": 110, "delayed": 90}
TUMOUR_HU = {"arterial": 100, "portal_venous": 80, "delayed": 60}
SPACING_MM = (2.0, 2.0, 4.0)
SIZE = (40, 36, 20)
TUMOUR_CENTRE_MM = np.array([-10.0, 4.0, -36.0])
TUMOUR_RADIUS_MM = 11.0
ORIGIN_MM = np.array([-44.0, -30.0, -80.0])


def positions_mm() -> NDArray[np.float64]:
    """World position of every voxel, shape (D, H, W, 3), as (x, y, z)."""
    z, y, x = np.indices(SIZE[::-1])
    positions = np.stack([x, y, z], axis=-1) * np.array(SPACING_MM) + ORIGIN_MM
    return np.asarray(positions, dtype=np.float64)


def as_image(array: NDArray[np.generic]) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING_MM)
    image.SetOrigin(ORIGIN_MM.tolist())
    return image


def label_array(centre_mm: NDArray[np.float64] = TUMOUR_CENTRE_MM) -> NDArray[np.uint8]:
    distance = np.linalg.norm(positions_mm() - centre_mm, axis=-1)
    labels = np.ones(SIZE[::-1], np.uint8)
    labels[:, :4] = labels[:, -4:] = 0
    labels[distance <= TUMOUR_RADIUS_MM] = 2
    return labels


def phase_array(phase: Phase, seed: int = 0) -> NDArray[np.int16]:
    labels = label_array()
    values = np.array([-90, LIVER_HU[phase], TUMOUR_HU[phase]])[labels]
    noise = np.random.default_rng(seed).normal(0, 3, values.shape)
    return np.asarray(values + noise).round().astype(np.int16)


def write_patient(folder: Path, phases: Iterable[Phase] = PHASES, seed: int = 0) -> Path:
    """Write a good patient's folder."""
    folder.mkdir(parents=True)
    for phase in phases:
        sitk.WriteImage(as_image(phase_array(phase, seed)), str(folder / f"{phase}.nii.gz"))
    sitk.WriteImage(as_image(label_array()), str(folder / "mask.nii.gz"))
    return folder


def write_clinical(site: Path, rows: dict[str, str]) -> None:
    """Write clinical.csv: patient_id to the other cells, as text."""
    lines = ["patient_id,mvi,rfs_months,rfs_event,os_months,os_event"]
    lines += [f"{patient},{cells}" for patient, cells in rows.items()]
    site.mkdir(parents=True, exist_ok=True)
    (site / "clinical.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


GOOD_ROW = "1,10.5,1,22,0"


def write_good_site(folder: Path, *patients: str) -> Path:
    """Write a site of good patients, each from a seed of its own."""
    write_clinical(folder, dict.fromkeys(patients, GOOD_ROW))
    for seed, patient in enumerate(patients):
        write_patient(folder / patient, seed=seed)
    return folder


def prepare(site: Path, workers: int = 1) -> PreparedSite:
    """Prepare a small site, with its cache beside it."""
    return prepare_site(site, SMALL, site.parent / "cache", workers=workers, progress=False)
