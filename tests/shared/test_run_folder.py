from pathlib import Path

import pytest

from shared.run_folder import OutputFolderError, keep_state_of, open_run_folder


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_an_unfinished_run_of_the_same_configuration_is_resumed() -> None:
    first = keep_state_of(open_run_folder("smoke", None, "a: 1"), "patients")
    assert not first.resumed
    (first.state / "round").touch()
    again = keep_state_of(open_run_folder("smoke", None, "a: 1"), "patients")
    assert again.path == first.path
    assert again.resumed
    assert (again.state / "round").exists()


def test_checkpoints_of_other_patients_are_dropped() -> None:
    first = keep_state_of(open_run_folder("smoke", None, "a: 1"), "patients")
    (first.state / "round").touch()
    again = keep_state_of(open_run_folder("smoke", None, "a: 1"), "other patients")
    assert not again.resumed
    assert not (again.state / "round").exists()


def test_another_configuration_never_overwrites() -> None:
    first = open_run_folder("smoke", None, "a: 1")
    second = open_run_folder("smoke", None, "a: 2")
    assert first.path == Path("outputs/smoke")
    assert second.path != first.path
    assert second.path.name.startswith("smoke-")


def test_a_folder_given_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.docx").touch()
    with pytest.raises(OutputFolderError, match="holds files that are not this run's"):
        open_run_folder("smoke", folder, "a: 1")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(OutputFolderError, match=r"taken.*: cannot be written \(Not a directory\)"):
        open_run_folder("smoke", tmp_path / "taken" / "run", "a: 1")


def test_a_run_ends_well_where_no_link_can_be_made(tmp_path: Path) -> None:
    Path("outputs").touch()
    folder = open_run_folder("smoke", tmp_path / "run", "a: 1")
    folder.finish()
    assert not folder.state.exists()


def test_a_finished_run_is_the_latest_and_begins_anew() -> None:
    folder = keep_state_of(open_run_folder("smoke", None, "a: 1"), "patients")
    folder.finish()
    assert Path("outputs/latest").resolve() == folder.path.resolve()
    assert not folder.state.exists()
    assert not open_run_folder("smoke", None, "a: 1").resumed


def test_checkpoints_stay_where_they_are_asked_for() -> None:
    folder = keep_state_of(open_run_folder("smoke", None, "a: 1"), "patients")
    folder.finish(keep_state=True)
    assert folder.state.exists()
    assert open_run_folder("smoke", None, "a: 1").resumed
