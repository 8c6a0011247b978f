"""What a federation leaves on the coordinator's disk: all of it from sums."""

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path

from server.checkpoint import Checkpoint
from server.evidence import ModelEvidence
from shared.evidence.description import Description
from shared.evidence.table_one import REASON_WORDS
from shared.results import Results, write_metrics_json
from shared.tasks import SURVIVAL_TASKS, SurvivalTask

SET_ASIDE_FILE = "set_aside_counts.csv"


def write_results(folder: Path, results: Results, checkpoint: Checkpoint) -> None:
    """Write ``metrics.json`` and ``rounds.jsonl``.

    Parameters
    ----------
    folder : Path
        The run's.
    results : Results
    checkpoint : Checkpoint
        The last one.
    """
    write_metrics_json(results, folder / "metrics.json")
    lines = [json.dumps(record, allow_nan=False) for record in checkpoint.history]
    (folder / "rounds.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_set_aside_counts(folder: Path, descriptions: Sequence[Description]) -> None:
    """Write ``sites/<site>/set_aside_counts.csv``: reason, meaning, entries.

    The coordinator's part of ``set_aside.csv``, which stays at the site: no patient, no file,
    no free text. A number too small for the site to tell is ``fewer than`` its minimum.
    """
    for description in descriptions:
        target = folder / "sites" / folder_name(description.site)
        target.mkdir(parents=True, exist_ok=True)
        few = f"fewer than {description.minimum_count}"
        with (target / SET_ASIDE_FILE).open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["reason", "meaning", "entries"])
            for reason, count in description.set_aside.items():
                writer.writerow([reason, REASON_WORDS[reason], few if count is None else count])
            excluded = description.excluded
            writer.writerow(
                ["all", "patients not used at all", few if excluded is None else excluded]
            )


def folder_name(site: str) -> str:
    """Return a site's name as the name of a folder: it came in a message, and may hold a path."""
    name = re.sub(r"[^\w. -]", "_", site).strip(". ")
    return name or "_"


def training_patients(checkpoint: Checkpoint) -> dict[str, int]:
    """Return the training patients behind the last round, by site."""
    sites = checkpoint.history[-1].get("sites", {})
    return {site: int(about["patients"]) for site, about in sorted(sites.items())}


def frozen_risk_cuts(evidence: ModelEvidence) -> dict[SurvivalTask, tuple[float, ...]]:
    """Return the cuts of the risk groups by task, for the model's folder."""
    return {task: evidence.thresholds.cuts(task) for task in SURVIVAL_TASKS}
