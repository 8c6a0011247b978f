"""The command itself, in processes of its own, on a folder that somebody made."""

import contextlib
import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from tests.client.patients import as_image, label_array, write_clinical, write_patient
from tests.shared.reporting.browser import check_opens, needs_browser

ROOT = Path(__file__).resolve().parents[2]
SMALL = (
    "rounds=6",
    "minimum_count=1",
    "bootstrap_resamples=20",
    "preprocessing.shape=[16,16,16]",
    "preprocessing.spacing_mm=5.0",
    "model.init_features=8",
    "model.growth_rate=4",
    "model.block_config=[2,2]",
)
OUTPUT_FILES = (
    "metrics.json",
    "report.html",
    "rounds.jsonl",
    "config.yaml",
    "model/model.safetensors",
    "model/config.json",
    "model/README.md",
    "model/manifest.json",
    "model/configs/metadata.json",
    "model/configs/inference.json",
    "sites/north/set_aside.csv",
    "sites/south/set_aside.csv",
    "sites/external/set_aside.csv",
    "sites/external/set_aside_counts.csv",
)


def command(*overrides: str) -> list[str]:
    return [sys.executable, str(ROOT / "simulation" / "run.py"), *overrides]


def run(folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*overrides), cwd=folder, capture_output=True, text=True)


def overrides(cohort: Path, output_dir: str) -> list[str]:
    return ["cohort=folder", f"cohort.root={cohort}", f"output_dir={output_dir}", *SMALL]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a federation with one patient of each broken kind, and a site that lacks much."""
    root = tmp_path_factory.mktemp("cohort")
    generator = np.random.default_rng(0)
    rows = {
        f"n{k}": f"{k % 2},{generator.uniform(2, 30):.1f},1,{generator.uniform(31, 60):.1f},{k % 2}"
        for k in range(8)
    }
    broken = ("cut", "untumoured", "elsewhere", "nan", "phaseless", "backwards", "rowless")
    for seed, patient in enumerate([*rows, *broken]):
        write_patient(root / "north" / patient, seed=seed)
    rows |= dict.fromkeys(broken[:-2], "1,4,1,5,1")
    write_clinical(root / "north", {**rows, "backwards": "0,4,1,-5,1"})
    break_patients(root / "north")
    # No events and no MVI labels at all: nothing that a survival or a class metric could use.
    write_clinical(root / "south", {f"s{k}": f",{10 + k},0,{20 + k},0" for k in range(5)})
    for k in range(5):
        write_patient(root / "south" / f"s{k}", seed=k)
    write_clinical(root / "external", {f"e{k}": f"{k % 2},{3 + k},1,{9 + k},1" for k in range(4)})
    for k in range(4):
        write_patient(root / "external" / f"e{k}", seed=20 + k)
    return root


def break_patients(site: Path) -> None:
    for path in (site / "cut").glob("*.nii.gz"):
        path.write_bytes(path.read_bytes()[:300])
    healthy = np.minimum(label_array(), 1).astype(np.uint8)
    sitk.WriteImage(as_image(healthy), str(site / "untumoured" / "mask.nii.gz"))
    moved = as_image(label_array())
    moved.SetOrigin((900.0, 0.0, 0.0))
    sitk.WriteImage(moved, str(site / "elsewhere" / "mask.nii.gz"))
    holes = np.full(label_array().shape, np.nan, np.float32)
    for path in (site / "nan").glob("*.nii.gz"):
        if path.name != "mask.nii.gz":
            sitk.WriteImage(as_image(holes), str(path))
    for path in (site / "phaseless").glob("*.nii.gz"):
        if path.name != "mask.nii.gz":
            path.unlink()


@pytest.fixture(scope="module")
def finished(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    done = run(folder, *overrides(cohort, "out"))
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "out"


def test_every_file_of_the_contract_is_there(finished: Path) -> None:
    assert [name for name in OUTPUT_FILES if not (finished / name).is_file()] == []
    assert (finished.parent / "outputs" / "latest").resolve() == finished.resolve()


def test_metrics_are_as_the_contract_says(finished: Path) -> None:
    document = json.loads((finished / "metrics.json").read_text())
    assert document["schema"] == 1
    methods = document["methods"]
    expected = {"pooled", "radiomics", "fedavg", "local", "local/north", "local/south"}
    assert set(methods) == expected  # no oracle without truth.csv
    for method in methods.values():
        assert set(method) == {"training", "internal", "external"}
        for metrics in method.values():
            assert {"os_c_index", "rfs_c_index", "mvi_f1", "mvi_auc"} <= set(metrics)
            assert all(set(value) == {"value", "ci95", "n"} for value in metrics.values())
    assert methods["fedavg"]["external"]["os_c_index"]["n"] == 4


def test_every_broken_kind_is_set_aside_with_its_reason(finished: Path) -> None:
    with (finished / "sites" / "north" / "set_aside.csv").open(newline="") as stream:
        reasons = {row["patient_id"]: row["reason"] for row in csv.DictReader(stream)}
    expected = {
        "cut": "cut short",
        "untumoured": "no voxel is tumour",
        "elsewhere": "outside this scan",
        "nan": "not numbers",
        "phaseless": "no phase can be used",
        "backwards": "os_months must be a number > 0",
        "rowless": "no row in clinical.csv",
    }
    assert reasons.keys() == expected.keys()
    for patient, part in expected.items():
        assert part in reasons[patient]


def test_no_patient_is_named_beyond_the_sites_own_lists(finished: Path) -> None:
    for name in ("metrics.json", "report.html", "rounds.jsonl", "model/config.json"):
        text = (finished / name).read_text(encoding="utf-8")
        assert "untumoured" not in text
        assert "elsewhere" not in text


@needs_browser
def test_a_browser_opens_the_page(finished: Path, tmp_path: Path) -> None:
    check_opens(finished / "report.html", tmp_path)


def test_a_killed_run_ends_as_one_that_was_not(
    cohort: Path, finished: Path, tmp_path: Path
) -> None:
    """SIGKILL in the middle of training, then the same command: the same bytes."""
    words = overrides(cohort, "out")
    process = subprocess.Popen(
        command(*words), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    state = tmp_path / "out" / "state" / "fedavg"
    deadline = time.monotonic() + 120
    while not list(state.glob("checkpoint-*.json")):
        assert time.monotonic() < deadline
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.1)
            pytest.fail("the run ended before it could be killed")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out" / "metrics.json").exists()
    resumed = run(tmp_path, *words)
    assert resumed.returncode == 0, resumed.stderr
    assert "Going on with the unfinished run" in resumed.stdout
    for name in ("metrics.json", "model/model.safetensors", "model/config.json"):
        assert (tmp_path / "out" / name).read_bytes() == (finished / name).read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rounds=0"], "rounds must be at least 1"),
        (["cohort=folder", "cohort.root=absent"], "absent is not a folder"),
        (["cohort=folder", "cohort.root=empty"], "is empty"),
        (["optimisation.learning_rate=-1"], "learning_rate"),
    ],
)
def test_what_a_person_can_mend_is_told_in_one_line(
    tmp_path: Path, words: list[str], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    done = run(tmp_path, *words)
    assert done.returncode == 2
    assert message in " ".join(done.stdout.split())
    assert "Traceback" not in done.stdout + done.stderr
