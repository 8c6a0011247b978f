"""What the cache of a site keeps, and when it is not to be used."""

import errno
import shutil
from pathlib import Path

import pytest

from client.imaging.cache import CacheWriteError
from tests.client.imaging.dicom_files import write_series
from tests.client.patients import (
    GOOD_ROW,
    ORIGIN_MM,
    SPACING_MM,
    phase_array,
    prepare,
    write_clinical,
    write_good_site,
    write_patient,
)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return write_good_site(tmp_path / "site", "first", "second")


def test_the_cache_is_used_and_mended(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare(site)
    damaged = first.cases[0].roi_path
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:100])
    assert prepare(site) == first
    assert damaged.read_bytes() == whole

    def read_nothing(*_: object) -> None:
        raise AssertionError("an image was read although nothing changed")

    monkeypatch.setattr("client.cohort.build_region", read_nothing)
    assert prepare(site) == first


def test_what_is_in_the_cache_needs_no_process(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare(site, workers=2)

    def none(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    with monkeypatch.context() as patch:
        patch.setattr("client.imaging.workers.ProcessPoolExecutor", none)
        assert prepare(site, workers=2) == first
    shutil.rmtree(site / "second")
    write_patient(site / "second", seed=2)
    again = prepare(site, workers=2)
    assert [case.patient_id for case in again.cases] == ["first", "second"]
    assert (again.fresh, again.cases[0]) == (1, first.cases[0])
    assert again.cases[1] != first.cases[1]


def fill_disk_after(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let some files of the cache be written, and half of the next."""
    write, files = Path.write_bytes, iter(range(kept))

    def until_full(path: Path, content: bytes) -> int:
        if path.suffix == ".partial" and next(files, None) is None:
            write(path, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", until_full)


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_full_disk_is_no_patients_fault_and_costs_nothing_done(
    site: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """The first, the second region and the index are what cannot be written."""
    with monkeypatch.context() as patch:
        fill_disk_after(kept, patch)
        with pytest.raises(CacheWriteError, match=r"cache: cannot be written \(No space left"):
            prepare(site)
    cache = site.parent / "cache"
    assert list(cache.glob("*.partial")) == []
    assert len(list(cache.glob("*.safetensors"))) == kept
    again = prepare(site)
    assert (again.fresh, len(again.cases), again.set_aside) == (2 - kept, 2, ())


def test_a_cache_that_cannot_be_written_is_told_from_a_process_too(site: Path) -> None:
    (site.parent / "cache").write_text("a file in its place")
    with pytest.raises(CacheWriteError, match="set cache_dir elsewhere"):
        prepare(site, workers=2)


def test_a_file_renamed_to_another_phase_is_another_phase(tmp_path: Path) -> None:
    site = tmp_path / "site"
    write_clinical(site, {"a": GOOD_ROW})
    write_patient(site / "a", phases=["arterial"])
    assert prepare(site).cases[0].present == (True, False, False)
    (site / "a" / "arterial.nii.gz").rename(site / "a" / "delayed.nii.gz")
    assert prepare(site).cases[0].present == (False, False, True)


def test_a_link_renamed_to_another_phase_is_another_phase(tmp_path: Path) -> None:
    site = tmp_path / "site"
    write_clinical(site, {"a": GOOD_ROW})
    write_patient(site / "a", phases=["arterial"])
    patient = site / "a"
    (patient / "arterial.nii.gz").rename(tmp_path / "archived.nii.gz")
    (patient / "arterial.nii.gz").symlink_to(tmp_path / "archived.nii.gz")
    assert prepare(site).cases[0].present == (True, False, False)
    (patient / "arterial.nii.gz").rename(patient / "delayed.nii.gz")
    assert prepare(site).cases[0].present == (False, False, True)


def test_a_series_that_changes_behind_a_link_is_read_anew(tmp_path: Path) -> None:
    site, archive = tmp_path / "site", tmp_path / "archive"
    write_clinical(site, {"a": GOOD_ROW})
    write_patient(site / "a", phases=[])
    (site / "a" / "arterial").symlink_to(archive)
    paths = []
    for seed in (0, 1):
        hu = phase_array("arterial", seed)
        write_series(archive, hu, spacing_mm=SPACING_MM, origin_mm=ORIGIN_MM.tolist())
        paths.append(prepare(site).cases[0].roi_path)
    assert paths[0] != paths[1]


def test_the_cache_knows_no_patient(site: Path) -> None:
    prepare(site)
    for path in (site.parent / "cache").iterdir():
        assert "first" not in path.name
        assert b"first" not in path.read_bytes()
