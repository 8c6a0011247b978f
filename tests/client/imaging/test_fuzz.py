"""A thousand damaged series: refused, or read as what their headers say; never a crash or a hang.

The judge is arithmetic by hand on what pydicom reads. A header that was changed to another sound
one (another intercept, a place that fits) is another volume, and must come back as that one.
"""

import collections
import functools
import io
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.uid import JPEGLosslessSV1

from client.imaging.dicom import open_series
from client.imaging.errors import ImagingError
from client.imaging.workers import each_in_order
from tests.client.imaging.dicom_files import SYNTAXES, write_series

HU: NDArray[np.int16] = np.random.default_rng(0).integers(-900, 900, (5, 12, 14)).astype(np.int16)
TIMES = 1000
# No damaged series may keep a process busy for longer: a whole patient takes less.
LONGEST_S = 20.0

NASTY: tuple[tuple[str, tuple[object, ...]], ...] = (
    ("ImagePositionPatient", ([0, 0], [0, 0, 1e9], ["nan", 0, 0], [0, 0, 7.5], [5, 0, 6], None)),
    (
        "ImageOrientationPatient",
        ([0] * 6, [1, 0, 0, 1, 0, 0], [-1, 0, 0, 0, 1, 0], [1, 0, 0], None),
    ),
    ("PixelSpacing", ([0, 0], [-1.5, 1.5], [1.5, 1.4], ["inf", 1], None)),
    ("RescaleSlope", (0, -1, 2, 0.5, "1e30", None)),
    ("RescaleIntercept", (0, -1000, "nan", 1e12, None)),
    ("Rows", (0, 1, 11, 13, 65535, None)),
    ("Columns", (0, 1, 13, 15, 65535, None)),
    ("BitsStored", (0, 1, 12, 17, 32, None)),
    ("BitsAllocated", (0, 8, 12, 32, None)),
    ("HighBit", (0, 7, 11, 31)),
    ("PixelRepresentation", (0, 1, 2, None)),
    ("SamplesPerPixel", (0, 3, None)),
    ("PhotometricInterpretation", ("MONOCHROME1", "RGB", "PALETTE COLOR", "", None)),
    ("NumberOfFrames", (0, 2, 1000000, None)),
    ("PixelPaddingValue", (0, 30000, None)),
    ("Modality", ("MR", "", None)),
    ("SeriesInstanceUID", ("1.2", "", None)),
    ("FrameOfReferenceUID", ("1.2",)),
)


# Changes that make another sound series of it.
SOUND: tuple[tuple[str, tuple[object, ...]], ...] = (
    ("RescaleSlope", (2, 0.5, 1.5)),
    ("RescaleIntercept", (0, -1000, -1023.5)),
    ("PhotometricInterpretation", ("MONOCHROME1",)),
    ("PixelPaddingValue", (0,)),
)


