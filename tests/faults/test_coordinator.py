"""The coordinator's command over a real link and two sites: followed, left, killed, resumed."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from safetensors.numpy import load_file

from server.checkpoint import read_history
from server.federation import best_weights
from server.settings import settings_from
from shared.model_folder import WEIGHTS_FILE
from tests.faults.cohort import simulate
from tests.faults.federation import (
    ENVIRONMENT,
    NGINX,
    PATIENCE_S,
    ROOT,
    Federation,
    open_federation_of,
)
from tests.polling import wait_until
from tests.shared.reporting.browser import BROWSER, check_opens

pytestmark = [
    pytest.mark.skipif(not NGINX.exists(), reason="nginx is not installed"),
    pytest.mark.faults,
]

SITES = ("site_1", "site_2")
PLAN = (
    *("preprocessing.shape=[16,16,16]", "preprocessing.spacing_mm=5.0", "training_fraction=0.6"),
    *("model.init_features=8", "model.growth_rate=4", "model.block_config=[2,2]"),
    *("model.embedding=8", "bootstrap_resamples=20", "synthetic=true"),
)


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Start a coordinator and two sites."""
    with open_federation_of(tmp_path_factory.mktemp("coordinator"), SITES) as federation:
        yield federation


def start(federation: Federation, name: str, *words: str) -> subprocess.Popen[str]:
    """Start ``server/run.py`` for a run of this name."""
    authority = federation.home / "certificates" / "internal-authority.pem"
    return subprocess.Popen(
        [
            *(sys.executable, str(ROOT / "server" / "run.py"), "sites=[site_1,site_2]"),
            *(f"link_address=127.0.0.1:{federation.link_port}", f"link_authority={authority}"),
            *(f"output_dir={federation.root / name}", *PLAN, *words),
        ],
        cwd=federation.root,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for the command and return what it printed."""
    printed, _ = process.communicate(timeout=PATIENCE_S)
    return printed


def rounds(folder: Path) -> list[int]:
    return [record["round"] for record in read_history(folder / "state")]


def test_a_watcher_that_left_and_a_killed_app_cost_no_result(federation: Federation) -> None:
    """Followed, left, the app's process killed; the same command ends like a simulation."""
    folder = federation.root / "run"
    watcher = start(federation, "run", "rounds=2")
    wait_until("round 1 is done", lambda: 1 in rounds(folder), PATIENCE_S)
    watcher.send_signal(signal.SIGINT)
    printed = finish(watcher)
    assert watcher.returncode == 130, printed
    assert "the run goes on" in printed
    federation.kill("coordinator", "flwr-serverapp")
    watcher = start(federation, "run", "rounds=2")
    printed = finish(watcher)
    assert watcher.returncode == 0, printed
    assert "SYNTHETIC" in printed.upper()
    left = {path.name for path in folder.iterdir()}
    assert {"metrics.json", "report.html", "model", "rounds.jsonl", "config.yaml"} <= left
    assert "state" not in left
    if BROWSER is not None:
        check_opens(folder / "report.html", federation.root / "browser")
    metrics = json.loads((folder / "metrics.json").read_text())["methods"]["fedavg"]
    assert metrics["training"]["os_c_index"]["n"] > 0
    records = [json.loads(line) for line in (folder / "rounds.jsonl").read_text().splitlines()]
    assert [list(record.get("sites", {})) for record in records] == [[], [*SITES], [*SITES]]
    settings = settings_from(yaml.safe_load((folder / "config.yaml").read_text()))
    simulated = simulate(federation.root, SITES, settings.plan, federation.root / "simulated")
    expected = best_weights(simulated)
    found = load_file(folder / "model" / WEIGHTS_FILE)
    assert found.keys() == expected.keys()
    assert all(found[key].tobytes() == expected[key].tobytes() for key in expected)


def test_a_run_that_every_site_refuses_ends_by_name(federation: Federation) -> None:
    process = start(federation, "refused", "rounds=1", "attempts=1", "preprocessing.scale_hu=41.0")
    printed = finish(process)
    assert process.returncode == 3, printed
    assert "Ended too-few-sites" in printed
    assert "site_1 OTHER_PREPROCESSING, site_2 OTHER_PREPROCESSING" in " ".join(printed.split())


def test_what_a_person_can_mend_is_told_in_one_line(federation: Federation) -> None:
    process = start(federation, "silent", "link_address=127.0.0.1:9")
    printed = finish(process)
    assert process.returncode == 2
    assert "does not answer" in printed
    assert "Traceback" not in printed
