"""What a federation of prepared sites does not load: memory that training has no use for."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from client.imaging.cache import save_roi
from client.imaging.roi import Roi
from shared.measurements import MEASUREMENTS

EDGE = 16
# Readers of images, torch's compiler, references of the statistics, Flower's other engine.
NOT_LOADED = {"SimpleITK", "highdicom", "torch._dynamo", "lifelines", "torchsurv", "ray", "mlflow"}
FEDERATE = """
import sys
from pathlib import Path

from client.cases import PreparedCase
from client.site import Site
from server.federation import FederationSettings
from shared.plan import OptimisationSettings, Plan
from shared.tasks import Labels, Survival
from simulation.federate import federate
from simulation.settings import RuntimeSettings

region, state = map(Path, sys.argv[1:])
labels = Labels(mvi=True, rfs=Survival(5.0, True), os=Survival(9.0, False))
sites = [
    Site(name, tuple(PreparedCase(f"{name}{k}", region, (True,) * 3, labels) for k in range(6)), "")
    for name in "ab"
]
plan = Plan(rounds=1, optimisation=OptimisationSettings(local_steps=1, batch_size=2))
assert federate(sites, FederationSettings(plan, state), RuntimeSettings()).finished
print(*sys.modules, sep="\\n")
"""


def test_training_loads_no_reader_of_images_and_no_compiler(tmp_path: Path) -> None:
    mask = np.ones((EDGE,) * 3, np.uint8)
    mask[6:10, 6:10, 6:10] = 2
    noise = np.random.default_rng(0).standard_normal((3, EDGE, EDGE, EDGE)).astype(np.float16)
    measured = np.zeros(len(MEASUREMENTS), np.float32)
    region = tmp_path / "region.safetensors"
    save_roi(Roi(noise, mask, np.ones(3, np.uint8), 3.0, measured, (0.8, 3.0)), region)
    done = subprocess.run(
        [sys.executable, "-c", FEDERATE, str(region), str(tmp_path / "state")],
        check=True,
        capture_output=True,
        text=True,
    )
    assert NOT_LOADED & set(done.stdout.split()) == set()
