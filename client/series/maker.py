"""Who made a scanner, as one of a few words: what a header says is free text, and stays here."""

import re

from shared.evidence.description import Maker

# Words of the manufacturer's name; firms go under the name they have now.
_WORDS: dict[str, Maker] = {
    "SIEMENS": "siemens",
    "GE": "ge",
    "GEMS": "ge",
    "GEHC": "ge",
    "PHILIPS": "philips",
    "TOSHIBA": "canon-toshiba",
    "CANON": "canon-toshiba",
}
_GENERAL_ELECTRIC = {"GENERAL", "ELECTRIC"}


def maker_of(manufacturer: str) -> Maker:
    """Return the maker that a header's Manufacturer (0008,0070) names.

    A name that is none of the large makers' is ``other``; no name is ``unknown``.
    """
    words = re.findall(r"[A-Z]+", manufacturer.upper())
    if not words:
        return "unknown"
    if set(words) >= _GENERAL_ELECTRIC:
        return "ge"
    return next((_WORDS[word] for word in words if word in _WORDS), "other")
