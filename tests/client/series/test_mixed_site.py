"""A site whose folders are what an archive exported, through the command's own door."""

import multiprocessing
import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from client.cohort import PreparedSite, SiteFolderError, build_roi
from client.evidence.reasons import reason_code
from client.imaging.cache import load_roi
from client.series.choose import Choice
from client.series.patient import ChoiceStore
from client.series.rows import write_series
from tests.client.patients import GOOD_ROW, SMALL, prepare, write_clinical, write_patient
from tests.client.series.mixed_folder import ARTERIAL, DELAYED, NAMELESS, PORTAL, TRIPHASIC, write

# Written into every header field that may name a person.
POISON = "ZQXPOISON"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Write a site of two patients: ``a`` has mixed series, ``b`` nameless ones."""
    folder = tmp_path / "site"
    write_clinical(folder, {"a": GOOD_ROW, "b": GOOD_ROW})
    write(folder / "a", *TRIPHASIC)
    write(folder / "b", *NAMELESS)
    return folder


def name_by_hand(site: Path, *lines: str) -> None:
    text = "\n".join(["patient_id,phase,series", *lines]) + "\n"
    (site / "phases.csv").write_text(text, encoding="utf-8")


def series_of(prepared: PreparedSite, patient: str, number: int) -> str:
    (found,) = [r.series for p, r in prepared.series if (p, r.number) == (patient, str(number))]
    return found


def test_mixed_folders_are_prepared_like_the_contracts(site: Path) -> None:
    prepared = prepare(site)
    assert prepared.set_aside == ()
    assert [case.present for case in prepared.cases] == [(True, True, True)] * 2
    assert [patient for patient, _ in prepared.series] == ["a"] * 4 + ["b"] * 4
    # The same scans under the contract's names make the same region.
    plain = site.parent / "plain"
    write_clinical(plain, {"a": GOOD_ROW})
    for number, phase in enumerate(("arterial", "portal_venous", "delayed"), start=1):
        source = site / "a" / "DICOM" / f"ST{number % 2}" / f"SE{number}"
        shutil.copytree(source, plain / "a" / phase)
    shutil.copy(site / "a" / "mask.nii.gz", plain / "a")
    one, other = (load_roi(p.cases[0].roi_path) for p in (prepared, prepare(plain)))
    assert (one.phases == other.phases).all()
    assert prepare(plain).series == ()


def test_links_to_folders_of_an_archive_are_followed(site: Path) -> None:
    """Also one that leads back to where it lies."""
    expected = prepare(site)
    archive = site.parent / "archive"
    shutil.move(site / "a" / "DICOM", archive)
    (site / "a" / "DICOM").symlink_to(archive)
    (archive / "again").symlink_to(archive)
    found = prepare(site)
    assert found.cases == expected.cases
    assert found.series == expected.series


def test_a_volume_of_another_name_is_told_beside_dicom(site: Path) -> None:
    shutil.rmtree(site / "a" / "DICOM" / "ST1" / "SE1")
    shutil.copy(site / "a" / "mask.nii.gz", site / "a" / "ART.nii.gz")
    prepared = prepare(site)
    assert prepared.cases[0].present == (False, True, True)
    told = {row.reason for row in prepared.set_aside if row.file == "a/."}
    assert any("a volume that is no DICOM is not looked at: a phase is called" in r for r in told)
    assert "ART" not in str(prepared.set_aside)


def test_a_phase_that_is_not_sure_is_told(site: Path) -> None:
    shutil.rmtree(site / "a")
    write(site / "a", replace(ARTERIAL, seen="portal_venous"), PORTAL, DELAYED)
    prepared = prepare(site)
    assert prepared.cases[0].present == (False, True, True)
    (row,) = prepared.set_aside
    assert row.reason == ("used without this phase: no series is surely this phase; 1 may be one")
    assert row.file == "a/arterial"


def test_a_patient_without_any_sure_phase_is_set_aside_with_its_series(site: Path) -> None:
    shutil.rmtree(site / "a")
    write(site / "a", replace(ARTERIAL, seen="unclear", description="Abdomen"))
    prepared = prepare(site)
    assert [case.patient_id for case in prepared.cases] == ["b"]
    assert prepared.set_aside[0].reason.startswith("no phase can be used: arterial: no series")
    assert [row.decision for patient, row in prepared.series if patient == "a"] == ["set aside"]


def test_what_a_person_names_is_used_again_and_again(site: Path) -> None:
    first = prepare(site)
    name_by_hand(
        site,
        f"a,arterial,{series_of(first, 'a', 2)}",
        "a,delayed,none",
        "",
    )
    for prepared in (prepare(site), prepare(site)):
        used = {row.phase: row for p, row in prepared.series if p == "a" and row.decision == "used"}
        assert sorted(used) == ["arterial", "portal_venous"]
        assert (used["arterial"].number, used["arterial"].evidence) == ("2", "named in phases.csv")
        assert prepared.cases[0].present == (True, True, False)
        assert prepared.cases[0].roi_path != first.cases[0].roi_path
        assert prepared.cases[1] == first.cases[1]
    (site / "phases.csv").unlink()
    assert prepare(site) == first


def test_a_prediction_takes_what_a_person_named(site: Path) -> None:
    number = series_of(prepare(site), "a", 2)
    name_by_hand(site, f"a,arterial,{number}", "a,portal_venous,none")
    alone = build_roi(site / "a", SMALL)[0]
    kept = load_roi(prepare(site).cases[0].roi_path)
    assert kept.present.tolist() == alone.present.tolist() == [True, False, True]
    assert (kept.phases == alone.phases).all()


def test_what_a_person_names_where_phases_have_their_own_names_is_told(site: Path) -> None:
    write_patient(site / "c")
    write_clinical(site, dict.fromkeys(("a", "b", "c"), GOOD_ROW))
    name_by_hand(site, "c,delayed,none")
    (row,) = prepare(site).set_aside
    assert (row.patient_id, row.file) == ("c", "phases.csv")
    assert "lie under their own names" in row.reason
    assert reason_code(row.reason) == "used-with-a-note"


def test_what_a_person_names_and_is_not_there_is_told(site: Path) -> None:
    name_by_hand(site, "a,arterial,00000000", "ghost,arterial,none")
    reasons = {row.patient_id: row.reason for row in prepare(site).set_aside}
    assert "names a series that is not there for the arterial phase" in reasons["a"]
    assert reasons["ghost"] == "named there, but not among this site's patients"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a,venous,none", "row 2 needs a patient_id, a phase"),
        ("a,arterial,", "row 2 needs"),
        ("a,arterial,x\na,arterial,y", "row 3 names this phase a second time"),
    ],
)
def test_a_wrong_line_in_phases_csv_is_an_error(site: Path, line: str, message: str) -> None:
    name_by_hand(site, line)
    with pytest.raises(SiteFolderError, match=message):
        prepare(site)


def test_nothing_is_read_again_where_nothing_changed(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare(site)

    def read_nothing(*_: object) -> None:
        raise AssertionError("a file was read although nothing changed")

    with monkeypatch.context() as patched:
        patched.setattr("client.series.patient.read_headers", read_nothing)
        patched.setattr("client.cohort.build_region", read_nothing)
        assert prepare(site) == first
    for kept in (site.parent / "cache" / "series").iterdir():
        kept.write_text(kept.read_text()[:40])
    assert prepare(site) == first


def test_a_series_that_comes_later_is_weighed(site: Path) -> None:
    shutil.rmtree(site / "a" / "DICOM" / "ST1" / "SE3")
    assert prepare(site).cases[0].present == (True, True, False)
    write(site / "a" / "more", DELAYED, mask=False)
    assert prepare(site).cases[0].present == (True, True, True)


def test_burned_in_annotations_are_refused_under_the_contracts_names_too(site: Path) -> None:
    patient = site / "a"
    (patient / "DICOM" / "ST1" / "SE1").rename(patient / "arterial")
    (patient / "DICOM" / "ST0" / "SE2").rename(patient / "portal_venous")
    for file in (patient / "arterial").iterdir():
        header = pydicom.dcmread(file)
        header.BurnedInAnnotation = "YES"
        header.save_as(file)
    prepared = prepare(site)
    assert prepared.cases[0].present == (False, True, False)
    assert "burned-in annotations" in prepared.set_aside[0].reason


def test_other_series_beside_the_contracts_phases_are_told(site: Path) -> None:
    shutil.rmtree(site / "a" / "DICOM" / "ST0" / "SE0")  # the native series
    for phase, place in (("arterial", "ST1/SE1"), ("portal_venous", "ST0/SE2")):
        (site / "a" / "DICOM" / place).rename(site / "a" / phase)
    note = "used, though other DICOM files lie beside its phases, which are not looked at"
    for _ in range(2):  # told again where the region is taken from the cache
        prepared = prepare(site)
        assert prepared.cases[0].present == (True, True, False)
        assert [(row.patient_id, row.reason) for row in prepared.set_aside] == [("a", note)]
        assert reason_code(note) == "used-with-a-note"
    shutil.rmtree(site / "a" / "DICOM")
    (site / "a" / "notes.txt").write_text("no DICOM")
    assert prepare(site).set_aside == ()


def test_a_mixed_folder_with_a_link_that_leads_nowhere_is_not_chosen_from(site: Path) -> None:
    """What is out of reach may be the arterial phase: no other is to be taken for it."""
    (site / "a" / "DICOM" / "ST1").rename(site / "unmounted")
    (site / "a" / "DICOM" / "ST1").symlink_to(site.parent / "archive" / "ST1")
    prepared = prepare(site)
    assert [case.patient_id for case in prepared.cases] == ["b"]
    told = [row for row in prepared.set_aside if row.patient_id == "a"]
    assert [row.file for row in told] == ["a"]
    assert "a link leads nowhere" in told[0].reason


def save_often(store: ChoiceStore, folder: Path) -> None:
    for _ in range(300):
        store.save("state", folder, Choice({}, (), ()))


def test_two_processes_may_keep_the_same_choice_at_once(tmp_path: Path) -> None:
    """As a node and a person's own command do, who share a cache."""
    store = ChoiceStore(tmp_path / "series")
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        for done in [pool.submit(save_often, store, tmp_path / "patient") for _ in range(2)]:
            done.result()
    assert store.load("state", tmp_path / "patient") == Choice({}, (), ())


