"""Tables and folders of others, through the command that imports them."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
import SimpleITK as sitk
from omegaconf import OmegaConf

from client.clinical import SiteFolderError, read_clinical
from client.cohort import prepare_site
from client.import_table import ImportSettings, import_table
from client.tables.mapping import (
    DAYS_A_MONTH,
    BinaryColumn,
    SurvivalColumns,
    TableMapping,
    read_mapping,
)
from shared.config import ConfigurationError
from shared.tasks import Survival
from tests.client.patients import (
    GOOD_ROW,
    SMALL,
    as_image,
    label_array,
    phase_array,
    write_clinical,
)

ROOT = Path(__file__).resolve().parents[3]
CONFIGS = ROOT / "configs" / "tables"
REAL = ROOT.parent / "shared/data/tables"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="real tables are not beside the project")

HEADER = "Pat-Nr;MVI (Pathologie);RFS;Rezidiv oder Tod;OS;verstorben"
SHEET = (
    HEADER,
    "P1;ja;365;ja;24,5;nein",
    "P2;nein;n.b.;n.b.;12;ja",
    "P3;99;100;nein;0;ja",
    "P4;vielleicht;200;ja;;nein",
    "P5;1.0;730,5;nein;10;unklar",
    "P6;ja;1;ja;1;ja",
    "P6;nein;2;ja;2;ja",
    ";ja;1;ja;1;ja",
    "a/b;ja;1;ja;1;ja",
)


def bring(tmp_path: Path, *lines: str, mapping: Path = CONFIGS / "example.yaml") -> dict[str, Any]:
    """Import lines of a hospital's own sheet; return the account."""
    table = tmp_path / "sheet.csv"
    table.write_text("\ufeff" + "\n".join(lines) + "\n", encoding="utf-8")
    import_table(ImportSettings(tmp_path / "site", mapping, table))
    account: dict[str, Any] = json.loads((tmp_path / "site" / "import.json").read_text())
    return account


def test_a_hospitals_sheet_is_brought_over_by_its_mapping(tmp_path: Path) -> None:
    account = bring(tmp_path, *SHEET)
    table = read_clinical(tmp_path / "site" / "clinical.csv")
    assert list(table.rows) == ["P1", "P2", "P3", "P4", "P5"]
    assert table.refused == {}
    first, second = table.rows["P1"].labels, table.rows["P2"].labels
    assert (first.mvi, second.mvi) == (True, False)
    # 365 days of 30.436875 a month; 24,5 months as they are.
    assert first.rfs == Survival(11.992, True)
    assert first.os == Survival(24.5, False)
    assert second.rfs is None
    assert table.rows["P5"].labels.rfs == Survival(24.0005, False)
    assert table.rows["P5"].labels.os is None
    assert account["known"] == {"mvi": 3, "rfs_months": 4, "os_months": 2}
    assert account["patients"] == 5


def test_every_cell_that_was_not_taken_is_told(tmp_path: Path) -> None:
    told = {(d["patient_id"], d["column"]): d["reason"] for d in bring(tmp_path, *SHEET)["dropped"]}
    assert told == {
        ("P3", "OS"): "a time must be a number of months > 0 and at most 600 months",
        ("P4", "MVI (Pathologie)"): "a code that the mapping does not name",
        ("P4", "OS"): "one of time and event is missing, so the pair is unknown",
        ("P5", "OS"): "the event has a code that the mapping does not name",
        ("P6", "Pat-Nr"): "several rows for one patient: leave one",
        ("", "Pat-Nr"): "row 9 names no patient",
        ("a/b", "Pat-Nr"): "no name that a folder can have",
    }


def test_a_workbook_reads_like_its_text(tmp_path: Path) -> None:
    plain = bring(tmp_path, *SHEET)
    book = openpyxl.Workbook()
    book.active.title = "Register"  # type: ignore[union-attr]
    for line in SHEET:
        cells = line.split(";")
        book.active.append([int(c) if c.isdigit() else c for c in cells])  # type: ignore[union-attr]
    book.save(tmp_path / "sheet.xlsx")
    import_table(
        ImportSettings(tmp_path / "other", CONFIGS / "example.yaml", tmp_path / "sheet.xlsx")
    )
    texts = [(tmp_path / s / "clinical.csv").read_text() for s in ("site", "other")]
    assert texts[0] == texts[1]
    assert plain["source"] == "sheet.csv"


