"""A site's patients in sums: who made the scanners, and attenuation by phase."""

from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest

from client.cases import PreparedCase, SetAside
from client.evidence.describe import describe, describe_cohort, measure
from client.evidence.rule import Rule
from client.imaging.cache import load_facts
from client.preparation.facts import PhaseFacts, from_text, maker_of_patient, to_text
from client.site import Site
from shared.evidence.description import MANUFACTURERS, Description
from shared.evidence.table_one import characteristics
from shared.plan import Plan
from shared.reporting.measure_tables import characteristics_table
from shared.tasks import PHASES, Labels, Phase
from tests.client.imaging.dicom_files import write_series
from tests.client.patients import (
    GOOD_ROW,
    LIVER_HU,
    ORIGIN_MM,
    SPACING_MM,
    TUMOUR_HU,
    phase_array,
    prepare,
    write_clinical,
    write_patient,
)

GRID = Plan().time_grid


def as_dicom(patient: Path, phase: Phase, manufacturer: str | None, seed: int = 0) -> None:
    """Put a DICOM series of a maker in the place of a phase's file."""

    def name_maker(_: int, header: pydicom.Dataset) -> None:
        if manufacturer is not None:
            header.Manufacturer = manufacturer

    (patient / f"{phase}.nii.gz").unlink()
    write_series(
        patient / phase,
        phase_array(phase, seed),
        spacing_mm=SPACING_MM,
        origin_mm=ORIGIN_MM.tolist(),
        change=name_maker,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PreparedCase]:
    """Prepare a patient of every kind: a maker's name, another, two, none, and volumes."""
    folder = tmp_path_factory.mktemp("describe") / "site"
    scans: dict[str, dict[Phase, str | None]] = {
        "siemens": {"arterial": "SIEMENS", "delayed": "Siemens Healthineers"},
        "toshiba": {"arterial": "TOSHIBA_MEC"},
        "both": {"arterial": "SIEMENS", "delayed": "GE MEDICAL SYSTEMS"},
        "nameless": {"arterial": None},
        "volumes": {},
    }
    write_clinical(folder, dict.fromkeys(scans, GOOD_ROW))
    for seed, (patient, makers) in enumerate(scans.items()):
        write_patient(folder / patient, seed=seed)
        for phase, manufacturer in makers.items():
            as_dicom(folder / patient, phase, manufacturer, seed)
    prepared = prepare(folder)
    assert prepared.set_aside == ()
    return {case.patient_id: case for case in prepared.cases}


def test_a_scanner_is_told_by_its_makers_word(site: dict[str, PreparedCase]) -> None:
    makers = {
        patient: maker_of_patient(from_text(load_facts(case.roi_path)))
        for patient, case in site.items()
    }
    assert makers == {
        "siemens": "siemens",
        "toshiba": "canon-toshiba",
        "both": "other",
        "nameless": "unknown",
        "volumes": "no-header",
    }


def test_attenuation_is_told_in_hu_by_phase(site: dict[str, PreparedCase]) -> None:
    for case in site.values():
        values = measure(case)
        for phase in PHASES:
            assert values[f"liver_hu_{phase}"] == pytest.approx(LIVER_HU[phase], abs=1.5)
            assert values[f"tumour_hu_{phase}"] == pytest.approx(TUMOUR_HU[phase], abs=5)


def test_free_text_of_a_header_is_not_kept(site: dict[str, PreparedCase]) -> None:
    kept = load_facts(site["siemens"].roi_path)
    assert "Healthineers" not in kept
    assert "SIEMENS" not in kept


def test_makers_and_attenuation_reach_table_one(site: dict[str, PreparedCase]) -> None:
    """Two sites: one of volumes alone, one that shares DICOM of two makers three to one."""
    volumes = [site["volumes"]] * 6
    dicom = [site["siemens"]] * 6 + [site["toshiba"]] * 2
    rule = Rule(1, 0)
    told = [
        Description(name, 1, {"training": describe_cohort(cases, GRID, rule)}, {}, 0)
        for name, cases in (("nifti", volumes), ("dicom", dicom))
    ]
    rows = {row.name: row for row in characteristics(told)}
    siemens = rows["Scanner: Siemens"]
    assert (siemens.by_site["dicom"].count, siemens.by_site["dicom"].patients) == (6, 8)
    # Austin 2009: (p - q) / sqrt((p (1 - p) + q (1 - q)) / 2) with p = 6/8 and q = 0.
    assert siemens.by_site["dicom"].difference == pytest.approx(0.75 / np.sqrt(0.1875 / 2))
    unknown = rows["Scanner: unknown (volumes without headers)"]
    assert (unknown.by_site["nifti"].count, unknown.by_site["dicom"].count) == (6, 0)
    assert "Scanner: Philips" not in rows
    liver = rows["Liver, arterial"]
    values = [measure(case)["liver_hu_arterial"] for case in dicom]
    assert liver.unit == "HU"
    assert liver.by_site["dicom"].mean == pytest.approx(np.mean(values), abs=1e-9)
    assert liver.by_site["dicom"].deviation == pytest.approx(np.std(values, ddof=1), abs=1e-9)
    page = characteristics_table(characteristics(told))
    assert "Liver, arterial, HU" in [row.heading for group in page.groups for row in group.rows]


