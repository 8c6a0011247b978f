"""What a segment or a region of interest is called, as a label of the data contract."""

import re
from pathlib import Path

from client.imaging.errors import ImagingError
from shared.tasks import LIVER_LABEL, TUMOUR_LABEL

# GTV is radiotherapy's gross tumour volume; its CTV and PTV are larger than the tumour.
_TUMOUR = re.compile(r"tumo|lesion|neoplasm|carcinoma|\bhcc|\bmass\b|\bmasses\b|\bgtv|metasta")
_LIVER = re.compile(r"liver|hepatic parenchyma|\bhepar\b")
_WITHOUT = re.compile(r"minus|without|exclud|\bno\b|\bnon\b|normal|healthy|\bw/?o\b|liver *-")
# Around a tumour, or where one was: neither.
_AROUND = re.compile(r"peri-? ?(tumo|lesion)|tumou?r bed|ablation zone")


def label_of(names: tuple[str, ...], number: int, file: Path) -> int:
    """Return the label of a segment: 1 liver, 2 tumour, 0 anything else.

    Parameters
    ----------
    names : tuple of str
        What it is called, the name given by a person first; the first that says something counts.
    number : int
        The segment's own, named in errors.
    file : Path

    Raises
    ------
    ImagingError
        The name can mean the tumour or the liver without it.
    """
    for name in names:
        text = name.lower().replace("_", " ")
        if _AROUND.search(text):
            return 0
        tumour, liver = _TUMOUR.search(text), _LIVER.search(text)
        if tumour and liver and _WITHOUT.search(text):
            raise ImagingError(
                f"segment {number} is called both liver and tumour: name it as the one it is", file
            )
        if tumour:
            return TUMOUR_LABEL
        if liver:
            return LIVER_LABEL
    return 0
