"""Prepared regions on disk, named by the content that they were made from.

A file's name is a digest of the bytes of the patient's files and of the settings: no name of a
person, and nothing to invalidate. An index remembers the digest of files that have not changed,
so that a second start reads no image at all.
"""

import contextlib
import hashlib
import json
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from isal import isal_zlib
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from client.clinical import SiteFolderError
from client.imaging.links import leads_nowhere
from client.imaging.roi import Roi
from shared.preprocessing import PreprocessingSettings

# Reasons why phases were left out, each with its file below the patient's folder.
Problems = tuple[tuple[str, str], ...]

# One entry: safetensors writes several in no fixed order.
_ABOUT = "about"
# Raised whenever more is noted with a region: those kept before are made anew.
_NOTED = 2
_PIECE_BYTES = 1 << 19
# In place of the checksums of what a link does not lead to; no file has these.
_NOTHING = bytes(16)


class CacheWriteError(SiteFolderError):
    """The cache cannot be written: no patient's fault, and the same for all that follow."""


def write_whole(path: Path, content: bytes) -> None:
    """Write a file of the cache, all at once or not at all.

    Raises
    ------
    CacheWriteError
        The disk is full, or this account may not write there.
    """
    # Of this process: another may write the same file at the same time.
    partial = path.with_suffix(f".{os.getpid()}.partial")
    with _writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(content)
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CacheWriteError(
            f"{folder}: cannot be written ({error.strerror or type(error).__name__}): free some"
            " space there, give this account the right to write, or set cache_dir elsewhere; what"
            " is prepared is kept, and the next start goes on from there"
        ) from error


def content_digest(files: Sequence[Path], folder: Path, roles: str = "") -> str:
    """Return a digest of files' names below their patient's folder, and of their contents.

    The name says which phase a file is: one that is renamed is another phase. Where it does not,
    `roles` says it for all files.
    """
    digest = hashlib.blake2b(roles.encode(), digest_size=16)
    for file in files:
        name = os.fsencode(file.relative_to(folder).as_posix())
        # Lengths first, so that no two lists of names and contents run into the same bytes.
        contents = _NOTHING if leads_nowhere(file) else _checksums(file)
        digest.update(struct.pack("<Q", len(name)) + name + contents)
    return digest.hexdigest()


def _checksums(file: Path) -> bytes:
    """Return a file's size and two unlike checksums.

    CRC-32 alone overlooks a change by chance once in 2^32, both together far more seldom, at a
    tenth of the cost of a cryptographic digest, which is a third of a DICOM series' decoding. A
    forger could deceive them, but one who can forge a site's files is already inside the site.
    """
    size, crc, adler = 0, 0, 1
    buffer = memoryview(bytearray(_PIECE_BYTES))
    with file.open("rb", buffering=0) as stream:
        while count := stream.readinto(buffer):
            piece = buffer[:count]
            size += count
            crc, adler = isal_zlib.crc32(piece, crc), isal_zlib.adler32(piece, adler)
    return struct.pack("<QII", size, crc, adler)


def roi_path(cache_dir: Path, content: str, settings: PreprocessingSettings) -> Path:
    """Return where the region made from some content with some settings is kept."""
    name = hashlib.blake2b(f"{content}:{settings.fingerprint}".encode(), digest_size=16)
    return cache_dir / f"{name.hexdigest()}.safetensors"


def save_roi(roi: Roi, path: Path, problems: Problems = (), facts: str = "") -> None:
    """Write a region, and what was wrong with phases left out, all at once or not at all.

    `facts` is text (`client.preparation.facts`) that nothing is trained on. Raises what
    `write_whole` raises.
    """
    tensors: dict[str, NDArray[Any]] = {
        "phases": roi.phases,
        "mask": roi.mask,
        "present": roi.present,
        "spacing_mm": np.array([roi.spacing_mm], np.float32),
        "measurements": roi.measurements,
    }
    if roi.native_spacing_mm is not None:
        tensors["native_spacing_mm"] = np.array(roi.native_spacing_mm, np.float64)
    about = json.dumps({"noted": _NOTED, "problems": problems, "facts": facts})
    write_whole(path, save(tensors, metadata={_ABOUT: about}))


def load_roi(path: Path) -> Roi:
    """Read a region.

    Raises
    ------
    SafetensorError, KeyError, OSError
        The file is damaged or absent; `load_intact` tells without raising.
    """
    tensors = load_file(path)
    native = tensors.get("native_spacing_mm")
    return Roi(
        phases=tensors["phases"],
        mask=tensors["mask"],
        present=tensors["present"],
        spacing_mm=float(tensors["spacing_mm"][0]),
        native_spacing_mm=None if native is None else (float(native[0]), float(native[1])),
        measurements=tensors["measurements"],
    )


def load_facts(path: Path) -> str:
    """Return the facts that were kept with a region; empty where none were."""
    return str(_about(path)["facts"])


def _about(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="numpy") as stream:
        about: dict[str, Any] = json.loads(stream.metadata()[_ABOUT])
    return about


def load_intact(path: Path) -> tuple[Roi, Problems] | None:
    """Return a region and its problems, or None where the file is absent or damaged."""
    try:
        roi = load_roi(path)
        about = _about(path)
        problems = about["problems"]
        if roi.native_spacing_mm is None or about["noted"] != _NOTED:
            return None
        return roi, tuple((str(reason), str(file)) for reason, file in problems)
    except (SafetensorError, KeyError, TypeError, ValueError, OSError):
        return None


class DigestIndex:
    """Digests of files whose path, size and time of change are as they were.

    Losing it costs one reading of the files; a damaged index counts as lost.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = _read_index(path)
        self._fresh: dict[str, str] = {}

    def get(self, state: str | None) -> str | None:
        """Return the digest of files in a state (`files_state`), where it is known."""
        return None if state is None else self._known.get(state)

    def put(self, state: str, digest: str) -> None:
        """Remember a digest."""
        if self._known.get(state) != digest:
            self._known[state] = self._fresh[state] = digest

    def save(self) -> None:
        """Add what is new to the index, to which other processes may have added meanwhile.

        Raises what `write_whole` raises.
        """
        if not self._fresh:
            return
        with _writing(self._path.parent):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self._path.with_suffix(".lock")):
                together = _read_index(self._path) | self._fresh
                write_whole(self._path, json.dumps(together).encode())
        self._fresh.clear()


def _read_index(path: Path) -> dict[str, str]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in read.items()} if isinstance(read, dict) else {}


def files_state(files: Sequence[Path]) -> str | None:
    """Return what changes when files do, without reading them; None where they cannot be seen.

    Both a link's own name and what it leads to count: either may be changed alone.
    """
    digest = hashlib.blake2b(digest_size=16)
    try:
        for file in files:
            status = file.stat()
            parts = (os.fsencode(file.absolute()), os.fsencode(file.resolve()))
            numbers = f"{status.st_size}\n{status.st_mtime_ns}".encode()
            digest.update(b"\n".join((*parts, numbers, b"")))
    except OSError:
        return None
    return digest.hexdigest()
