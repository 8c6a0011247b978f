"""What an institution's commands write, nobody else on the machine can read."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.patients import GOOD_ROW, write_clinical, write_patient

ROOT = Path(__file__).resolve().parents[2]
FILE = """
name: north
folder: patients
cache_dir: kept/cache
state_dir: kept/state
workers: 2
preprocessing: {shape: [16, 16, 16], spacing_mm: 5.0, margin_mm: 10.0}
"""
TABLE = "patient_id,mvi\np1,1\n"
MAPPING = """
title: A table of our own
patient_id: patient_id
mvi: {column: mvi, positive: ["1"], negative: ["0"]}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Write a site of two patients, and one table to import."""
    write_clinical(tmp_path / "patients", dict.fromkeys(["p1", "p2"], GOOD_ROW))
    for patient in ("p1", "p2"):
        write_patient(tmp_path / "patients" / patient)
    (tmp_path / "site.yaml").write_text(FILE)
    (tmp_path / "table.csv").write_text(TABLE)
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    return tmp_path


def made_by(home: Path, *words: str) -> dict[str, int]:
    """Run a command as a shell would, and return the modes of what it made."""
    before = set(home.rglob("*"))
    script, *rest = words
    done = subprocess.run(
        [sys.executable, ROOT / "client" / script, *rest],
        cwd=home,
        umask=0o022,
        capture_output=True,
        text=True,
    )
    made = set(home.rglob("*")) - before
    assert made, done.stdout + done.stderr
    return {path.name: path.stat().st_mode & 0o777 for path in made}


@pytest.mark.parametrize(
    ("words", "among"),
    [
        (("prepare.py", "site=site.yaml"), {"cache", "index.json", "prepare.html"}),
        (("run.py", "site=site.yaml", "action=check"), {"cache", "state", "set_aside.csv"}),
        (
            ("import_table.py", "site=other", "mapping=mapping.yaml", "table=table.csv"),
            {"other", "clinical.csv"},
        ),
    ],
)
def test_only_the_sites_account_can_read_it(
    home: Path, words: tuple[str, ...], among: set[str]
) -> None:
    modes = made_by(home, *words)
    assert among <= modes.keys()
    assert {name: mode for name, mode in modes.items() if mode & 0o077} == {}
