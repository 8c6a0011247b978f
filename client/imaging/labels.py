"""What a segment or a region of interest is called, as a label of the data contract."""

import re
import unicodedata
from pathlib import Path

from client.imaging.errors import ImagingError
from shared.tasks import LIVER_LABEL, TUMOUR_LABEL

# English, German, French, Spanish and Italian, without accents. GTV is radiotherapy's gross
# tumour volume.
_TUMOUR_WORDS = (
    r"tumo|tumeu|lesion|lae?sion|neoplas|[ck]ar[cz]in|\bhcc|\bchc\b|\bmass(es)?\b|\bgtv|metasta"
    r"|\b(leber|tumor)?herde?\b"
)
_TUMOUR = re.compile(_TUMOUR_WORDS)
_LIVER = re.compile(
    r"liver|hepatic parenchyma|\bhepar\b|\bleber(parenchym)?\b|\bfoie\b|\bhigado\b|\bfegato\b"
)
_WITHOUT = re.compile(r"minus|without|exclud|\bno\b|\bnon\b|normal|healthy|\bw/?o\b|liver *-")
# Said of the tumour itself, also through one word between, as in "no residual tumour".
_NO_TUMOUR = re.compile(
    r"(pseudo|\b(non?|not|without|w/?o|minus|kein[a-z]*|nicht|ohne|sans|pas de|sin|senza))[ -]*"
    rf"([a-z]+[ -]+)?({_TUMOUR_WORDS})|tumou?r[ -]?fr(ee|ei)"
)
# What is planned or drawn around a tumour or the liver, or where a tumour was: neither.
_AROUND = re.compile(
    r"peri-? ?(tumo|tumeu|lesion|lae?sion)|tumou?r ?bed|ablation zone|[cpi]tv|prv"
    r"|\b(ring|rim)\b(?![ -]*enhanc)|\bmarg(in|e|en)s?\b|\bcapsul|kapsel|\bexpan|\+ *\d"
    r"|gtv.*\d *[mc]m\b"
)
_IN_LIVER = re.compile(r"liver|(?<!extra)(?<!extra.)hepat|leber|\bfoie\b|\bhigado\b|\bfegato\b")
_ELSEWHERE = re.compile(
    r"\blung|pulmon|poumon|polmon|kidney|niere|\brein\b|\brene\b|\brinon|renal|spleen|splenic|milz"
    r"|pancrea|pankrea|stomach|gastric|bowel|\bcolon\b|\bbone|vertebra|\bspine|brain|breast|prostat"
    r"|\blymph|\bnod(e|al)|ovar|thyroid|(o|\b)esophag|gall ?bladder|periton|extra.?hepat"
)


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
        text = _folded(name)
        if _AROUND.search(text):
            return 0
        tumour, liver = _TUMOUR.search(text), _LIVER.search(text)
        without = _NO_TUMOUR.search(text)
        if tumour and liver and (without or _WITHOUT.search(text)):
            raise ImagingError(
                f"segment {number} is called both liver and tumour: name it as the one it is", file
            )
        if without or (tumour and _ELSEWHERE.search(text) and not _IN_LIVER.search(text)):
            return 0
        if tumour:
            return TUMOUR_LABEL
        if liver:
            return LIVER_LABEL
    return 0


def _folded(name: str) -> str:
    """Return a name in small letters, without accents and with spaces for underscores."""
    apart = unicodedata.normalize("NFKD", name.lower().replace("_", " "))
    return "".join(letter for letter in apart if not unicodedata.combining(letter))
