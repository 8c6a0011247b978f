"""What a person sees of a federation that goes on: one row a round, and what is happening now."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from server.progress import Progress

MEGABYTE = 1e6
COLUMNS = ("round", "in", "out", "loss", "OS C", "RFS C", "MVI AUC", "s", "MB")
_SHOWN_ROUNDS = 15

Record = Mapping[str, Any]


def federation_table(history: Sequence[Record], rounds: int) -> Table:
    """Return the newest rounds; validation is that of the model which the round made.

    Parameters
    ----------
    history : sequence of mapping
        Records of ``rounds.jsonl``.
    rounds : int
        Of the plan.
    """
    done = [record for record in history if record["round"] > 0]
    table = Table(title=f"{len(done)} of {rounds} rounds", title_justify="left")
    for name in COLUMNS:
        table.add_column(name, justify="left" if name == "out" else "right")
    for record in done[-_SHOWN_ROUNDS:]:
        table.add_row(*round_cells(record))
    return table


def round_cells(record: Record) -> tuple[str, ...]:
    """Return a round's cells, in the order of `COLUMNS`."""
    metrics = record.get("metrics") or {}
    patients = sum(site["patients"] for site in record["sites"].values())
    loss = sum(site["loss"] * site["patients"] for site in record["sites"].values()) / patients
    moved = (record["bytes_down"] + record["bytes_up"]) / MEGABYTE
    return (
        str(record["round"]),
        str(len(record["sites"])),
        _out(record),
        f"{loss:.3f}",
        *(_number(metrics.get(key)) for key in ("os_c_index", "rfs_c_index", "mvi_auc")),
        f"{record['seconds']:.1f}",
        f"{moved:.1f}",
    )


def status_line(progress: Progress | None, rounds: int, note: str = "") -> str:
    """Return what is going on, in one line."""
    if note:
        return note
    if progress is None:
        return "waiting for the app to start"
    if progress.end is not None:
        return f"ended: {progress.end}"
    if not progress.asked:
        return "waiting for sites to come online"
    what = {0: "before round 1", rounds + 1: "judging the last model"}.get(
        progress.round, f"round {progress.round}"
    )
    still = sorted(set(progress.asked) - {*progress.answered, *progress.refused})
    waited = max(0.0, time.time() - progress.began)
    return (
        f"{what}, attempt {progress.attempt}: {len(progress.answered)} of"
        f" {len(progress.asked)} have answered"
        + (f"; waiting for {', '.join(still)} ({waited:.0f} s)" if still else "")
    )


def live_view(
    history: Sequence[Record], progress: Progress | None, rounds: int, note: str = ""
) -> Group:
    """Return table and status together."""
    return Group(
        federation_table(history, rounds), Text(status_line(progress, rounds, note), style="dim")
    )


def _out(record: Record) -> str:
    refused = [f"{site} {code}" for site, code in record["refused"].items()]
    return ", ".join([*refused, *(f"{site} not online" for site in record["absent"])])


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