def test_few_of_a_maker_are_not_told_nor_to_be_computed(site: dict[str, PreparedCase]) -> None:
    cases = [site["siemens"]] * 9 + [site["volumes"]] * 7 + [site["toshiba"]] * 2
    told = describe_cohort(cases, GRID, Rule(5, 0)).manufacturers
    # 18 - 9 - 7 would be the two: the next smallest are kept back with them.
    assert told == {
        **dict.fromkeys(MANUFACTURERS, 0),
        "siemens": 9,
        "canon-toshiba": None,
        "no-header": None,
    }


def test_what_few_lack_does_not_follow_from_a_measure(tmp_path: Path) -> None:
    """One of 26 lacks the arterial phase: 25 with its attenuation would tell that as well."""
    write_clinical(tmp_path / "site", dict.fromkeys(("lacking", "whole"), GOOD_ROW))
    write_patient(tmp_path / "site" / "lacking", ("portal_venous", "delayed"))
    write_patient(tmp_path / "site" / "whole", seed=1)
    lacking, whole = prepare(tmp_path / "site").cases
    told = describe_cohort([whole] * 25 + [lacking], GRID, Rule(5, 0))
    assert (told.phases["arterial"], told.phases["delayed"]) == (None, 26)
    counts = {name: told.measures[name].patients for name in told.measures}
    assert counts["liver_hu_arterial"] == counts["tumour_hu_arterial"] == 0
    assert counts["liver_hu_delayed"] == counts["tumour_diameter_mm"] == 26
    many = describe_cohort([whole] * 21 + [lacking] * 5, GRID, Rule(5, 0))
    assert many.phases["arterial"] == many.measures["liver_hu_arterial"].patients == 21


def test_a_site_too_small_tells_no_maker(site: dict[str, PreparedCase]) -> None:
    told = describe_cohort([site["volumes"]] * 4, GRID, Rule(5, 0)).manufacturers
    assert set(told.values()) == {None}


@pytest.mark.parametrize("seed", range(20))
def test_what_is_withheld_of_categories_is_enough_or_nobody(seed: int) -> None:
    counts = Counter(dict(enumerate(np.random.default_rng(seed).integers(0, 12, 6).tolist())))
    told = Rule(5, 0).told_categories(counts)
    held = sum(counts[name] for name, count in told.items() if count is None)
    assert all(count in (None, counts[name]) for name, count in told.items())
    assert all(count in (None, 0) or count >= 5 for count in told.values())
    assert held == 0 or held >= 5 or held == sum(counts.values())


def test_a_region_kept_before_makers_were_noted_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    write_clinical(folder, {"a": GOOD_ROW})
    write_patient(folder / "a")

    assert (prepare(folder).fresh, prepare(folder).fresh) == (1, 0)
    (kept,) = (tmp_path / "cache").glob("*.safetensors")
    content = kept.read_bytes()
    noted = b'\\"noted\\": 2'
    assert noted in content
    kept.write_bytes(content.replace(noted, b'\\"noted\\": 1'))
    assert prepare(folder).fresh == 1


def test_facts_without_a_maker_are_of_a_volume() -> None:
    old = to_text({"arterial": PhaseFacts(0.8, 2.5, 60.0, 80.0, None)})
    assert maker_of_patient(from_text(old)) == "no-header"


def test_reasons_are_told_of_enough_patients_and_none_can_be_computed() -> None:
    """Entries are not patients, and of patients set aside the number of all is told."""
    phases_of_three = [SetAside(f"p{k // 2}", "used without this phase: x", "f") for k in range(6)]
    damaged = [SetAside(f"d{k}", "is damaged or cut short", "f") for k in range(8)]
    without_mask = [SetAside(f"m{k}", "no mask: expected mask.nii.gz", "f") for k in range(3)]
    strayed = [
        SetAside(f"s{k}", "the tumour of the mask lies outside this scan", "f") for k in range(6)
    ]
    aside = (*phases_of_three, *damaged, *without_mask, *strayed)
    cases = tuple(PreparedCase(f"p{k}", Path(), (True,) * 3, Labels()) for k in range(3))
    told = describe(Site("a", cases, "", set_aside=aside), {}, GRID, Rule(5, 0))
    assert told.excluded == 17
    # 6 entries, but of 3 patients; 17 - 8 - 6 would be the 3 without a mask.
    assert told.set_aside["phase-left-out"] is None
    assert told.set_aside["no-mask"] is None
    assert told.set_aside["geometry"] is None
    assert told.set_aside["unreadable"] == 8
    assert told.set_aside["other"] == 0