def test_rows_that_a_decimal_comma_shifts_are_left_out(tmp_path: Path) -> None:
    """24,1 months and alive would be read as dead after 24."""
    lines = ("id,note,OS,dead", "a,,24,1,0", "b,,12,1", "c,,5,1,1")
    dropped = bring(tmp_path, *lines, mapping=write_mapping(tmp_path))["dropped"]
    assert set(read_clinical(tmp_path / "site" / "clinical.csv").rows) == {"b"}
    assert [(one["patient_id"], one["column"]) for one in dropped] == [("a", "id"), ("c", "id")]
    # One line for all of them.
    (reason,) = {one["reason"] for one in dropped}
    assert reason.startswith("more cells than the header: a decimal comma?")


def test_a_row_is_told_by_its_number_in_the_table(tmp_path: Path) -> None:
    account = bring(tmp_path, "", "id;OS;dead", ";;", "", ";24;1", mapping=write_mapping(tmp_path))
    assert [one["reason"] for one in account["dropped"]] == ["row 5 names no patient"]


def test_a_first_row_may_tell_the_separator(tmp_path: Path) -> None:
    lines = ("sep=;", "id;OS;dead;a, b, c, d", "a;24,5;0;", ";12;1;")
    account = bring(tmp_path, *lines, mapping=write_mapping(tmp_path))
    (row,) = read_clinical(tmp_path / "site" / "clinical.csv").rows.values()
    assert row.labels.os == Survival(24.5, False)
    assert [one["reason"] for one in account["dropped"]] == ["row 4 names no patient"]


@pytest.mark.parametrize("mark", ["\v", "\f", "\x1c", "\x85", "\u2028"])
def test_a_mark_inside_a_cell_ends_no_row(tmp_path: Path, mark: str) -> None:
    lines = ("id;note;OS;dead", f"a;removed{mark}segment 7;24;0", "b;;12;1")
    bring(tmp_path, *lines, mapping=write_mapping(tmp_path))
    rows = read_clinical(tmp_path / "site" / "clinical.csv").rows
    assert [row.labels.os for row in rows.values()] == [Survival(24, False), Survival(12, True)]


def write_book(path: Path, *lines: list[Any], change: tuple[str, str] | None = None) -> None:
    """Write a workbook, as another program does where `change` is what it writes in its sheet."""
    book = openpyxl.Workbook()
    for line in lines:
        book.active.append(line)  # type: ignore[union-attr]
    book.save(path)
    if change is not None:
        with zipfile.ZipFile(path) as packed:
            parts = {name: packed.read(name).decode() for name in packed.namelist()}
        sheet = "xl/worksheets/sheet1.xml"
        assert change[0] in parts[sheet]
        parts[sheet] = parts[sheet].replace(*change)
        with zipfile.ZipFile(path, "w") as packed:
            for name, text in parts.items():
                packed.writestr(name, text)


def bring_book(tmp_path: Path, *lines: list[Any], change: tuple[str, str]) -> list[Survival | None]:
    write_book(tmp_path / "sheet.xlsx", *lines, change=change)
    import_table(
        ImportSettings(tmp_path / "site", write_mapping(tmp_path), tmp_path / "sheet.xlsx")
    )
    rows = read_clinical(tmp_path / "site" / "clinical.csv").rows
    return [row.labels.os for row in rows.values()]


def test_a_workbook_that_tells_a_wrong_size_is_read_whole(tmp_path: Path) -> None:
    lines: list[list[Any]] = [["id", "OS", "dead"], ["a", 24, 0], ["b", 12, 1, None, "a note"]]
    change = ('<dimension ref="A1:E3" />', '<dimension ref="A1:B2" />')
    assert bring_book(tmp_path, *lines, change=change) == [Survival(24, False), Survival(12, True)]


