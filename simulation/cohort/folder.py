"""A federation's folder of the data contract, whoever made it."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from simulation.cohort.settings import EXTERNAL

CLINICAL_CSV = "clinical.csv"
TRUTH_CSV = "truth.csv"
TRUTH_COLUMNS = ("patient_id", "site", "os_log_hazard", "rfs_log_hazard", "mvi_probability")


class FederationFolderError(ValueError):
    """A federation's folder is not what the contract says; the message says what to do."""


@dataclass(frozen=True)
class SiteFolder:
    """One institution's folder, which holds a ``clinical.csv``."""

    name: str
    path: Path


@dataclass(frozen=True)
class FederationFolder:
    """The institutions found in a federation's folder.

    Attributes
    ----------
    training : tuple of SiteFolder
        Sorted by name, at least one.
    external : SiteFolder or None
        The held-out institution.
    truth_csv : Path or None
        The truth of a synthetic cohort.
    """

    training: tuple[SiteFolder, ...]
    external: SiteFolder | None
    truth_csv: Path | None


@dataclass(frozen=True)
class Truth:
    """The true risk of one synthetic patient."""

    os_log_hazard: float
    rfs_log_hazard: float
    mvi_probability: float


def find_sites(root: Path) -> FederationFolder:
    """Find the institutions in a federation's folder: every folder with a ``clinical.csv``.

    Raises
    ------
    FederationFolderError
        No such folder, no institution in it, or one institution's folder instead.
    """
    if not root.is_dir():
        raise FederationFolderError(f"{root} is not a folder: give the one that holds the sites")
    sites = [
        SiteFolder(path.name, path)
        for path in sorted(root.iterdir())
        if not path.name.startswith(".") and (path / CLINICAL_CSV).is_file()
    ]
    training = tuple(site for site in sites if site.name != EXTERNAL)
    if not training:
        raise FederationFolderError(_why_no_site(root, sites))
    external = next((site for site in sites if site.name == EXTERNAL), None)
    truth_csv = root / TRUTH_CSV
    return FederationFolder(training, external, truth_csv if truth_csv.is_file() else None)


def _why_no_site(root: Path, sites: list[SiteFolder]) -> str:
    if (root / CLINICAL_CSV).is_file():
        return f"{root} is one site's folder: give the folder above, which holds all sites"
    if sites:
        return f"{root} holds only {EXTERNAL}/, which never trains: add a training site beside it"
    if not any(root.iterdir()):
        return f"{root} is empty: it must hold one folder a site, each with a {CLINICAL_CSV}"
    return f"no folder in {root} has a {CLINICAL_CSV}: each site needs one, as the contract says"


def read_truth(path: Path) -> dict[tuple[str, str], Truth]:
    """Read ``truth.csv``: (site, patient_id) to the patient's true risk.

    Raises
    ------
    FederationFolderError
        A column is missing, a value is no finite number, or a patient occurs twice.
    """
    truth: dict[tuple[str, str], Truth] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        absent = [name for name in TRUTH_COLUMNS if name not in (rows.fieldnames or ())]
        if absent:
            raise FederationFolderError(f"{path} lacks the column {', '.join(absent)}")
        for row in rows:
            key = row["site"], row["patient_id"]
            if key in truth:
                raise FederationFolderError(f"{path}, line {rows.line_num}: patient occurs twice")
            truth[key] = _truth_of(row, f"{path}, line {rows.line_num}")
    return truth


def _truth_of(row: dict[str, str], where: str) -> Truth:
    try:
        os, rfs, mvi = (float(row[name] or "nan") for name in TRUTH_COLUMNS[2:])
    except ValueError as error:
        raise FederationFolderError(f"{where}: {error}") from error
    if not (math.isfinite(os) and math.isfinite(rfs) and 0 <= mvi <= 1):
        raise FederationFolderError(
            f"{where}: log hazards must be finite and mvi_probability in [0, 1]"
        )
    return Truth(os_log_hazard=os, rfs_log_hazard=rfs, mvi_probability=mvi)
