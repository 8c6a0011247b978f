"""The arrows: simulation -> client, server -> shared, and never back."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "shared": {"shared"},
    "client": {"client", "shared"},
    "server": {"server", "shared"},
    "simulation": {"simulation", "client", "server", "shared"},
}


def imported_packages(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_room_imports_only_what_it_may(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        reached = imported_packages(path) & MAY_IMPORT.keys()
        assert reached <= MAY_IMPORT[package], f"{path} imports {reached - MAY_IMPORT[package]}"


@pytest.mark.parametrize("package", ["server", "shared"])
def test_the_coordinators_side_needs_no_imaging_library(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        assert not imported_packages(path) & {"SimpleITK", "pydicom", "nibabel"}, path


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_no_pickle(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        assert not imported_packages(path) & {"pickle", "cloudpickle", "joblib", "dill"}, path