def poisoned(header: pydicom.Dataset) -> None:
    for field in (
        *("PatientName", "PatientID", "PatientAddress", "AccessionNumber", "InstitutionName"),
        *("ReferringPhysicianName", "OperatorsName", "StudyDescription", "ProtocolName"),
        *("StudyID", "OtherPatientNames", "PatientComments", "ImageComments", "StationName"),
        *("BodyPartExamined", "RequestingPhysician", "PerformedProcedureStepDescription"),
    ):
        setattr(header, field, POISON[:16])
    header.PatientBirthDate, header.StudyDate = "19010203", "20010203"
    header.SeriesDescription = f"{POISON} {header.SeriesDescription} {POISON}"
    header.ContrastBolusAgent = POISON


def test_what_names_a_person_goes_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site"
    write_clinical(site, {"a": GOOD_ROW, "b": GOOD_ROW})
    write(site / "a", *(replace(one, header=poisoned) for one in TRIPHASIC))
    write(site / "b", *(replace(one, header=poisoned, seen="unclear") for one in NAMELESS))
    for file in (site / "a" / "DICOM").rglob("*.dcm"):
        file.rename(file.with_name(f"{POISON}{file.name}"))
    portal = sorted((site / "a" / "DICOM" / "ST0" / "SE2").iterdir())
    portal[3].write_bytes(portal[3].read_bytes()[:-400])
    for missing in sorted((site / "a" / "DICOM" / "ST1" / "SE3").iterdir())[8:10]:
        missing.unlink()
    with caplog.at_level("DEBUG"):
        prepared = prepare(site)
    write_series(prepared.series, tmp_path / "cache" / "series.csv")
    assert prepared.set_aside
    told = caplog.text + "".join(capfd.readouterr()) + repr(prepared)
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert len(kept) >= 4
    for secret in (POISON, "19010203", "20010203"):
        assert secret not in told
        for path in kept:
            assert secret.encode() not in path.read_bytes(), path
            assert secret not in path.name
