"""Why an image cannot be used."""

from pathlib import Path


class ImagingError(Exception):
    """A file cannot be used.

    Parameters
    ----------
    reason : str
        What is wrong and what to do; never holds what a header says of a person.
    file : Path
        The file or folder.
    """

    def __init__(self, reason: str, file: Path) -> None:
        super().__init__(f"{file}: {reason}")
        self.reason = reason
        self.file = file
