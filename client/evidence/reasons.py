"""Codes for the reasons on an institution's own list: the coordinator gets no free text."""

# The first part found in a reason decides.
_CODES = (
    ("used without this phase", "phase-left-out"),
    ("used in part", "label-unusable"),
    ("used, though", "used-with-a-note"),
    ("used, though", "geometry"),
    ("no folder of this name", "no-images"),
    ("no phase can be used", "no-images"),
    ("no mask", "no-mask"),
    ("the mask is there as", "no-mask"),
    ("is tumour", "no-tumour"),
    ("the tumour is smaller", "no-tumour"),
    ("labels other than", "no-mask"),
    ("lies outside", "geometry"),
    ("orientation", "geometry"),
    ("slices", "geometry"),
    ("frames", "geometry"),
    ("spaced", "geometry"),
    ("volume", "geometry"),
    ("DICOM SEG", "no-mask"),
    ("no row in", "no-clinical-row"),
    ("several rows", "no-clinical-row"),
    ("more cells than the header", "no-clinical-row"),
    ("has no patient_id", "no-clinical-row"),
    ("months must be", "no-clinical-row"),
    ("damaged", "unreadable"),
    ("cut short", "unreadable"),
    ("cannot be", "unreadable"),
    ("not readable", "unreadable"),
    ("no readable", "unreadable"),
    ("not numbers", "unreadable"),
    ("header", "unreadable"),
    ("convert it", "unreadable"),
    ("write it anew", "unreadable"),
    ("died", "unreadable"),
    ("unexpected", "unreadable"),
)


def reason_code(reason: str) -> str:
    """Return a key of `shared.evidence.description.REASONS`; ``other`` where none fits."""
    return next((code for part, code in _CODES if part in reason), "other")