def test_a_formula_that_was_never_calculated_is_told(tmp_path: Path) -> None:
    lines: list[list[Any]] = [["id", "OS", "dead"], ["a", "=12*2", 0], ["b", "=6*2", 1]]
    with pytest.raises(SiteFolderError, match="2 formulas without a value, the first in B2: open"):
        bring_book(tmp_path, *lines, change=("dimension", "dimension"))


def test_a_formula_with_its_value_or_an_empty_text_is_read(tmp_path: Path) -> None:
    lines: list[list[Any]] = [["id", "OS", "dead"], ["a", 24, "=1-1"], ["b", None, None]]
    change = ('<c r="C2"><f>1-1</f><v /></c>', '<c r="C2"><f>1-1</f><v>0</v></c>')
    assert bring_book(tmp_path, *lines, change=change) == [Survival(24, False), None]
    other = tmp_path / "other"
    other.mkdir()
    change = (change[0], '<c r="C2" t="str"><f>1-1</f><v></v></c>')
    assert bring_book(other, *lines, change=change) == [None, None]


def write_mapping(folder: Path, **values: Any) -> Path:
    """Write a mapping of overall survival in months; return its file."""
    survival = {"time": "OS", "unit": "months", "event": "dead"}
    file = folder / "mapping.yaml"
    OmegaConf.save({"title": "t", "patient_id": "id", "os": survival} | values, file)
    return file


def bring_survival(
    tmp_path: Path, *lines: str, codes: Sequence[str] = (), **values: Any
) -> list[Survival | None]:
    """Import overall survival in months with values of its columns; return it by patient."""
    columns = {"time": "OS", "unit": "months", "event": "dead"} | values
    mapping = write_mapping(tmp_path, os=columns, missing=list(codes))
    bring(tmp_path, "id;OS;dead", *lines, mapping=mapping)
    rows = read_clinical(tmp_path / "site" / "clinical.csv").rows
    return [row.labels.os for row in rows.values()]


@pytest.mark.parametrize("code", ["none", "-", "NA", "n.b."])
def test_a_code_that_the_mapping_names_is_not_unknown(tmp_path: Path, code: str) -> None:
    lines = (f"a;24;{code}", "b;12;1", f"c;-;{code}", "d;9;?")
    found = bring_survival(tmp_path, *lines, censored=[code], codes=["n.b."])
    assert found == [Survival(24, False), Survival(12, True), None, None]


def test_a_number_among_the_codes_for_unknown_is_a_time_all_the_same(tmp_path: Path) -> None:
    lines = ("a;99;1", "b;n.b.;1", "c;12;99", "d;98;1")
    found = bring_survival(tmp_path, *lines, codes=["99", "n.b."])
    assert found == [Survival(99, True), None, None, Survival(98, True)]


def test_a_time_that_means_unknown_is_told_by_its_pair(tmp_path: Path) -> None:
    found = bring_survival(tmp_path, "a;99;1", "b;99.0;0", "c;98;1", missing=["99"])
    assert found == [None, None, Survival(98, True)]


@pytest.mark.parametrize("time", ["1e6", "601", "inf", "0", "-3"])
def test_a_time_that_nobody_is_followed_for_is_left_out(tmp_path: Path, time: str) -> None:
    found = bring_survival(tmp_path, f"a;{time};1", "b;200;0", "c;20;0")
    assert found == [None, Survival(200, False), Survival(20, False)]


def test_a_column_in_another_unit_than_the_mapping_says_is_not_used(tmp_path: Path) -> None:
    assert bring_survival(tmp_path, "a;300;1", "b;450;0", "c;20;0", "d;;") == [None] * 4
    account = json.loads((tmp_path / "site" / "import.json").read_text())
    assert {one["reason"] for one in account["dropped"]} == {
        "the column has 2 of 3 times beyond 240 months: is it in months? None of it is used"
    }
    assert account["known"]["os_months"] == 0


def test_a_number_for_unknown_times_is_no_long_one(tmp_path: Path) -> None:
    lines = ("a;999;1", "b;999;0", "c;999;0", "d;20;0")
    found = bring_survival(tmp_path, *lines, missing=["999"])
    assert found == [None, None, None, Survival(20, False)]


