from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from client.series.patient import choose_for_patient
from client.series.rows import SeriesRow
from shared.tasks import Phase
from tests.client.imaging.dicom_files import write_enhanced, write_segmentation
from tests.client.series.mixed_folder import (
    ARTERIAL,
    DELAYED,
    NAMELESS,
    NATIVE,
    ORIGIN_MM,
    PORTAL,
    SPACING_MM,
    TRIPHASIC,
    Series,
    labels,
    trunk,
    write,
)

ALL = ["arterial", "portal_venous", "delayed"]


def chosen(patient: Path) -> dict[Phase, str]:
    """Return which series was used for each phase, by its number."""
    choice = choose_for_patient(patient)
    rows = {row.phase: row.number for row in choice.rows if row.decision == "used"}
    assert list(choice.phases) == list(rows) or sorted(choice.phases) == sorted(rows)
    return rows  # type: ignore[return-value]


def row(patient: Path, number: int) -> SeriesRow:
    (found,) = [r for r in choose_for_patient(patient).rows if r.number == str(number)]
    return found


def test_three_phases_are_found_among_what_an_archive_exports(tmp_path: Path) -> None:
    others = (
        Series("topo", "Topogram 0.6 T20s", number=10, levels=(0, 1)),
        Series("scout", "nothing", number=11, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")),
        Series("monitor", "Abdomen", number=12, levels=(5, 9)),
        Series("mip", "Abdomen", number=13, image_type=("DERIVED", "SECONDARY", "AXIAL", "MIP")),
        Series("lung", "Arterial", number=14, kernel="B70f"),
        Series("chest", "CHEST ST", number=15),
        Series("cor", "COR ABD PV", number=16),
        Series("mr", "T1 arterial", number=17, modality="MR"),
        Series("short", "Arterial", number=18, levels=(0, 7)),
        Series("burned", "Arterial", number=19, header=burn_in),
        Series("report", "Dose Report", number=20, header=make_capture),
    )
    patient = write(tmp_path / "a", *TRIPHASIC, *others)
    assert chosen(patient) == {"arterial": "3", "portal_venous": "4", "delayed": "5"}
    reasons = {r.number: r.reason for r in choose_for_patient(patient).rows if r.decision != "used"}
    assert reasons == {
        "2": "native: without contrast medium",
        "10": "1 image: a localiser, bolus monitoring or a test",
        "11": "a localiser",
        "12": "4 images in few places: a localiser, bolus monitoring or a test",
        "13": "a projection or rendering, not slices",
        "14": "reconstructed with a sharp kernel, for lung or bone",
        "15": "of the chest",
        "16": "a coronal reformat",
        "17": "not CT: MR",
        "18": "does not cover the tumour of the mask",
        "19": "its pixels are said to hold burned-in annotations, which may name a person",
        "20": "a secondary capture: pixels of a screen, which may show a name",
    }


def burn_in(header: pydicom.Dataset) -> None:
    header.BurnedInAnnotation = "YES"


def make_capture(header: pydicom.Dataset) -> None:
    header.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"


def test_name_and_image_that_agree_are_sure(tmp_path: Path) -> None:
    patient = write(tmp_path / "a", *TRIPHASIC)
    assert [row(patient, n).confidence for n in (3, 4, 5)] == ["high"] * 3
    assert "aorta 300 HU, liver 65 HU" in row(patient, 3).evidence


def test_without_names_the_image_decides_less_surely(tmp_path: Path) -> None:
    patient = write(tmp_path / "a", *NAMELESS)
    assert chosen(patient) == {"arterial": "3", "portal_venous": "4", "delayed": "5"}
    assert [row(patient, n).confidence for n in (3, 4, 5)] == ["medium"] * 3
    assert row(patient, 2).reason == "native: without contrast medium"


def test_without_a_mask_names_decide_alone(tmp_path: Path) -> None:
    patient = write(tmp_path / "a", *TRIPHASIC, mask=False)
    assert list(chosen(patient)) == ALL
    assert row(patient, 3).confidence == "medium"


def test_a_name_that_the_image_contradicts_is_set_aside(tmp_path: Path) -> None:
    patient = write(tmp_path / "a", replace(ARTERIAL, seen="portal_venous"), DELAYED)
    choice = choose_for_patient(patient)
    assert list(choice.phases) == ["delayed"]
    told = row(patient, 3)
    assert told.decision == "set aside"
    assert told.reason == "its name says arterial, its image shows portal venous"
    assert [phase for _, phase in choice.problems] == ["arterial", "portal_venous"]


@pytest.mark.parametrize("start", ["100005", "235950"])
def test_times_after_contrast_decide_also_across_midnight(tmp_path: Path, start: str) -> None:
    def at(seconds: int) -> str:
        hours, minutes, base = int(start[:2]), int(start[2:4]), int(start[4:])
        clock = (hours * 3600 + minutes * 60 + base + seconds) % 86400
        return f"{clock // 3600:02d}{clock // 60 % 60:02d}{clock % 60:02d}.5"

    scans = [
        Series(f"s{n}", "Abdomen 3.0", "unclear", at(seconds), n, contrast=start)
        for n, seconds in ((1, -60), (2, 40), (3, 70), (4, 180), (5, 52))
    ]
    patient = write(tmp_path / "a", *scans)
    assert chosen(patient) == {"arterial": "2", "portal_venous": "3", "delayed": "4"}
    assert row(patient, 1).reason == "native: without contrast medium"
    assert row(patient, 5).decision == "set aside"
    assert "time: 40 s after contrast" in row(patient, 2).evidence


def test_an_injection_time_on_which_headers_disagree_is_left(tmp_path: Path) -> None:
    scans = [
        Series("s2", "Abdomen", "unclear", "100040", 2, contrast="100000"),
        Series("s3", "Abdomen", "unclear", "100150", 3, contrast="100110"),
    ]
    assert chosen(write(tmp_path / "a", *scans)) == {}


@pytest.mark.parametrize("by", ["acquisition", "time", "instance"])
def test_phases_of_one_series_are_told_apart(tmp_path: Path, by: str) -> None:
    def one_series(header: pydicom.Dataset) -> None:
        header.SeriesInstanceUID = "1.2.3.77"
        if by != "acquisition":
            header.InstanceNumber = 1000 * header.AcquisitionNumber + header.InstanceNumber % 1000
            header.AcquisitionNumber = 1
        if by != "time":
            del header.AcquisitionTime

    scans = [
        replace(one, description="3 PHASE LIVER", acquisition=n, number=9, header=one_series)
        for n, one in enumerate((ARTERIAL, PORTAL, DELAYED), start=1)
    ]
    patient = write(tmp_path / "a", *scans)
    choice = choose_for_patient(patient)
    assert list(choice.phases) == ALL
    assert [len(files) for files in choice.phases.values()] == [18, 18, 18]
    assert [r.series[-2:] for r in choice.rows] == ["-1", "-2", "-3"]


def test_doubled_places_that_nothing_tells_apart_are_passed_over(tmp_path: Path) -> None:
    def one_series(header: pydicom.Dataset) -> None:
        header.SeriesInstanceUID = "1.2.3.77"
        header.InstanceNumber, header.AcquisitionNumber = 1, 1
        del header.AcquisitionTime

    scans = [replace(one, acquisition=n, header=one_series) for n, one in enumerate(TRIPHASIC)]
    (told,) = choose_for_patient(write(tmp_path / "a", *scans)).rows
    assert told.reason.startswith("slices lie in the same places twice")


def test_a_series_exported_twice_counts_once(tmp_path: Path) -> None:
    patient = write(tmp_path / "a", ARTERIAL)
    write(patient / "again", ARTERIAL, mask=False)
    assert [r.images for r in choose_for_patient(patient).rows] == [18]


def test_the_best_reconstruction_of_an_acquisition_is_taken(tmp_path: Path) -> None:
    others = (
        replace(ARTERIAL, name="thin", number=31, thickness_mm=0.6),
        replace(ARTERIAL, name="thick", number=32, thickness_mm=8.0),
        replace(ARTERIAL, name="derived", number=33, image_type=("DERIVED", "PRIMARY", "AXIAL")),
    )
    patient = write(tmp_path / "a", *others, ARTERIAL)
    assert chosen(patient)["arterial"] == "3"
    assert row(patient, 31).reason.startswith("another reconstruction of the same acquisition")


def test_late_arterial_is_preferred_and_two_unlike_scans_are_not_guessed(tmp_path: Path) -> None:
    early = replace(ARTERIAL, name="early", description="Arterial", time="100025", number=30)
    assert chosen(write(tmp_path / "a", early, ARTERIAL)) == {"arterial": "3"}
    twice = replace(ARTERIAL, description="Arterial 2")
    patient = write(tmp_path / "b", early, twice)
    assert chosen(patient) == {}
    assert row(patient, 3).reason == (
        "2 acquisitions may be the arterial phase: name one in phases.csv"
    )


def test_order_in_time_helps_where_nothing_else_does(tmp_path: Path) -> None:
    nameless = replace(DELAYED, description="Abdomen", seen="unclear")
    patient = write(tmp_path / "a", ARTERIAL, PORTAL, nameless)
    assert chosen(patient)["delayed"] == "5"
    told = row(patient, 5)
    assert (told.confidence, "order: +" in told.evidence) == ("low", True)


def test_phases_in_the_wrong_order_are_set_aside(tmp_path: Path) -> None:
    arterial = replace(ARTERIAL, seen="unclear", time="100500")
    portal = replace(PORTAL, seen="unclear")
    patient = write(tmp_path / "a", arterial, portal)
    assert chosen(patient) == {}
    assert row(patient, 3).reason == "acquired in another order than the phases come"


def test_ap_is_the_arterial_phase_only_beside_names_of_its_kind(tmp_path: Path) -> None:
    ap = replace(ARTERIAL, description="AP", seen="unclear")
    assert chosen(write(tmp_path / "a", ap)) == {}
    beside = write(tmp_path / "b", ap, replace(PORTAL, description="PVP"))
    assert chosen(beside) == {"arterial": "3", "portal_venous": "4"}


def test_two_studies_are_never_mixed(tmp_path: Path) -> None:
    later = tuple(
        replace(one, name=f"{one.name} again", study="1.2.3.2", number=one.number + 10)
        for one in TRIPHASIC
    )
    patient = write(tmp_path / "a", *TRIPHASIC, *later)
    choice = choose_for_patient(patient)
    assert choice.phases == {}
    assert row(patient, 3).reason.startswith("2 studies in one folder")

    (patient / "mask.nii.gz").unlink()
    marks = labels()
    write_segmentation(
        patient / "seg.dcm",
        [("Liver", marks == 1), ("Tumor", marks == 2)],
        spacing_mm=SPACING_MM,
        origin_mm=ORIGIN_MM,
    )
    header = pydicom.dcmread(patient / "seg.dcm")
    header.StudyInstanceUID = "1.2.3.2"
    header.save_as(patient / "seg.dcm")
    assert chosen(patient) == {"arterial": "13", "portal_venous": "14", "delayed": "15"}


def test_series_of_two_patients_in_one_folder_are_set_aside(tmp_path: Path) -> None:
    def of_another(header: pydicom.Dataset) -> None:
        header.PatientID = "another"

    patient = write(tmp_path / "a", ARTERIAL, replace(PORTAL, header=of_another))
    assert chosen(patient) == {}
    assert row(patient, 4).reason == (
        "series of 2 patients in one folder: leave those of this patient"
    )


def test_positions_that_are_no_numbers_are_told(tmp_path: Path) -> None:
    patient = write(tmp_path / "a", PORTAL)
    for file in (patient / "DICOM").rglob("*.dcm"):
        content = file.read_bytes()
        file.write_bytes(content.replace(b"-163.50000", b"nan       "))
    (told,) = choose_for_patient(patient).rows
    assert told.reason == "without a position in space"


def test_an_enhanced_multi_frame_ct_is_one_series(tmp_path: Path) -> None:
    def name(header: pydicom.Dataset) -> None:
        header.SeriesDescription, header.SeriesNumber = "Arterial", 3

    patient = write(tmp_path / "a", replace(PORTAL, study="1.2.826.0.1.3680043.8.498.1.0"))
    write_enhanced(
        patient / "enhanced",
        trunk("arterial"),
        spacing_mm=SPACING_MM,
        origin_mm=ORIGIN_MM,
        change=name,
    )
    assert chosen(patient) == {"arterial": "3", "portal_venous": "4"}
    assert (row(patient, 3).images, row(patient, 3).confidence) == (18, "high")


def test_files_that_are_no_dicom_are_counted(tmp_path: Path) -> None:
    patient = write(tmp_path / "a", *TRIPHASIC)
    (patient / "DICOM" / "broken").write_bytes(b"nothing")
    told = choose_for_patient(patient).rows[-1]
    assert (told.images, told.reason) == (1, "not readable DICOM: repair or remove them")


def test_native_is_told_from_a_delayed_scan(tmp_path: Path) -> None:
    assert chosen(write(tmp_path / "a", replace(NATIVE, description="Abdomen"))) == {}
