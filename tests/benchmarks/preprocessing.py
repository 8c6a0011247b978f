"""What preparing costs: ``python -m tests.benchmarks.preprocessing``.

On one patient with a 512 x 512 volume in three phases and a mask, it times, by turns and with
one thread each,

- the bare decode of the same files by SimpleITK,
- preparing the patient as a site does, from files to the cached region of interest,
- the usual MONAI chain (LoadImaged, Orientationd, Spacingd, ScaleIntensityRanged,
  CropForegroundd, Resized) on the same files,

and prints medians and ratios. Goals: at most 1.25 times the bare decode, and at least 8 times
faster than the chain.
"""

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from monai.transforms import (
    Compose,
    CropForegroundd,
    LoadImaged,
    Orientationd,
    Resized,
    ScaleIntensityRanged,
    Spacingd,
)
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from client.cohort import build_roi
from client.imaging import cache
from client.imaging.settings import PreprocessingSettings
from shared.tasks import PHASES

SETTINGS = PreprocessingSettings()


def write_patient(folder: Path, slices: int) -> None:
    """Write a body-sized phantom with textured noise: it compresses about as real CT does."""
    generator = np.random.default_rng(0)
    size = (slices, 512, 512)
    z, y, x = np.ogrid[: size[0], : size[1], : size[2]]
    body = ((y - 256) / 180.0) ** 2 + ((x - 256) / 230.0) ** 2 <= 1
    liver = ((y - 230) / 110.0) ** 2 + ((x - 190) / 120.0) ** 2 + (
        (z - slices / 2) / 45.0
    ) ** 2 <= 1
    tumour = (y - 230) ** 2 + (x - 170) ** 2 + (2 * (z - slices / 2)) ** 2 <= 30**2
    labels = np.broadcast_to(liver, size).astype(np.uint8)
    labels[np.broadcast_to(tumour, size)] = 2
    _write(labels, folder / "mask.nii.gz")
    for index, phase in enumerate(PHASES):
        noise = ndimage.gaussian_filter(
            generator.standard_normal(size, dtype=np.float32), (0, 1, 1)
        )
        hu = np.where(body, 40 + 60 * liver + (30 - 25 * index) * tumour, -1000)
        _write((hu + 45 * noise * body).astype(np.int16), folder / f"{phase}.nii.gz")


def _write(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]], path: Path) -> None:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.75, 0.75, 1.5))
    sitk.WriteImage(image, str(path))


def decode(folder: Path) -> None:
    """Read the patient's files and do nothing with them."""
    for path in sorted(folder.iterdir()):
        sitk.ReadImage(str(path))


def prepare(folder: Path, cache_dir: Path) -> None:
    """Prepare the patient as a site does, content digest and cache file included."""
    files = sorted(folder.iterdir())
    path = cache.roi_path(cache_dir, cache.content_digest(files), SETTINGS)
    roi, problems = build_roi(folder, SETTINGS)
    cache.save_roi(roi, path, problems)


def monai_chain() -> Compose:
    """Return the chain that most published pipelines begin with, in MONAI's own defaults."""
    images = [*PHASES]
    keys = [*images, "mask"]
    low, high = SETTINGS.window_hu
    spacing = (SETTINGS.spacing_mm,) * 3
    return Compose(
        [
            LoadImaged(keys, ensure_channel_first=True),
            Orientationd(keys, axcodes="LPS", labels=None),
            Spacingd(keys, pixdim=spacing, mode=("bilinear",) * len(images) + ("nearest",)),
            ScaleIntensityRanged(images, low, high, -1, 1, clip=True),
            CropForegroundd(keys, source_key="mask", select_fn=lambda m: m == 2, margin=4),
            Resized(keys, SETTINGS.shape, mode=("trilinear",) * len(images) + ("nearest",)),
        ]
    )


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that a piece of work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Print both ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=120)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    console = Console()
    with tempfile.TemporaryDirectory() as temporary:
        folder, cache_dir = Path(temporary) / "patient", Path(temporary) / "cache"
        folder.mkdir()
        with console.status("Writing a patient of 512 x 512 voxels"):
            write_patient(folder, arguments.slices)
        chain = monai_chain()
        files = {key: str(folder / f"{key}.nii.gz") for key in (*PHASES, "mask")}
        works: dict[str, Callable[[], object]] = {
            "bare decode (SimpleITK)": lambda: decode(folder),
            "hepafed, files to cache": lambda: prepare(folder, cache_dir),
            "MONAI chain": lambda: chain(files),
        }
        seconds: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(arguments.repeats):
            for name, work in works.items():
                seconds[name].append(timed(work))
    console.print(_table(seconds, arguments.slices))


def _table(seconds: dict[str, list[float]], slices: int) -> Table:
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    bare, ours, chain = medians.values()
    table = Table(
        title=f"One patient: 3 phases and a mask of 512 x 512 x {slices}, one thread",
        caption=f"hepafed / decode = {ours / bare:.2f} (goal <= 1.25);"
        f" MONAI / hepafed = {chain / ours:.1f} (goal >= 8)",
    )
    table.add_column("what")
    table.add_column("median s", justify="right")
    table.add_column("of bare decode", justify="right")
    for name, value in medians.items():
        table.add_row(name, f"{value:.2f}", f"{value / bare:.2f}")
    return table


if __name__ == "__main__":
    main()