def test_what_was_taken_and_may_be_wrong_is_told(tmp_path: Path) -> None:
    columns = {"time": "OS", "unit": "months", "event": "dead"}
    rfs = {"time": "RFS", "unit": "days", "event": "back"}
    mapping = write_mapping(tmp_path, os=columns, rfs=rfs, missing=["99"])
    table = tmp_path / "sheet.csv"
    lines = ("id,RFS,back,OS,dead", "a,731,0,24,1", "b,900,1,24,0", "c,9,1,99,0", "d,9,1,24,1")
    table.write_text("\n".join(lines))
    told = import_table(ImportSettings(tmp_path / "site", mapping, table))
    death = "rfs is censored at death, which it counts as an event"
    after = "rfs goes on after os ends: at death or the last contact both end"
    code = "OS is a code under missing: read as a time"
    assert told[-3:] == [f"look at: 1 x {one}" for one in (death, after, code)]
    account = json.loads((tmp_path / "site" / "import.json").read_text())
    assert account["doubts"] == {death: ["a"], after: ["b"], code: ["c"]}
    assert account["known"] == {"mvi": 0, "rfs_months": 4, "os_months": 4}


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ({"os": {"censored": ["1.0"]}}, "'1' under both happened and censored"),
        ({"os": {"happened": ["Yes"], "censored": ["yes "]}}, "'yes' under both"),
        ({"mvi": {"positive": ["1", "0"], "negative": ["0"]}}, "'0' under both positive and neg"),
        (
            {"mvi": {"positive": ["1"], "negative": ["0"], "dropped": {"1": "why"}}},
            "'1' under both positive and dropped",
        ),
    ],
)
def test_a_code_with_two_meanings_is_refused(
    tmp_path: Path, label: dict[str, Any], message: str
) -> None:
    columns = {"os": {"time": "OS", "unit": "months", "event": "dead"}, "mvi": {"column": "MVI"}}
    values = {name: columns[name] | codes for name, codes in label.items()}
    with pytest.raises(ConfigurationError, match=message):
        read_mapping(write_mapping(tmp_path, **values))


def survival_in_days(
    tmp_path: Path, *times: str, decimal: str | None = None
) -> tuple[list[float | None], set[str]]:
    """Import times in days; return them in days again, and why others were left out."""
    mapping = tmp_path / "mapping.yaml"
    columns = {"time": "OS", "unit": "days", "event": "dead"}
    values = {"title": "t", "patient_id": "id", "os": columns, "decimal": decimal}
    OmegaConf.save(values, mapping)
    lines = ["id;OS;dead", *(f"{number};{time};1" for number, time in enumerate(times))]
    dropped = bring(tmp_path, *lines, mapping=mapping)["dropped"]
    rows = read_clinical(tmp_path / "site" / "clinical.csv").rows.values()
    found = [row.labels.os for row in rows]
    days = [None if one is None else round(one.months * DAYS_A_MONTH, 1) for one in found]
    return days, {one["reason"] for one in dropped}


@pytest.mark.parametrize(
    ("times", "days"),
    [
        (("1,095", "24,5"), [1.1, 24.5]),
        (("1.095", "24,5"), [1095, 24.5]),
        (("1,095", "24.5"), [1095, 24.5]),
        (("1.095", "24.5"), [1.1, 24.5]),
        (("1,095", "1,095.5"), [1095, 1095.5]),
        (("1.095", "1.095,5"), [1095, 1095.5]),
        (("1,095", "12,345.5"), [1095, 12345.5]),
        (("1,095", "0,500"), [1.1, 0.5]),
        (("1095,500", "2,190"), [1095.5, 2.2]),
        (("730", "12000"), [730, 12000]),
    ],
)
def test_a_column_tells_thousands_from_decimals(
    tmp_path: Path, times: tuple[str, ...], days: list[float]
) -> None:
    assert survival_in_days(tmp_path, *times) == (days, set())


