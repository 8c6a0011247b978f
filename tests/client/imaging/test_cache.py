"""The index of files that have not changed, which several processes may share."""

from pathlib import Path

import pytest

from client.imaging.cache import DigestIndex


def test_what_two_processes_learn_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "index.json"
    first, second = DigestIndex(path), DigestIndex(path)
    first.put("a", "1")
    second.put("b", "2")
    first.save()
    second.save()
    again = DigestIndex(path)
    assert (again.get("a"), again.get("b"), again.get("c"), again.get(None)) == (
        "1",
        "2",
        None,
        None,
    )


def test_what_is_known_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    first = DigestIndex(path)
    first.put("a", "1")
    first.save()
    written = path.stat().st_mtime_ns, path.stat().st_ino
    again = DigestIndex(path)
    again.put("a", "1")
    again.save()
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == written


@pytest.mark.parametrize("damaged", ["", "{", "[1]", "\N{GREEK SMALL LETTER ALPHA}"])
def test_a_damaged_index_counts_as_lost(tmp_path: Path, damaged: str) -> None:
    path = tmp_path / "index.json"
    path.write_text(damaged, encoding="utf-16")
    index = DigestIndex(path)
    assert index.get("a") is None
    index.put("a", "1")
    index.save()
    assert DigestIndex(path).get("a") == "1"
