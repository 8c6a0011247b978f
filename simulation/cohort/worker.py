"""A process that writes patients: ``python -m simulation.cohort.worker``.

Lines of JSON on standard input: first the settings and the federation's folder, then one
patient a line. It answers each line with `DONE`, and ends with its input. A process of its
own, rather than a fork, imports only what rendering needs and inherits no threads.
"""

import json
import sys
from pathlib import Path

from shared.config import from_json
from simulation.cohort.patient import draw_patient
from simulation.cohort.patient_folder import write_patient
from simulation.cohort.settings import SyntheticCohortSettings

MODULE = "simulation.cohort.worker"
DONE = "done"


def main() -> None:
    """Serve until the input ends."""
    job = json.loads(sys.stdin.readline())
    settings = from_json(SyntheticCohortSettings, job["settings"], where="cohort.settings")
    root = Path(job["root"])
    print(DONE, flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        patient = draw_patient(settings, task["site"], task["index"])
        write_patient(settings, patient, root)
        print(DONE, flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