def set_element(
    raw: bytes, choices: tuple[tuple[str, tuple[object, ...]], ...], generator: np.random.Generator
) -> bytes:
    header = pydicom.dcmread(io.BytesIO(raw))
    tag, values = choices[generator.integers(len(choices))]
    value = values[generator.integers(len(values))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if value is None:
            if tag in header:
                delattr(header, tag)
        elif tag == "PixelPaddingValue":
            header.add_new(tag, "US", value)
        else:
            setattr(header, tag, value)
        written = io.BytesIO()
        header.save_as(written)
    return written.getvalue()


def damage(raw: bytes, generator: np.random.Generator) -> bytes:
    """Return a file's bytes with one kind of damage; in the header, or cut short."""
    kind = generator.integers(6)
    header = max(raw.find(b"\xe0\x7f\x10\x00"), raw.find(b"\x7f\xe0\x00\x10"), 140)
    place = int(generator.integers(header))
    if kind == 0:
        return raw[: int(generator.integers(len(raw)))]
    if kind == 1:
        return set_element(raw, NASTY, generator)
    if kind == 5:
        return set_element(raw, SOUND, generator)
    if kind == 2:
        changed = bytearray(raw)
        for spot in generator.integers(header, size=generator.integers(1, 9)):
            changed[spot] = generator.integers(256)
        return bytes(changed)
    if kind == 3:
        return raw[:place] + raw[place + int(generator.integers(1, 9)) :]
    return raw[:place] + generator.bytes(int(generator.integers(1, 9))) + raw[place:]


@functools.cache
def good(syntax: str) -> tuple[bytes, ...]:
    """Return the files of a good series."""
    with tempfile.TemporaryDirectory() as temporary:
        files = write_series(Path(temporary), HU, syntax=syntax)
        return tuple(file.read_bytes() for file in files)


def by_hand(folder: Path) -> dict[tuple[float, ...], NDArray[np.float64]]:
    """Return the HU of each slice at its place, as pydicom reads them.

    It decodes no JPEG Lossless: there the stored values are those that were written.
    """
    planes = {}
    for file in sorted(folder.iterdir()):
        one = pydicom.dcmread(file, force=True)
        if one.file_meta.TransferSyntaxUID == JPEGLosslessSV1:
            stored = HU[int(file.stem)].astype(float) + 1024
        else:
            stored = one.pixel_array
        hu = stored * float(one.RescaleSlope) + float(one.RescaleIntercept)
        place = tuple(round(float(x), 2) for x in one.ImagePositionPatient)
        planes[place] = np.maximum(hu, -1024)
    return planes


def judge(voxels: NDArray[np.generic], places: NDArray[np.float64], folder: Path) -> str:
    """Return ``same``, ``as its headers say`` or what is wrong."""
    upright = np.array([[0, 0, 3.0 * number] for number in range(len(HU))])
    where = voxels.shape == HU.shape and np.allclose(places, upright, atol=0.02)
    if where and np.array_equal(voxels, HU):
        return "same"
    try:
        planes = by_hand(folder)
    except Exception as error:  # pydicom raises what its parsing happens to meet
        return f"wrong: read what pydicom cannot ({type(error).__name__})"
    if len(planes) != len(voxels):
        return "wrong: another number of slices"
    for plane, place in zip(voxels, places, strict=True):
        near = [key for key in planes if np.abs(np.subtract(key, place)).max() < 0.3]
        if len(near) != 1 or not np.allclose(planes[near[0]], plane, atol=1e-3):
            return "wrong: other values"
    return "as its headers say"


def attempt(seed: int) -> str:
    """Damage one slice of a good series and read it."""
    generator = np.random.default_rng(seed)
    try:
        with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            folder = Path(temporary)
            slices = good(SYNTAXES[seed % len(SYNTAXES)])
            damaged = generator.integers(len(slices))
            for number, raw in enumerate(slices):
                content = damage(raw, generator) if number == damaged else raw
                (folder / f"{number:04d}.dcm").write_bytes(content)
            try:
                scan = open_series(folder)
                voxels = scan.read(scan.grid.whole)
            except ImagingError as error:
                return "refused" if error.file.is_relative_to(folder) else "wrong: no file named"
            corners = [[0.0, 0.0, float(place)] for place in range(len(voxels))]
            return judge(voxels, scan.grid.points_mm(np.array(corners)), folder)
    except Exception as error:  # anything but a reason is what this test looks for
        return f"wrong: {type(error).__name__}: {error}"


def lost(seed: int) -> str:
    return "wrong: crashed or hung"


def test_a_thousand_damaged_series() -> None:
    outcomes = each_in_order(
        attempt,
        range(TIMES),
        workers=2,
        when_lost=lost,
        preload="tests.client.imaging.test_fuzz",
        longest_s=LONGEST_S,
    )
    told = dict(enumerate(outcomes))
    wrong = {seed: outcome for seed, outcome in told.items() if outcome.startswith("wrong")}
    assert not wrong
    counts = collections.Counter(told.values())
    assert sum(counts.values()) == TIMES
    # Most damage makes a slice unusable; some falls on what nobody reads.
    assert counts["refused"] > 300
    assert counts["same"] > 100
    assert counts["as its headers say"] > 10
