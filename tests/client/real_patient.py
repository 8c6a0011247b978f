"""A real CT as a patient's folder: ``python -m tests.client.real_patient MODEL OUTPUT``.

The DICOM series beside the project (TotalSegmentator, Apache-2.0) is healthy where it is seen,
so a sphere in the liver stands for a tumour. What comes out shows that the software runs on real
files; it says nothing about the patient.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from client.imaging.read import read_image
from client.predict import PredictSettings, predict_patient

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "ct" / "totalsegmentator"
LIVER = 5  # in TotalSegmentator's labels
RADIUS_MM = 12.0
NOTE = "Smoke test: a healthy liver with a sphere drawn into it as tumour. No finding of any kind."


def mask_with_stand_in_tumour() -> sitk.Image:
    """Return the real liver as label 1 with a sphere in its middle as label 2, on its own grid."""
    organs = read_image(DATA / "example_seg_dicom.nii.gz")
    liver = sitk.GetArrayFromImage(organs) == LIVER
    centre = np.argwhere(liver).mean(axis=0).round().astype(int)
    step = np.array(organs.GetSpacing())[::-1]
    distance = np.linalg.norm((np.indices(liver.shape).T - centre) * step, axis=-1).T
    labels = liver.astype(np.uint8)
    labels[(distance <= RADIUS_MM) & liver] = 2
    mask = sitk.GetImageFromArray(labels)
    mask.CopyInformation(organs)
    return mask


def write_real_patient(folder: Path) -> Path:
    """Write the folder of the data contract; the scan is one portal venous phase."""
    folder.mkdir(parents=True)
    (folder / "portal_venous").symlink_to(DATA / "example_ct_dicom")
    sitk.WriteImage(mask_with_stand_in_tumour(), str(folder / "mask.nii.gz"))
    return folder


def main(model: Path, output_dir: Path) -> None:
    """Predict for the real scan."""
    with tempfile.TemporaryDirectory() as temporary:
        patient = write_real_patient(Path(temporary) / "patient")
        told = predict_patient(PredictSettings(model, patient, output_dir, note=NOTE))
    print(f"{NOTE}\nMVI probability {told['mvi_probability']:.3f}; see {output_dir}")
    for warning in told["warnings"]:
        print(f"Warning: {warning}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
