"""``series.csv``: every series of a site's mixed folders, and what became of it.

It stays at the site. Even so it holds no free text of a header and no identifier: a series is
named by a digest, and its description is given as it was understood.
"""

import csv
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from client.series.description import read_description
from client.series.evidence import Judgement
from client.series.stacks import Stack
from shared.tasks import Phase


@dataclass(frozen=True)
class SeriesRow:
    """One series, or one stack of slices within it.

    Attributes
    ----------
    series : str
        A digest of its identifier, with ``-2`` for a second stack: how ``phases.csv`` names it.
    study, number : str
        Which study of the folder, from 1, and the scanner's number of the series.
    images : int
    thickness_mm : str
    understood : str
        What its description was understood to say.
    phase : str
        The phase it is used for, or would be.
    decision : str
        ``used``, ``passed over`` (it is none of the phases), or ``set aside`` (it may be one).
    confidence : str
        ``high``: two kinds of evidence agree; ``medium``: one alone; ``low``: look at it.
    reason, evidence : str
    """

    series: str
    study: str
    number: str
    images: int
    thickness_mm: str
    understood: str
    phase: str
    decision: str
    confidence: str
    reason: str
    evidence: str

    @property
    def used(self) -> bool:
        """Whether it is one of the patient's phases."""
        return self.decision == "used"


def row_of(
    stack: Stack,
    study: int,
    judgement: Judgement,
    *,
    decision: str,
    reason: str = "",
    phase: Phase | None = None,
) -> SeriesRow:
    """Return a stack's row."""
    first = stack.first
    return SeriesRow(
        series=stack.name,
        study=str(study),
        number="" if first.series_number is None else str(first.series_number),
        images=stack.images,
        thickness_mm="" if first.thickness_mm is None else f"{first.thickness_mm:g}",
        understood=read_description(first.description).words,
        phase=phase or judgement.phase or "",
        decision=decision,
        confidence=judgement.confidence or "",
        reason=reason,
        evidence=judgement.evidence,
    )


def unreadable_row(count: int) -> SeriesRow:
    """Return the row of the files that are no readable DICOM."""
    reason = "not readable DICOM: repair or remove them"
    return SeriesRow("", "", "", count, "", "", "", "passed over", "", reason, "")


def write_series(rows: Iterable[tuple[str, SeriesRow]], path: Path) -> None:
    """Write rows, each with its patient, as ``series.csv``."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["patient_id", *(field.name for field in fields(SeriesRow))])
        writer.writerows((patient, *astuple(row)) for patient, row in rows)
