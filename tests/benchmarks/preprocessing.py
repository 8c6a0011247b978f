"""What preparing costs: ``python -m tests.benchmarks.preprocessing``.

On one patient with a 512 x 512 volume in three phases and a mask, once as NIfTI and once as
DICOM series, it times by turns, forwards and backwards, and with one thread each

- the bare decode of the same files by SimpleITK (for DICOM with GDCM's ordering of the slices,
  without which a series cannot be decoded),
- preparing the patient as a site does, from files to the cached region of interest,
- the usual MONAI chain (LoadImaged, Orientationd, Spacingd, ScaleIntensityRanged,
  CropForegroundd, Resized) on the same files,

and prints medians and ratios, of the processor's time, which other programs disturb least, and of
the clock's. Goals: at most 1.25 times the bare decode, and at least 8 times
faster than the chain. Beside them stand what moving the phases onto one another costs, and the
peak memory of a fresh process that prepares a patient of 600 slices (goal: under 2 GiB). The
phantom has noise everywhere, as scanners make it, so that its files are as large as real ones:
28 MB for a phase of 120 slices as ``.nii.gz``.
"""

import argparse
import multiprocessing
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

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
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import ndimage
from threadpoolctl import threadpool_limits

from client.imaging import cache
from client.imaging.read import case_files
from client.preparation.facts import to_text
from client.preparation.measured import facts_of, first_files
from client.region import build_region
from shared.preprocessing import PreprocessingSettings
from shared.tasks import PHASES
from tests.client.imaging.dicom_files import write_series
from tests.memory import megabytes

SETTINGS = PreprocessingSettings()
RIGID = replace(SETTINGS, registration="rigid")
SPACING_MM = (0.75, 0.75, 1.5)
# Smoothing takes 28% of it: 17 HU in the body, 8 in the air around it.
NOISE_HU = {"body": 60, "air": 30}

Format = Literal["NIfTI", "DICOM"]


def write_patient(folder: Path, slices: int, form: Format) -> None:
    """Write a body-sized phantom with textured noise."""
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
    _write_volume(labels, folder / "mask.nii.gz")
    noise_hu = np.where(body, NOISE_HU["body"], NOISE_HU["air"]).astype(np.float32)
    for index, phase in enumerate(PHASES):
        hu = np.empty(size, np.int16)
        for start in range(0, slices, 50):  # so that 600 slices fit into memory
            part = slice(start, start + 50)
            noise = ndimage.gaussian_filter(
                generator.standard_normal(hu[part].shape, dtype=np.float32), (0, 1, 1)
            )
            inside = 40 + 60 * liver[part] + (30 - 25 * index) * tumour[part]
            hu[part] = np.maximum(np.where(body, inside, -1000) + noise * noise_hu, -1024)
        if form == "DICOM":
            write_series(folder / phase, hu, spacing_mm=SPACING_MM)
        else:
            _write_volume(hu, folder / f"{phase}.nii.gz")


def _write_volume(array: NDArray[Any], path: Path) -> None:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING_MM)
    sitk.WriteImage(image, str(path))


def decode(folder: Path) -> None:
    """Read the patient's files and do nothing with them."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(path)))
        else:
            sitk.ReadImage(str(path))


def prepare(folder: Path, cache_dir: Path, settings: PreprocessingSettings = SETTINGS) -> None:
    """Prepare the patient as a site does: content digest, facts and cache file included."""
    digest = cache.content_digest(case_files(folder), folder)
    region = build_region(folder, settings)
    facts = to_text(facts_of(region, first_files(folder, None)))
    cache.save_roi(region.roi, cache.roi_path(cache_dir, digest, settings), region.problems, facts)


def peak_gib(folder: Path, cache_dir: Path) -> float:
    """Return the peak memory of a fresh process that prepares the patient, in GiB (Linux).

    It holds this module's torch and MONAI too, which a site's workers do not load.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_prepare_and_weigh, folder, cache_dir).result()


def _prepare_and_weigh(folder: Path, cache_dir: Path) -> float:
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    prepare(folder, cache_dir, RIGID)
    # Not `ru_maxrss`: it counts the process that started this one, which had written the patient.
    return megabytes("VmHWM") / 1024


