"""Codes for the reasons on an institution's own list: the coordinator gets no free text."""

# The first part found in a reason decides. A test holds that every reason of the code has one.
_CODES = (
    # The only one that names a patient, whose name may hold any of the others.
    ("has the images of", "ambiguous"),
    # What goes before a reason, or stands alone, wherever it was found.
    ("used without this phase", "phase-left-out"),
    ("used in part", "label-unusable"),
    ("used, though", "used-with-a-note"),
    ("no folder of this name", "no-images"),
    ("no such folder", "no-images"),
    ("no phase can be used", "no-images"),
    ("no row in", "no-clinical-row"),
    ("several rows", "no-clinical-row"),
    ("more cells than the header", "no-clinical-row"),
    ("has no patient_id", "no-clinical-row"),
    ("months must be", "no-clinical-row"),
    # Which of several is meant.
    ("is there as", "ambiguous"),
    ("is the same scan as", "ambiguous"),
    ("series in one folder", "ambiguous"),
    ("patients in one folder", "ambiguous"),
    ("called both liver and tumour", "ambiguous"),
    # What is not CT in HU, or must not be read.
    ("burned-in annotations", "burned-in"),
    ("not a CT image", "not-ct"),
    ("its values are not HU", "not-ct"),
    # The mask.
    ("no mask", "no-mask"),
    ("is tumour", "no-tumour"),
    ("the tumour is smaller", "no-tumour"),
    ("labels other than", "no-mask"),
    ("the mask has another frame", "geometry"),
    ("the mask is moved", "geometry"),
    ("lies outside", "geometry"),
    ("lies elsewhere", "geometry"),
    ("DICOM SEG", "no-mask"),
    ("RTSTRUCT", "no-mask"),
    ("contour", "no-mask"),
    # Files.
    ("damaged", "unreadable"),
    ("cut short", "unreadable"),
    ("cannot be", "unreadable"),
    ("not readable", "unreadable"),
    ("no readable", "unreadable"),
    ("voxels that are not numbers", "unreadable"),
    ("header makes no sense", "unreadable"),
    ("is not NIfTI-1", "unreadable"),
    ("write it anew", "unreadable"),
    ("died", "unreadable"),
    ("unexpected", "unreadable"),
    # Where voxels lie.
    ("a slice has no", "geometry"),
    ("a slice's geometry", "geometry"),
    ("orientation", "geometry"),
    ("slice", "geometry"),
    ("missing where they are needed", "geometry"),
    ("frames", "geometry"),
    ("axes are not perpendicular", "geometry"),
    ("qform and sform", "geometry"),
    ("voxels lie", "geometry"),
    ("voxels are apart", "geometry"),
    ("volume", "geometry"),
)


def reason_code(reason: str) -> str:
    """Return a key of `shared.evidence.description.REASONS`; ``other`` where none fits."""
    return next((code for part, code in _CODES if part in reason), "other")
