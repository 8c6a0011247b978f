from pathlib import Path

import pytest

from client.clinical import SiteFolderError, read_clinical
from shared.tasks import Labels, Survival

HEADER = "patient_id,mvi,rfs_months,rfs_event,os_months,os_event\n"


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "clinical.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_a_row_is_read_as_the_contract_says(tmp_path: Path) -> None:
    table = read_clinical(write(tmp_path, HEADER + "001,1,10.5,1,22,0\n"))
    assert table.rows["001"].labels == Labels(True, Survival(10.5, True), Survival(22.0, False))
    assert table.rows["001"].problems == ()


def test_a_byte_order_mark_and_other_columns_are_no_trouble(tmp_path: Path) -> None:
    text = "age," + HEADER.strip() + ",note\n63,a,0,,,5,1,\n"
    table = read_clinical(write(tmp_path, text, "utf-8-sig"))
    assert table.rows["a"].labels == Labels(False, None, Survival(5.0, True))


@pytest.mark.parametrize("cell", ["", "NA", "[Not Available]", " ", "nan", "Unknown"])
def test_unknown_is_unknown(tmp_path: Path, cell: str) -> None:
    row = ",".join([cell] * 5)
    table = read_clinical(write(tmp_path, HEADER + f"a,{row}\n"))
    assert table.rows["a"].labels == Labels()
    assert table.rows["a"].problems == ()


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ("0,,1,5,1", "rfs: one of months and event is missing"),
        ("0,4,,5,1", "rfs: one of months and event is missing"),
        ("0,4,1,-5,1", "os_months must be a number > 0"),
        ("0,4,1,0,1", "os_months must be a number > 0"),
        ("0,4,1,inf,1", "os_months must be a number > 0"),
        ("0,4,1,2190,1", "os_months must be a number > 0 and at most 600"),
        ("0,4,1,five,1", "os_months must be a number > 0"),
        ("0,4,3,5,1", "rfs_event must be 0 or 1"),
        ("yes,4,1,5,1", "mvi must be 0 or 1"),
    ],
)
def test_a_wrong_cell_costs_a_label_and_is_told(tmp_path: Path, cells: str, problem: str) -> None:
    row = read_clinical(write(tmp_path, HEADER + f"a,{cells}\n")).rows["a"]
    (told,) = row.problems
    assert problem in told
    known = [row.labels.mvi is not None, row.labels.rfs is not None, row.labels.os is not None]
    assert sum(known) == 2


def test_a_column_coded_one_and_two_is_unknown(tmp_path: Path) -> None:
    """Cell by cell every 1, which stands for no, would be an event."""
    rows = "a,1,10,1,20,2\nb,2,5,1,6,1\nc,1,7,0,9,1\n"
    table = read_clinical(write(tmp_path, HEADER + rows)).rows
    assert table["a"].labels == Labels(None, Survival(10.0, True), None)
    assert table["a"].problems == tuple(
        f"{column} has 2: it must be 0 for no and 1 for yes, so it is unknown"
        for column in ("mvi", "os_event")
    )
    assert {len(row.problems) for row in table.values()} == {2}


def test_a_stray_zero_does_not_make_one_and_two_no_and_yes(tmp_path: Path) -> None:
    rows = "a,1,10,1,,\nb,1,5,2,,\nc,1,7,2,,\nd,1,7,0,,\n"
    table = read_clinical(write(tmp_path, HEADER + rows)).rows
    assert [row.labels for row in table.values()] == [Labels(True, None, None)] * 4
    told = "rfs_event has 2: it must be 0 for no and 1 for yes, so it is unknown"
    assert {row.problems for row in table.values()} == {(told,)}


def test_times_in_days_are_unknown(tmp_path: Path) -> None:
    """310 days would pass for 26 years."""
    rows = "a,1,310,1,310,1\nb,0,5,0,910,0\nc,0,900,1,2190,1\n"
    table = read_clinical(write(tmp_path, HEADER + rows)).rows
    assert [row.labels.os for row in table.values()] == [None] * 3
    reason = "os_months has 3 of 3 times beyond 240: days? It must be in months, so it is unknown"
    rfs = "rfs_months has 2 of 3 times beyond 240: days? It must be in months, so it is unknown"
    assert {row.problems for row in table.values()} == {(rfs, reason)}


def test_one_long_time_costs_no_other_patient(tmp_path: Path) -> None:
    table = read_clinical(write(tmp_path, HEADER + "a,,,,300,0\nb,,,,20,1\n")).rows
    assert [row.labels.os for row in table.values()] == [Survival(300, False), Survival(20, True)]


def test_a_doubled_patient_is_refused_alone(tmp_path: Path) -> None:
    table = read_clinical(write(tmp_path, HEADER + "a,1,,,,\na,0,,,,\nb,1,,,,\n"))
    assert set(table.rows) == {"b"}
    assert "several rows" in table.refused["a"]


def test_blank_cells_at_the_end_lie_below_blank_ones_of_the_header(tmp_path: Path) -> None:
    header = HEADER.strip() + ",,\n"
    rows = "a,1,10,1,20,0,\nb,0,5,0,6,1,,\nc,1,10,5,1,20,0,\n"
    table = read_clinical(write(tmp_path, header + rows))
    assert table.rows["a"].labels == Labels(True, Survival(10.0, True), Survival(20.0, False))
    assert set(table.rows) == {"a", "b"}
    assert table.refused["c"].startswith("row 4 has more cells than the header")