def monai_chain(form: Format) -> Compose:
    """Return the chain that most published pipelines begin with, in MONAI's own defaults."""
    images = [*PHASES]
    keys = [*images, "mask"]
    low, high = SETTINGS.window_hu
    spacing = (SETTINGS.spacing_mm,) * 3
    reader = "PydicomReader" if form == "DICOM" else None
    return Compose(
        [
            LoadImaged(images, reader=reader, ensure_channel_first=True),
            LoadImaged("mask", ensure_channel_first=True),
            Orientationd(keys, axcodes="LPS", labels=None),
            Spacingd(keys, pixdim=spacing, mode=("bilinear",) * len(images) + ("nearest",)),
            ScaleIntensityRanged(images, low, high, -1, 1, clip=True),
            CropForegroundd(keys, source_key="mask", select_fn=lambda m: m == 2, margin=4),
            Resized(keys, SETTINGS.shape, mode=("trilinear",) * len(images) + ("nearest",)),
        ]
    )


@dataclass(frozen=True)
class Cost:
    """Seconds that a piece of work takes: of the processor, and by the clock."""

    cpu_s: float
    wall_s: float


def timed(work: Callable[[], object]) -> Cost:
    """Do a piece of work and return what it took."""
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    work()
    return Cost(time.process_time() - cpu_s, time.perf_counter() - wall_s)


def measure(folder: Path, cache_dir: Path, form: Format, repeats: int) -> dict[str, Cost]:
    """Return the median cost of each piece of work, taken by turns."""
    chain = monai_chain(form)
    paths = {name.name.split(".")[0]: str(name) for name in folder.iterdir()}
    works: dict[str, Callable[[], object]] = {
        "bare decode (SimpleITK)": lambda: decode(folder),
        "hepafed, files to cache": lambda: prepare(folder, cache_dir),
        "MONAI chain": lambda: chain(paths),
        "hepafed with registration": lambda: prepare(folder, cache_dir, RIGID),
    }
    for warm in (decode, lambda folder: prepare(folder, cache_dir)):
        warm(folder)  # so that no one pays for reading the files from disk, or for imports
    costs: dict[str, list[Cost]] = {name: [] for name in works}
    for repeat in range(repeats):
        for name in works if repeat % 2 == 0 else reversed(works):
            costs[name].append(timed(works[name]))
    return {
        name: Cost(
            statistics.median(cost.cpu_s for cost in taken),
            statistics.median(cost.wall_s for cost in taken),
        )
        for name, taken in costs.items()
    }


def main() -> None:
    """Print both ratios for both kinds of file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=120)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--memory-slices", type=int, default=600, help="0 leaves it out")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    threadpool_limits(1)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    console = Console()
    forms: tuple[Format, ...] = ("NIfTI", "DICOM")
    for form in forms:
        with tempfile.TemporaryDirectory() as temporary:
            folder, cache_dir = Path(temporary) / "patient", Path(temporary) / "cache"
            folder.mkdir()
            with console.status("Writing a patient of 512 x 512 voxels"):
                write_patient(folder, arguments.slices, form)
            costs = measure(folder, cache_dir, form, arguments.repeats)
        console.print(
            _table(
                costs, f"{form}: 3 phases and a mask, 512 x 512 x {arguments.slices}, one thread"
            )
        )
    if arguments.memory_slices:
        for form in forms:
            _print_memory(form, arguments.memory_slices, console)


def _print_memory(form: Format, slices: int, console: Console) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder, cache_dir = Path(temporary) / "patient", Path(temporary) / "cache"
        folder.mkdir()
        with console.status(f"Writing a patient of {slices} slices"):
            write_patient(folder, slices, form)
        peak = peak_gib(folder, cache_dir)
    console.print(f"{form}: peak memory {peak:.2f} GiB, 512 x 512 x {slices} (goal < 2 GiB)")


def _table(costs: dict[str, Cost], title: str) -> Table:
    bare, ours, chain, rigid = costs.values()
    table = Table(
        title=title,
        caption=f"of the processor's time: hepafed / decode = {ours.cpu_s / bare.cpu_s:.2f}"
        f" (goal <= 1.25); MONAI / hepafed = {chain.cpu_s / ours.cpu_s:.1f} (goal >= 8);"
        f" registration adds {rigid.cpu_s - ours.cpu_s:.2f} s\n"
        f"by the clock: {ours.wall_s / bare.wall_s:.2f}; {chain.wall_s / ours.wall_s:.1f};"
        f" {rigid.wall_s - ours.wall_s:.2f} s",
    )
    for column in ("what", "CPU s", "of bare decode", "wall s", "of bare decode"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for name, cost in costs.items():
        of_bare = (cost.cpu_s / bare.cpu_s, cost.wall_s / bare.wall_s)
        table.add_row(
            name,
            f"{cost.cpu_s:.2f}",
            f"{of_bare[0]:.2f}",
            f"{cost.wall_s:.2f}",
            f"{of_bare[1]:.2f}",
        )
    return table


if __name__ == "__main__":
    main()