@pytest.mark.parametrize("mark", [",", "."])
def test_a_time_that_may_be_a_thousand_times_another_is_left_out(tmp_path: Path, mark: str) -> None:
    days, reasons = survival_in_days(tmp_path, f"1{mark}095", f"2{mark}190", "730")
    assert days == [None, None, 730]
    (reason,) = reasons
    assert 'give decimal: "," or "." in the mapping' in reason
    for decimal, first in ((mark, 1.1), ("." if mark == "," else ",", 1095)):
        folder = tmp_path / f"told {decimal}"
        folder.mkdir()
        days, reasons = survival_in_days(folder, f"1{mark}095", "730", decimal=decimal)
        assert (days, reasons) == ([first, 730], set())


def test_a_column_that_contradicts_itself_settles_nothing(tmp_path: Path) -> None:
    days, reasons = survival_in_days(tmp_path, "1,095", "1,095.5", "1.095,5")
    assert days == [None, 1095.5, 1095.5]
    assert len(reasons) == 1


def test_a_number_of_a_workbook_has_no_mark_of_thousands(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for line in (HEADER.split(";"), ["P1", "ja", 1.095, "ja", 1.095, "ja"]):
        book.active.append(line)  # type: ignore[union-attr]
    book.save(tmp_path / "sheet.xlsx")
    import_table(ImportSettings(tmp_path / "s", Path("example"), tmp_path / "sheet.xlsx"))
    (row,) = read_clinical(tmp_path / "s" / "clinical.csv").rows.values()
    assert row.labels.os == Survival(1.095, True)


@pytest.mark.parametrize("column", ["TTP", "PFS_months", "time to progression", "PFI.time"])
def test_time_to_progression_is_never_called_rfs(column: str) -> None:
    with pytest.raises(ValueError, match="not recurrence-free survival"):
        TableMapping("t", "id", rfs=SurvivalColumns(column, "days", "event"))


@pytest.mark.parametrize(
    ("column", "positive", "message"),
    [
        ("Vascular invasion", ("1",), "does not say microvascular"),
        ("vascular_invasion_type", ("Macro", "Micro"), "which is not MVI"),
        ("Macrovascular invasion", ("1",), "which is not MVI"),
        ("Portal Vein Thrombosis", ("1",), "which is not MVI"),
        ("invasion", ("yes",), "does not say microvascular"),
    ],
)
def test_macrovascular_invasion_is_never_called_mvi(
    tmp_path: Path, column: str, positive: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        TableMapping("t", "id", mvi=BinaryColumn(column, positive, ("0",)))
    file = tmp_path / "mapping.yaml"
    values = {"column": column, "positive": list(positive), "negative": ["0"]}
    OmegaConf.save({"title": "t", "patient_id": "id", "mvi": values}, file)
    with pytest.raises(ConfigurationError, match=message):
        read_mapping(file)


def test_what_is_wrong_with_a_source_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SiteFolderError, match="has no column MVI"):
        bring(tmp_path, "Pat-Nr;RFS", "1;2")
    with pytest.raises(SiteFolderError, match="column there twice: RFS"):
        bring(tmp_path, f"{HEADER};RFS", "1;2")
    with pytest.raises(SiteFolderError, match="holds no table"):
        bring(tmp_path, "")
    (tmp_path / "broken.xlsx").write_bytes(b"PK nothing")
    with pytest.raises(SiteFolderError, match="not a workbook"):
        import_table(
            ImportSettings(tmp_path / "s", CONFIGS / "example.yaml", tmp_path / "broken.xlsx")
        )
    with pytest.raises(ConfigurationError, match="no such mapping"):
        read_mapping(tmp_path / "absent.yaml")
    with pytest.raises(ValueError, match="give a mapping and a table"):
        ImportSettings(tmp_path, mapping=Path("x"))


@pytest.mark.parametrize("content", [b"patient_id: [id\n", b"title: \xfc\n", b"title: ${x}\n"])
def test_a_mapping_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    mapping = tmp_path / "mapping.yaml"
    mapping.write_bytes(content)
    with pytest.raises(ConfigurationError, match="not YAML in UTF-8 like") as refusal:
        read_mapping(mapping)
    assert str(refusal.value).startswith(str(mapping))
    assert "\n" not in str(refusal.value)


def test_a_site_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "site").write_text("a file in its place")
    with pytest.raises(ConfigurationError, match="site: cannot be written"):
        bring(tmp_path, *SHEET)
    write_waw_tace(tmp_path / "waw" / "17")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        import_table(ImportSettings(tmp_path / "site", waw_tace=tmp_path / "waw"))