@pytest.mark.parametrize("row", ["a,1,10,5,1,20,0", "a,1,10,1,0,,", "a,1,,,24,1,0"])
def test_a_row_with_more_cells_than_the_header_is_refused_alone(tmp_path: Path, row: str) -> None:
    """10,5 for 10.5 would make the event 5 and shift all that follows; blanks hide a shift."""
    table = read_clinical(write(tmp_path, HEADER + f"{row}\nb,1,10,1,20,0\n"))
    assert set(table.rows) == {"b"}
    assert table.refused["a"].startswith("row 2 has more cells than the header: a decimal comma?")


def test_a_shift_into_a_blank_note_is_refused(tmp_path: Path) -> None:
    """24,1 months and alive would be read as dead after 24."""
    table = read_clinical(write(tmp_path, HEADER.strip() + ",note\na,0,20,0,24,1,0,\n"))
    assert table.rows == {}
    assert list(table.refused) == ["a"]


def test_cells_missing_at_the_end_are_unknown(tmp_path: Path) -> None:
    row = read_clinical(write(tmp_path, HEADER + "a,1,10,1\n")).rows["a"]
    assert row.labels == Labels(True, Survival(10.0, True), None)


def test_a_row_without_a_patient_is_told_and_an_empty_one_passed_over(tmp_path: Path) -> None:
    table = read_clinical(write(tmp_path, HEADER + ",,,,,\n,1,10,1,20,0\n"))
    assert table.rows == {}
    assert table.refused == {"": "row 3 has no patient_id"}


def test_a_table_that_is_none_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SiteFolderError, match="no such file"):
        read_clinical(tmp_path / "clinical.csv")
    with pytest.raises(SiteFolderError, match="column missing: os_event"):
        read_clinical(write(tmp_path, HEADER.replace(",os_event", "") + "a,1,2,1,3\n"))
    with pytest.raises(SiteFolderError, match="save it as comma-separated"):
        read_clinical(write(tmp_path, HEADER.replace(",", ";") + "a;1;2;1;3;1\n"))
    with pytest.raises(SiteFolderError, match="twice: mvi"):
        read_clinical(write(tmp_path, HEADER.strip() + ",mvi\na,1,2,1,3,1,0\n"))
    with pytest.raises(SiteFolderError, match="column missing"):
        read_clinical(write(tmp_path, ""))
    with pytest.raises(SiteFolderError, match="UTF-8"):
        read_clinical(write(tmp_path, HEADER + "ä,1,2,1,3,1\n", "latin-1"))


def test_variables_that_are_asked_for_are_read(tmp_path: Path) -> None:
    text = HEADER.strip() + ",age,afp,note\na,1,,,,,63,NA,x\nb,,,,,,old,-1.5e3,y\nc,,,,,,,inf,z\n"
    rows = read_clinical(write(tmp_path, text), ("afp", "age")).rows
    assert rows["a"].clinical == (("age", 63.0),)
    assert rows["b"].clinical == (("afp", -1500.0),)
    assert rows["b"].problems == ("age must be a number, so it is unknown",)
    text = HEADER.strip() + ",virus_copies\na,1,,,,,1e9\nb,,,,,,4e6\n"
    rows_of_counts = read_clinical(write(tmp_path, text), ("virus_copies",)).rows
    assert rows_of_counts["a"].problems == (
        "virus_copies is larger than 4194304, so it is unknown",
    )
    assert rows_of_counts["b"].clinical == (("virus_copies", 4e6),)
    assert rows["c"].clinical == ()
    assert rows["c"].problems == ("afp must be a number, so it is unknown",)
    assert read_clinical(tmp_path / "clinical.csv").rows["a"].clinical == ()


def test_a_variable_without_a_column_is_unknown_for_everybody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = read_clinical(write(tmp_path, HEADER + "a,1,,,,\n"), ("age",))
    assert table.rows["a"].clinical == ()
    assert table.rows["a"].problems == ()
    assert "no column age: unknown for all patients" in caplog.text


def test_a_variable_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SiteFolderError, match="there twice: age"):
        read_clinical(write(tmp_path, HEADER.strip() + ",age,age\n"), ("age",))


@pytest.mark.parametrize(
    ("cells", "note"),
    [
        ("40,1,24,1", "rfs goes on after os ends"),
        ("40,0,24,0", "rfs goes on after os ends"),
        ("24,0,24.3,1", "rfs is censored at death"),
        ("24.3,1,24,1", None),
        ("24,0,24,0", None),
        ("12,0,24,1", None),
        ("40,1,,", None),
    ],
)
def test_survival_that_contradicts_itself_is_used_and_told(
    tmp_path: Path, cells: str, note: str | None
) -> None:
    row = read_clinical(write(tmp_path, HEADER + f"a,1,{cells}\n")).rows["a"]
    assert row.labels.rfs is not None
    assert row.problems == ()
    assert [one[: len(note or "")] for one in row.notes] == ([] if note is None else [note])
