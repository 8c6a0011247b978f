"""Puts what a federation left into the same files as a simulation's."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from server import checkpoint as checkpoints
from server.federation import FederationSettings
from server.outputs import (
    FinishedFederation,
    TrainedFederation,
    model_summary,
    versions,
    write_federation,
    write_model,
    write_rounds,
)
from server.settings import ServerSettings
from server.told import load_word
from shared.code_version import code_version
from shared.reporting.content import RunSummary
from shared.reporting.table import terminal_table


def collect(
    settings: ServerSettings,
    folder: Path,
    state_dir: Path,
    overrides: Sequence[str],
    console: Console,
) -> None:
    """Write every file that the state folder allows, and print the table.

    The best model and the rounds are there after any end; metrics and the page need the sites'
    answers about the last model.

    Parameters
    ----------
    settings : ServerSettings
    folder : Path
        The run's.
    state_dir : Path
        The app's.
    overrides : sequence of str
        The words after the command.
    console : Console
    """
    federation = FederationSettings(settings.plan, state_dir, settings.terms)
    checkpoint = checkpoints.load(federation.identity, state_dir)
    if checkpoint is None:
        return
    run = RunSummary(
        name=folder.name,
        strategy=settings.strategy,
        synthetic=settings.synthetic,
        seed=settings.seed,
        rounds=settings.rounds,
        best_round=checkpoint.best_round,
        command=" ".join(["python", "server/run.py", *overrides]),
        versions=versions(),
        model=model_summary(settings.plan, settings.preprocessing),
        code_version=code_version(),
    )
    trained = TrainedFederation(run, settings.plan, settings.preprocessing, checkpoint)
    word = load_word(settings.plan, state_dir)
    if word is None:
        write_rounds(folder, checkpoint)
        write_model(folder / "model", trained)
        return
    finished = FinishedFederation(**vars(trained), **vars(word))
    write_federation(folder, finished)
    console.print(terminal_table(finished.results, synthetic=settings.synthetic))
    judged = {answer.site for answer in word.evidence.answers}
    for site, code in sorted(word.evidence.refused.items()):
        what = "did not describe its patients" if site in judged else "is in no metric"
        console.print(f"{site} {what}: {code}", highlight=False)
