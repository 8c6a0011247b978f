"""Links into an archive that is not mounted: what they stand for is there, but out of reach."""

from pathlib import Path

from client.imaging.errors import ImagingError


def leads_nowhere(path: Path) -> bool:
    """Return whether a path is a link to something that is not there."""
    return path.is_symlink() and not path.exists()


def check_link(path: Path, told: Path | None = None) -> None:
    """Refuse a link that leads nowhere: what it stands for was acquired, and is not absent.

    Parameters
    ----------
    path : Path
    told : Path, optional
        Named in the error instead, where a file's own name must not be.

    Raises
    ------
    ImagingError
        It leads nowhere.
    """
    if leads_nowhere(path):
        raise ImagingError(
            "cannot be reached, a link leads nowhere: is the archive mounted?", told or path
        )
