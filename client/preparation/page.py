"""``prepare.html``: one file for the site's own people, with no address outside itself."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from client.preparation.content import SiteContent
from client.preparation.figures import distributions
from shared.reporting.names import printable
from shared.reporting.palette import PALETTE


def write_page(content: SiteContent, path: Path) -> None:
    """Write the page; the same content gives the same bytes.

    Names of patients come from folders that anyone made: the template escapes everything.
    """
    environment = Environment(
        loader=ChoiceLoader(
            [PackageLoader("client.preparation", "."), PackageLoader("shared.reporting", ".")]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["printable"] = printable
    text = environment.get_template("prepare.html").render(**_values(content))
    path.write_text(text, encoding="utf-8", newline="\n")


def _values(content: SiteContent) -> dict[str, Any]:
    return {
        "site": content,
        "palette": PALETTE.values(),
        "places": {picture.patient_id: n for n, picture in enumerate(content.pictures)},
        "look_at": [picture for picture in content.pictures if picture.remarks],
        "reasons": _by_reason(content),
        "distributions": distributions(content.facts, content.outliers) if content.facts else None,
    }


def _by_reason(content: SiteContent) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return (patient, file) by reason, the most frequent reason first."""
    found: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in content.set_aside:
        found[row.reason].append((row.patient_id, row.file))
    return sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
