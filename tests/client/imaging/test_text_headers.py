"""NRRD and MetaImage that do not say where their voxels lie are no volume of a patient."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from client.imaging.errors import ImagingError
from client.imaging.read import open_scan

MATRIX = {b"TransformMatrix", b"Offset", b"CenterOfRotation"}


def write_without(path: Path, fields: Collection[bytes], more: bytes = b"") -> None:
    """Write a volume as SimpleITK does, but for some fields of its header, and with one more."""
    image = sitk.GetImageFromArray(np.zeros((4, 5, 6), np.int16))
    image.SetSpacing((0.8, 0.8, 2.5))
    sitk.WriteImage(image, str(path))
    separator = b":" if path.suffix == ".nrrd" else b" ="
    lines = path.read_bytes().split(b"\n")
    kept = [line for line in lines if line.partition(separator)[0] not in fields]
    path.write_bytes(b"\n".join([*kept[:5], *([more] if more else []), *kept[5:]]))


@pytest.mark.parametrize(
    ("name", "fields", "more", "reason"),
    [
        ("mask.nrrd", {b"space", b"space directions", b"space origin"}, b"", "which way"),
        (
            "mask.nrrd",
            {b"space", b"space directions", b"space origin"},
            b"spacings: 0.8 0.8 2.5",
            "which way",
        ),
        ("mask.nrrd", {b"space"}, b"space dimension: 3", "which way"),
        ("mask.nrrd", {b"space"}, b"space: scanner-xyz", "which way"),
        ("mask.mha", {b"ElementSpacing"}, b"", "how far"),
        ("mask.mha", MATRIX, b"", "which way"),
        ("mask.mha", MATRIX | {b"ElementSpacing"}, b"", "how far"),
    ],
)
def test_a_volume_that_lies_nowhere_is_refused(
    tmp_path: Path, name: str, fields: set[bytes], more: bytes, reason: str
) -> None:
    write_without(tmp_path / name, fields, more)
    with pytest.raises(ImagingError, match=reason):
        open_scan(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("mask.nrrd", set[bytes]()),
        ("mask.nrrd", {b"space origin"}),
        ("mask.mha", set[bytes]()),
        ("mask.mha", {b"TransformMatrix", b"AnatomicalOrientation"}),
        ("mask.mha", {b"Offset"}),
    ],
)
def test_what_a_header_may_leave_out(tmp_path: Path, name: str, fields: set[bytes]) -> None:
    write_without(tmp_path / name, fields)
    assert open_scan(tmp_path / name).grid.spacing_mm == pytest.approx((0.8, 0.8, 2.5))
