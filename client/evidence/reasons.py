"""Codes for the reasons on an institution's own list: the coordinator gets no free text."""

# The first part found in a reason decides.
_CODES = (
    ("used without this phase", "phase-left-out"),
    ("used in part", "label-unusable"),
    ("used, though", "geometry"),
    ("no folder of this name", "no-images"),
    ("no phase can be used", "no-images"),
    ("no mask", "no-mask"),
    ("the mask is there as", "no-mask"),
    ("label", "no-mask"),
    ("is tumour", "no-tumour"),
    ("the tumour is smaller", "no-tumour"),
    ("lies outside", "geometry"),
    ("orientation", "geometry"),
    ("slices", "geometry"),
    ("frames", "geometry"),
    ("spaced", "geometry"),
    ("clinical.csv", "no-clinical-row"),
    ("row", "no-clinical-row"),
    ("months", "no-clinical-row"),
    ("damaged", "unreadable"),
    ("cut short", "unreadable"),
    ("cannot be", "unreadable"),
    ("not readable", "unreadable"),
    ("no readable", "unreadable"),
    ("not numbers", "unreadable"),
    ("died", "unreadable"),
    ("unexpected", "unreadable"),
)


def reason_code(reason: str) -> str:
    """Return a key of `shared.evidence.description.REASONS`; ``other`` where none fits."""
    return next((code for part, code in _CODES if part in reason), "other")
