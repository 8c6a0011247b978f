"""How voxels are stored in a volume file: type, byte order, packing, where they begin."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import SimpleITK as sitk
from isal import igzip, isal_zlib
from numpy.typing import NDArray

from client.imaging.errors import ImagingError

Packing = Literal["none", "gzip", "zlib"]

_NIFTI_BYTES = 348
_LONGEST_TEXT_BYTES = 1 << 20
# Codes of NIfTI-1 (nifti.nimh.nih.gov/nifti-1) for voxels of one grey value.
_NIFTI_TYPES = {
    **{2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8"},
    **{256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"},
}
_SKEW = 1e-3
# The spaces of NRRD that are the patient's own; ITK leads all of them to LPS.
_NRRD_SPACES = frozenset(
    {
        *("left-posterior-superior", "lps", "right-anterior-superior", "ras"),
        *("left-anterior-superior", "las"),
    }
)
# The names of MetaImage's fields that say how far voxels are apart, and where and which way they
# lie; several names mean the same.
_META_SPACINGS = frozenset({"elementspacing", "elementsize"})
_META_PLACES = frozenset(
    {"transformmatrix", "rotation", "orientation", "offset", "position", "origin"}
)
_TYPES = {
    sitk.sitkUInt8: "u1",
    sitk.sitkInt8: "i1",
    sitk.sitkUInt16: "u2",
    sitk.sitkInt16: "i2",
    sitk.sitkUInt32: "u4",
    sitk.sitkInt32: "i4",
    sitk.sitkUInt64: "u8",
    sitk.sitkInt64: "i8",
    sitk.sitkFloat32: "f4",
    sitk.sitkFloat64: "f8",
}


@dataclass(frozen=True)
class Header:
    """How a file stores its voxels.

    Attributes
    ----------
    dtype : dtype
        As stored, with its byte order.
    packing : str
        ``"none"``, ``"gzip"`` or ``"zlib"``.
    packed_from : int
        Byte of the file at which what is packed begins.
    offset : int
        Byte of the unpacked content at which the voxels begin.
    slope, intercept : float
        Value = stored * slope + intercept.
    size : tuple of int or None
        Voxels along x, y, z, where the header says it in a way of its own.
    """

    dtype: np.dtype[np.generic]
    packing: Packing
    packed_from: int
    offset: int
    slope: float = 1.0
    intercept: float = 0.0
    size: tuple[int, int, int] | None = None


def read_header(path: Path, pixel_id: int | None) -> Header:
    """Read how a file stores its voxels.

    Parameters
    ----------
    path : Path
        ``.nii``, ``.nii.gz``, ``.nrrd`` or ``.mha``.
    pixel_id : int
        SimpleITK's type of the voxels; NIfTI says it itself, before scaling.

    Raises
    ------
    ImagingError
        Damaged, or stored in a way that is not read here.
    """
    try:
        if path.name.endswith((".nii", ".nii.gz")):
            return _nifti(path)
        with path.open("rb") as file:
            text = file.read(_LONGEST_TEXT_BYTES)
    except (OSError, EOFError, isal_zlib.IsalError) as error:  # type: ignore[misc]  # its stub
        raise ImagingError("is damaged or cut short", path) from error
    if pixel_id is None or pixel_id not in _TYPES:
        raise ImagingError("is not one three-dimensional volume of grey values", path)
    return (_nrrd if path.suffix == ".nrrd" else _metaimage)(path, text, _TYPES[pixel_id])


def _nifti(path: Path) -> Header:
    packed = path.suffix == ".gz"
    with igzip.open(path, "rb") if packed else path.open("rb") as stream:
        raw = bytes(stream.read(_NIFTI_BYTES))
    if len(raw) < _NIFTI_BYTES:
        raise ImagingError("is cut short: it has no whole header", path)
    order = next((o for o in "<>" if struct.unpack_from(f"{o}i", raw)[0] == _NIFTI_BYTES), None)
    if order is None:
        raise ImagingError("is not NIfTI-1: convert it, or write .nrrd or .mha", path)
    dimensions = struct.unpack_from(f"{order}8h", raw, 40)
    (datatype,) = struct.unpack_from(f"{order}h", raw, 70)
    offset, slope, intercept = struct.unpack_from(f"{order}3f", raw, 108)
    if dimensions[0] != 3 or datatype not in _NIFTI_TYPES:
        raise ImagingError("is not one three-dimensional volume of grey values", path)
    if not (np.isfinite([offset, slope, intercept]).all() and offset >= _NIFTI_BYTES):
        raise ImagingError("is damaged: its header makes no sense", path)
    _check_place(raw, order, path)
    return Header(
        dtype=np.dtype(f"{order}{_NIFTI_TYPES[datatype]}"),
        packing="gzip" if packed else "none",
        packed_from=0,
        offset=int(offset),
        # A slope of 0 means that values are stored as they are.
        slope=slope or 1.0,
        intercept=intercept if slope else 0.0,
        size=dimensions[1:4],
    )


def _check_place(raw: bytes, order: str, path: Path) -> None:
    """Refuse a file whose two records of where it lies leave a doubt.

    Programs differ in which one they believe, the quaternion (qform) or the matrix (sform): a
    file in which they disagree is two volumes in one.
    """
    q_code, s_code = struct.unpack_from(f"{order}2h", raw, 252)
    if q_code <= 0 and s_code <= 0:
        raise ImagingError(
            "does not say which way its voxels lie (qform and sform codes are 0): convert it anew"
            " from the original",
            path,
        )
    if s_code <= 0:
        return
    sform = np.array(struct.unpack_from(f"{order}12f", raw, 280), np.float64).reshape(3, 4)
    lengths = np.linalg.norm(sform[:, :3], axis=0)
    if not np.isfinite(sform).all() or lengths.min() <= 0:
        raise ImagingError("is damaged: its header makes no sense", path)
    axes = sform[:, :3] / lengths
    if np.abs(axes.T @ axes - np.eye(3)).max() > _SKEW:
        raise ImagingError(
            "its axes are not perpendicular, as of a tilted gantry: give the DICOM series instead,"
            " or resample it upright",
            path,
        )
    last = np.array(struct.unpack_from(f"{order}3h", raw, 42), np.float64) - 1
    away = (_qform(raw, order) - sform) @ np.concatenate([np.diag(last), np.ones((1, 3))])
    if q_code > 0 and not np.abs(away).max() < 0.1 * lengths.min():
        raise ImagingError(
            "its two records of where it lies (qform and sform) disagree: convert it anew from the"
            " original",
            path,
        )


def _qform(raw: bytes, order: str) -> NDArray[np.float64]:
    """Return the affine of the quaternion, shape (3, 4), by method 2 of the NIfTI-1 standard."""
    pixdim = np.array(struct.unpack_from(f"{order}4f", raw, 76), np.float64)
    b, c, d, *offset = struct.unpack_from(f"{order}6f", raw, 256)
    a = np.sqrt(max(0.0, 1 - b * b - c * c - d * d))
    axes = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    handed = np.array([1, 1, -1 if pixdim[0] < 0 else 1])
    return np.column_stack([axes * (pixdim[1:] * handed), offset])


def _nrrd(path: Path, text: bytes, kind: str) -> Header:
    """Read the fields of teem.sourceforge.net/nrrd/format.html; an empty line ends them."""
    ends = [(text.find(mark), len(mark)) for mark in (b"\n\n", b"\r\n\r\n")]
    end, length = min(((at, n) for at, n in ends if at >= 0), default=(-1, 0))
    if end < 0:
        raise ImagingError("is cut short: it has no whole header", path)
    fields = _fields(text[:end], ":")
    encoding = fields.get("encoding", "")
    if encoding not in ("raw", "gz", "gzip") or fields.keys() & {"datafile", "byteskip"}:
        raise ImagingError("must hold its own voxels, raw or gzip: write it anew", path)
    # `spacings` alone, or directions in a space without a name, leave out which way is left.
    if "spacedirections" not in fields or fields.get("space") not in _NRRD_SPACES:
        raise ImagingError(
            "does not say which way its voxels lie (space: left-posterior-superior or the like, and"
            " space directions; pynrrd leaves both out unless told): convert it anew from the"
            " original",
            path,
        )
    order = ">" if fields.get("endian") == "big" else "<"
    return _stored(order + kind, "none" if encoding == "raw" else "gzip", end + length)


def _metaimage(path: Path, text: bytes, kind: str) -> Header:
    """Read the fields of itk.org/Wiki/ITK/MetaIO/Documentation; the voxels follow the last."""
    start = text.find(b"ElementDataFile")
    end = text.find(b"\n", start)
    if start < 0 or end < 0:
        raise ImagingError("is cut short: it has no whole header", path)
    fields = _fields(text[:end], "=")
    binary = fields.get("binarydata", "true") == "true" and "headersize" not in fields
    if fields.get("elementdatafile") != "local" or not binary:
        raise ImagingError("must hold its own voxels, binary: write it anew", path)
    if not fields.keys() & _META_SPACINGS:
        raise ImagingError(
            "does not say how far its voxels are apart (no ElementSpacing): convert it anew from"
            " the original",
            path,
        )
    if not fields.keys() & _META_PLACES:
        raise ImagingError(
            "does not say which way its voxels lie (no TransformMatrix and no Offset): convert it"
            " anew from the original",
            path,
        )
    msb = fields.get("elementbyteordermsb", fields.get("binarydatabyteordermsb", "false"))
    packed = fields.get("compresseddata", "false") == "true"
    return _stored((">" if msb == "true" else "<") + kind, "zlib" if packed else "none", end + 1)


def _stored(dtype: str, packing: Packing, start: int) -> Header:
    packed = packing != "none"
    return Header(np.dtype(dtype), packing, start if packed else 0, 0 if packed else start)


def _fields(text: bytes, separator: str) -> dict[str, str]:
    """Return a text header's fields, without case and without spaces within names."""
    lines = [line.partition(separator) for line in text.decode("latin-1").splitlines()]
    return {key.replace(" ", "").lower(): value.strip().lower() for key, _, value in lines}
