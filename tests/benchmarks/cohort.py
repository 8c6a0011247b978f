"""What a synthetic patient costs: ``python -m tests.benchmarks.cohort [WORKERS]``.

Writes a tenth of every site of the default federation and prints seconds and megabytes a patient,
and what the whole comes to. CPU seconds do not depend on what else the machine does.
"""

import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from simulation.cohort.writer import write_cohort
from tests.benchmarks.default_cohort import default_settings

SHARE = 10


def main() -> None:
    """Write, and print the costs."""
    workers = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    settings = default_settings()
    whole = sum(settings.patients.values())
    tenth = {site: max(count // SHARE, 1) for site, count in settings.patients.items()}
    patients = sum(tenth.values())
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        root = write_cohort(replace(settings, patients=tenth), Path(folder), workers=workers)
        seconds = (time.perf_counter() - start) / patients
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        megabytes = sum(p.stat().st_size for p in root.rglob("*.nii.gz")) / patients / 1e6
    cpu_seconds = (used.ru_utime + used.ru_stime) / patients
    print(f"{seconds:.2f} s/patient with {workers} workers, {cpu_seconds:.2f} CPU-s/patient")
    print(f"{megabytes:.1f} MB/patient on disk, peak {used.ru_maxrss / 1024:.0f} MB a worker")
    print(f"the whole federation: {seconds * whole:.0f} s, {megabytes * whole / 1e3:.2f} GB")


if __name__ == "__main__":
    main()
