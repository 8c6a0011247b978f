"""The Flower app bundle: exactly the code of the two apps, and nothing of a hospital's."""

import subprocess
import sys
import zipfile
from pathlib import Path

from shared.app_bundle import build_bundle

ROOT = Path(__file__).resolve().parents[1]


def test_the_bundle_ships_the_apps_and_nothing_else(tmp_path: Path) -> None:
    # Built from a copy, so that nothing is left in the project's folder.
    expected = {"pyproject.toml"}
    for package in ("client", "server", "shared"):
        for path in (ROOT / package).rglob("*.py"):
            expected.add(path.relative_to(ROOT).as_posix())
    app = tmp_path / "hepafed"
    decoys = {"data/patients.json", "client/clinical.csv", "simulation/run.py", "notes.md"}
    decoys |= {"client/build/ignored.py", "shared/__pycache__/left.py"}
    for name in expected | {"README.md", "LICENSE", ".gitignore"}:
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_bytes((ROOT / name).read_bytes())
    for name in decoys:
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text("a patient's name")

    flwr = Path(sys.executable).parent / "flwr"
    subprocess.run([flwr, "build", "--app", app], cwd=tmp_path, check=True, capture_output=True)

    (bundle,) = tmp_path.glob("*.fab")
    files = {name for name in zipfile.ZipFile(bundle).namelist() if not name.startswith(".info/")}
    assert files == expected
    assert build_bundle(app) == bundle.read_bytes()