def test_a_table_made_by_hand_is_never_overwritten(tmp_path: Path) -> None:
    bring(tmp_path, *SHEET)
    with pytest.raises(SiteFolderError, match="is there already"):
        bring(tmp_path, *SHEET)


@pytest.mark.parametrize("name", [path.stem for path in sorted(CONFIGS.glob("*.yaml"))])
def test_every_mapping_that_is_given_is_read(name: str) -> None:
    assert read_mapping(CONFIGS / f"{name}.yaml").title


@needs_real
def test_tcga_lihc_as_it_is(tmp_path: Path) -> None:
    table = REAL / "tcga_lihc_clinical_sites_idc.csv"
    import_table(ImportSettings(tmp_path / "site", Path("tcga_lihc"), table))
    rows = read_clinical(tmp_path / "site" / "clinical.csv").rows
    labels = [row.labels for row in rows.values()]
    assert len(rows) == 377
    # 94 Micro and 210 None; 17 Macro are neither.
    assert sum(label.mvi is True for label in labels) == 94
    assert sum(label.mvi is False for label in labels) == 210
    account = json.loads((tmp_path / "site" / "import.json").read_text())
    macro = [one for one in account["dropped"] if one["reason"].startswith("macrovascular")]
    assert len(macro) == 17
    assert [len(patients) for patients in account["doubts"].values()] == [40]
    assert rows["TCGA-2Y-A9GS"].labels.os == Survival(23.7869, True)  # 724 days


@needs_real
@pytest.mark.parametrize(
    "file", ["HCC-TACE-Seg_clinical_data-V2.xlsx", "hcc_tace_seg_clinical_v2.csv"]
)
def test_hcc_tace_seg_has_overall_survival_in_weeks_and_nothing_else(
    tmp_path: Path, file: str
) -> None:
    import_table(ImportSettings(tmp_path / "site", Path("hcc_tace_seg"), REAL / file))
    rows = read_clinical(tmp_path / "site" / "clinical.csv").rows
    assert len(rows) == 105
    # 350.2857 weeks are 2452 days.
    assert rows["HCC_001"].labels.os == Survival(80.5602, True)
    assert all(row.labels.mvi is None and row.labels.rfs is None for row in rows.values())
    never = json.loads((tmp_path / "site" / "import.json").read_text())["never"]
    assert {"TTP", "Vascular invasion"} <= never.keys()


def write_waw_tace(folder: Path) -> None:
    folder.mkdir(parents=True)
    for number, phase in ((0, "arterial"), (1, "arterial"), (2, "portal_venous"), (3, "delayed")):
        scan = as_image(phase_array(phase))  # type: ignore[arg-type]
        sitk.WriteImage(scan, str(folder / f"{folder.name}_{number}_scan.nii.gz"))
    tumour = label_array() == 2
    halves = [tumour.copy(), tumour.copy()]
    halves[0][:, :, 20:], halves[1][:, :, :20] = False, False
    for number, half in enumerate(halves):
        mask = as_image(half.astype(np.uint8))
        sitk.WriteImage(mask, str(folder / f"{folder.name}_2_{number}_tumor_seg.nrrd"))
    mask = as_image(np.roll(tumour, 3, axis=1).astype(np.uint8))
    sitk.WriteImage(mask, str(folder / f"{folder.name}_1_0_tumor_seg.nrrd"))


