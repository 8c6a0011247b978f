"""One patient's files, written whole or not at all."""

import shutil
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from simulation.cohort.patient import Patient
from simulation.cohort.render import Scan, render
from simulation.cohort.settings import SyntheticCohortSettings
from simulation.cohort.whole_folder import PARTIAL, written_once


def patient_folder(root: Path, patient: Patient) -> Path:
    """Return where a patient's files belong in a federation's folder."""
    return root / patient.site / patient.patient_id


def write_patient(settings: SyntheticCohortSettings, patient: Patient, root: Path) -> None:
    """Render a patient and write the phases and the mask; a folder that exists is complete."""
    folder = patient_folder(root, patient)
    written_once(folder, lambda partial: write_scan(render(settings, patient), partial))


def remove_partial_folders(root: Path) -> None:
    """Remove what interrupted writers left in a federation's folder."""
    for leftover in root.glob(f"*/.*{PARTIAL}"):
        shutil.rmtree(leftover, ignore_errors=True)


def write_scan(scan: Scan, folder: Path, *, compression_level: int = -1) -> None:
    """Write a patient's phases and mask; -1 is ITK's own level of compression."""
    for phase, volume in scan.phases.items():
        _write_volume(volume, scan, folder / f"{phase}.nii.gz", compression_level)
    _write_volume(scan.mask, scan, folder / "mask.nii.gz", compression_level)


def _write_volume(
    volume: NDArray[np.int16] | NDArray[np.uint8], scan: Scan, path: Path, compression_level: int
) -> None:
    image = SimpleITK.GetImageFromArray(volume)
    image.SetSpacing(scan.spacing_mm)
    image.SetOrigin(scan.origin_mm)
    # ITK leaves time and name out of the gzip header: the same patient gives the same bytes.
    SimpleITK.WriteImage(image, str(path), useCompression=True, compressionLevel=compression_level)
