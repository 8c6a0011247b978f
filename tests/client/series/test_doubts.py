"""What portal vein and kidneys change in a choice: they confirm, doubt, or decide together."""

from dataclasses import replace
from pathlib import Path

from client.series.patient import choose_for_patient
from client.series.rows import SeriesRow
from tests.client.series.mixed_folder import ARTERIAL, DELAYED, PORTAL, Series, write

# A kidney whose cortex is far brighter than its medulla: arterial or early portal venous.
EARLY_KIDNEY = (200.0, 80.0)


def told(folder: Path, series: Series) -> SeriesRow:
    (row,) = choose_for_patient(write(folder, series)).rows
    return row


def test_organs_that_agree_leave_a_sure_phase_sure(tmp_path: Path) -> None:
    row = told(tmp_path / "a", replace(ARTERIAL, kidney_hu=EARLY_KIDNEY))
    assert (row.decision, row.confidence) == ("used", "high")
    assert "one kidney" in row.evidence


def test_a_kidney_that_speaks_against_name_and_image_is_told(tmp_path: Path) -> None:
    row = told(tmp_path / "a", replace(DELAYED, kidney_hu=EARLY_KIDNEY))
    assert (row.decision, row.phase, row.confidence) == ("used", "delayed", "low")
    assert row.evidence.endswith("; but kidneys: another phase")


def test_an_image_that_contradicts_itself_is_set_aside(tmp_path: Path) -> None:
    nameless = replace(DELAYED, description="Abdomen", kidney_hu=EARLY_KIDNEY)
    row = told(tmp_path / "a", nameless)
    assert row.decision == "set aside"
    assert row.reason == "its aorta and liver show delayed, its kidneys another phase"


def test_both_organs_decide_where_all_else_is_silent(tmp_path: Path) -> None:
    unclear = Series("s", "Abdomen", "unclear", number=4, vein_hu=135.0, kidney_hu=EARLY_KIDNEY)
    row = told(tmp_path / "a", unclear)
    assert (row.decision, row.phase, row.confidence) == ("used", "portal_venous", "low")
    # One of them does not.
    for name, one in (
        ("b", replace(unclear, vein_hu=None)),
        ("c", replace(unclear, kidney_hu=None)),
    ):
        assert told(tmp_path / name, one).decision == "set aside"


def test_both_organs_confirm_a_name_or_doubt_it(tmp_path: Path) -> None:
    portal = replace(PORTAL, seen="unclear")
    assert told(tmp_path / "a", portal).confidence == "medium"
    seen = replace(portal, vein_hu=135.0, kidney_hu=EARLY_KIDNEY)
    assert told(tmp_path / "b", seen).confidence == "high"
    row = told(tmp_path / "c", replace(seen, description="3 min delay"))
    assert (row.decision, row.phase, row.confidence) == ("used", "delayed", "low")
    assert "but kidneys: another phase" in row.evidence