def test_waw_tace_is_linked_and_its_masks_joined(tmp_path: Path) -> None:
    write_waw_tace(tmp_path / "waw" / "17")
    (tmp_path / "waw" / "notes").mkdir()
    site = tmp_path / "site"
    lines = import_table(ImportSettings(site, waw_tace=tmp_path / "waw"))
    assert lines == ["1 patients linked, 1 with a mask"]
    assert (site / "17" / "arterial.nii.gz").resolve().name == "17_1_scan.nii.gz"
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(site / "17" / "mask.nii.gz")))
    np.testing.assert_array_equal(mask == 2, label_array() == 2)
    (one,) = json.loads((site / "import.json").read_text())["files"]
    assert one["phases"] == ["arterial", "portal_venous", "delayed"]
    assert one["left"][:2] == [
        "17_0_scan.nii.gz: native",
        "17_1_0_tumor_seg.nrrd: drawn on another phase",
    ]

    write_clinical(site, {"17": GOOD_ROW})
    prepared = prepare_site(site, SMALL, tmp_path / "cache", workers=1, progress=False)
    assert prepared.cases[0].present == (True, True, True)
    with pytest.raises(SiteFolderError, match="1 of these patients already"):
        import_table(ImportSettings(site, waw_tace=tmp_path / "waw"))


def crop(file: Path) -> None:
    """Leave of a mask what is marked and one voxel around it, as 3D Slicer saves a segment."""
    mask = sitk.ReadImage(str(file))
    ends = np.argwhere(sitk.GetArrayFromImage(mask) > 0)
    (z, y, x), (top, back, left) = (ends.min(axis=0) - 1).tolist(), (ends.max(axis=0) + 2).tolist()
    sitk.WriteImage(mask[x:left, y:back, z:top], str(file))


def bring_waw_tace(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """Import ``waw``; return where the only patient's mask is to be, and what is told of it."""
    import_table(ImportSettings(tmp_path / "site", waw_tace=tmp_path / "waw"))
    (one,) = json.loads((tmp_path / "site" / "import.json").read_text())["files"]
    return tmp_path / "site" / "17" / "mask.nii.gz", one


def test_masks_no_larger_than_their_tumours_are_joined_whole(tmp_path: Path) -> None:
    write_waw_tace(tmp_path / "waw" / "17")
    for number in range(2):
        crop(tmp_path / "waw" / "17" / f"17_2_{number}_tumor_seg.nrrd")
    file, told = bring_waw_tace(tmp_path)
    assert told["masks"] == ["17_2_0_tumor_seg.nrrd", "17_2_1_tumor_seg.nrrd"]
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(file)))
    np.testing.assert_array_equal(mask == 2, label_array() == 2)


@pytest.mark.parametrize("away_mm", [37.0, 300.0])
def test_a_mask_that_lies_off_its_scan_is_never_left_out_in_silence(
    tmp_path: Path, away_mm: float
) -> None:
    """The half on the right reaches from x = -4 to 0 mm, the scan to 35."""
    write_waw_tace(tmp_path / "waw" / "17")
    moved = tmp_path / "waw" / "17" / "17_2_1_tumor_seg.nrrd"
    mask = sitk.ReadImage(str(moved))
    mask.SetOrigin((mask.GetOrigin()[0] + away_mm, *mask.GetOrigin()[1:]))
    sitk.WriteImage(mask, str(moved))
    file, told = bring_waw_tace(tmp_path)
    assert not file.exists()
    assert told["masks"] == []
    why = "lies outside 17_2_scan.nii.gz, in whole or in part"
    assert told["left"][-1] == f"17_2_1_tumor_seg.nrrd: {why}"


def test_the_command_is_told_what_to_do(tmp_path: Path) -> None:
    table = tmp_path / "my sheet (2).csv"
    table.write_text("\n".join(SHEET), encoding="utf-8")

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        script = ROOT / "client" / "import_table.py"
        return subprocess.run(
            [sys.executable, script, *words], capture_output=True, text=True, cwd=tmp_path
        )

    done = command("mapping=example", f"table={table}", f"site={tmp_path / 'site'}")
    assert done.returncode == 0
    assert "mvi: 3 known, from MVI (Pathologie)" in done.stdout
    wrong = command("mapping=example", "site=x")
    assert wrong.returncode == 1
    assert "give a mapping and a table" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_a_mapping_cannot_use_what_it_says_is_no_label() -> None:
    mapping = TableMapping("t", "id", os=SurvivalColumns("OS", "days", "dead"))
    with pytest.raises(ValueError, match="listed under never"):
        replace(mapping, never={"OS": "no"})
