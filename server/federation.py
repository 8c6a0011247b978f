"""A federation from its plan to its best model, resumed from wherever it stands."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from flwr.app import MessageType
from flwr.serverapp import Grid

from server import checkpoint as checkpoints
from server.checkpoint import Checkpoint, CheckpointMismatchError
from server.intake import Intake
from server.judges import Judges, JudgesMissingError, gap_in_words, missing_judges
from server.progress import End, Progress, read_progress, write_progress
from server.question import FederationFailedError, Question
from server.strategy import SiteStrategy
from server.streaming import StreamingGrid
from server.terms import Terms
from server.told import SitesWord, ask_everyone, load_word, save_word
from shared.config import to_json
from shared.map_sums import MapSums
from shared.model import IMAGE_STATISTICS, pooled_maps
from shared.plan import Plan, new_model
from shared.protocol import (
    Instruction,
    ToldFeatures,
    check_weights,
    read_feature_sums,
    write_instruction,
)
from shared.seeds import derive_seed
from shared.standardisation import add_up
from shared.weights import Weights, to_record, weights_of


@dataclass(frozen=True)
class FederationSettings:
    """How a federation is run.

    Attributes
    ----------
    plan : Plan
        What the sites are asked to learn.
    state_dir : Path
        Where checkpoints and progress go.
    terms : Terms
        With whom, how patiently, and what is made of the average.
    resamples : int
        Of the bootstrap by which all sites judge the best model at the end; 0: they are not
        asked, because somebody else will.
    """

    plan: Plan
    state_dir: Path
    terms: Terms = field(default_factory=Terms)
    resamples: int = 0

    @property
    def identity(self) -> str:
        """What a checkpoint belongs to: equal where the same sites would get the same weights."""
        optimiser = to_json(self.terms.optimiser)
        return f"{to_json(self.plan)} {optimiser} {self.terms.sites_per_round}"


def run_federation(
    grid: Grid,
    settings: FederationSettings,
    on_checkpoint: Callable[[Checkpoint], None] | None = None,
) -> Checkpoint:
    """Run the rounds that are left and return the last checkpoint.

    However it ends, `server.progress.PROGRESS_FILE` says how.

    Parameters
    ----------
    grid : Grid
        Flower's way to the sites.
    settings : FederationSettings
    on_checkpoint : callable, optional
        Told of every checkpoint after it is on disk.

    Raises
    ------
    FederationFailedError
        Too few sites, at the last attempt too; another start goes on from the last checkpoint.
    JudgesMissingError
        All rounds are done, but a named site has not judged the best model; another start asks
        again.
    CheckpointMismatchError
        The state folder belongs to another federation.
    """
    write_progress(Progress(run_id=grid.run.run_id), settings.state_dir)
    try:
        checkpoint = _run(StreamingGrid(grid), settings, on_checkpoint)
        if settings.resamples:
            _have_judged(StreamingGrid(grid), settings, checkpoint)
    except FederationFailedError as error:
        _end(settings, "too-few-sites", str(error))
        raise
    except JudgesMissingError as error:
        _end(settings, "judged-by-too-few", str(error))
        raise
    except CheckpointMismatchError as error:
        _end(settings, "another-plan", str(error))
        raise
    except Exception as error:
        _end(settings, "failed", f"{type(error).__name__}: {error}")
        raise
    _end(settings, "completed", "")
    return checkpoint


def _run(
    grid: Grid,
    settings: FederationSettings,
    on_checkpoint: Callable[[Checkpoint], None] | None,
) -> Checkpoint:
    plan, terms = settings.plan, settings.terms

    def keep(checkpoint: Checkpoint) -> None:
        checkpoints.save(checkpoint, settings.identity, settings.state_dir)
        if on_checkpoint is not None:
            on_checkpoint(checkpoint)

    def tell(progress: Progress) -> None:
        write_progress(progress, settings.state_dir)

    start = checkpoints.load(settings.identity, settings.state_dir)
    if start is not None and start.finished:
        return start
    terms.roll.gather(grid, len(terms.roll.training), terms.patience.gathering_s)
    if start is None:
        start = first_checkpoint(grid, settings, tell)
        keep(start)
    strategy = SiteStrategy(plan, start, terms, on_checkpoint=keep, on_progress=tell)
    deadline_s = terms.patience.deadline_s
    rounds_left = plan.rounds - start.round
    if rounds_left:
        strategy.start(grid, to_record(start.weights), num_rounds=rounds_left, timeout=deadline_s)
    else:
        replies = grid.send_and_receive(strategy.instruct_last(grid), timeout=deadline_s)
        strategy.aggregate_evaluate(0, replies)
    return strategy.checkpoint


def first_checkpoint(
    grid: Grid, settings: FederationSettings, on_progress: Callable[[Progress], None]
) -> Checkpoint:
    """Return round 0: weights drawn from the run's seed, features standardised by all sites.

    Raises
    ------
    FederationFailedError
        Too few sites answered with their sums.
    """
    weights = initial_weights(settings.plan)
    features, maps = len(settings.plan.model.feature_names), pooled_maps(settings.plan.model)
    question = Question(
        grid,
        settings.terms,
        write_instruction(weights, Instruction(settings.plan, round=0)),
        message_type=MessageType.QUERY,
        number=0,
        on_progress=on_progress,
    )
    intake, told = Intake(), dict[str, ToldFeatures]()
    question.put(
        intake,
        lambda replies, asked: intake.take(
            replies, asked, lambda reply: read_feature_sums(reply, features, maps), told.__setitem__
        ),
    )
    total = add_up((told[site].features for site in sorted(told)), features)
    mean, deviation = total.mean_and_deviation()
    standardised = weights | {
        "standardise.mean": mean,
        "standardise.deviation": deviation,
        "standardise.correlation": total.correlation(),
    }
    if maps:
        pooled = sum((told[site].maps for site in sorted(told)), start=MapSums.empty(maps))
        mean, deviation = pooled.mean_and_deviation()
        standardised |= {"centre.mean": mean, "centre.deviation": deviation}
    # Every site would refuse a model that is not, and a checkpoint of it could not go on.
    check_weights(standardised, weights)
    patients = {site: told[site].patients for site in sorted(told)}
    untold = {site: _without_sums(told[site], settings.plan) for site in sorted(told)}
    return Checkpoint(
        round=0,
        weights=standardised,
        history=[{"round": 0, "patients": patients, "untold": untold}],
        # Drawn, not derived: with other sites away the same start comes to another model.
        federation=secrets.token_hex(8),
    )


def _without_sums(told: ToldFeatures, plan: Plan) -> list[str]:
    """Return what the heads read of which a site told no sum, by name."""
    read = slice(IMAGE_STATISTICS, None)
    names = zip(plan.model.feature_names[read], told.features.count[read], strict=True)
    return [name for name, count in names if not count]


def initial_weights(plan: Plan) -> Weights:
    """Return the weights that every method of a run begins with."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(plan.seed, "initial weights"))
        return weights_of(new_model(plan))


def best_weights(checkpoint: Checkpoint) -> Weights:
    """Return the model chosen on internal validation; the last one where nothing could choose."""
    return checkpoint.weights if checkpoint.best_weights is None else checkpoint.best_weights


def counted_with_best(checkpoint: Checkpoint) -> dict[str, int]:
    """Return, for `best_weights`, site -> the last round before it in which its update counted."""
    best = checkpoint.round if checkpoint.best_weights is None else checkpoint.best_round
    return checkpoints.counted(checkpoint.history, best or 0)


def _have_judged(grid: Grid, settings: FederationSettings, checkpoint: Checkpoint) -> None:
    """Have the best model judged, unless it is, by all sites that are needed."""
    word = load_word(settings.plan, settings.state_dir)
    if word is None or missing_judges(word.evidence.refused, settings.terms):
        word = _ask_everyone(grid, settings, checkpoint)
        save_word(word, settings.state_dir)
    missing = missing_judges(word.evidence.refused, settings.terms)
    if missing:
        raise JudgesMissingError(gap_in_words(missing, settings.terms))


def _ask_everyone(grid: Grid, settings: FederationSettings, checkpoint: Checkpoint) -> SitesWord:
    """Ask all sites, also external ones, how good the best model is."""
    return ask_everyone(
        Judges(grid, settings.terms),
        settings.plan,
        best_weights(checkpoint),
        settings.resamples,
        counted=counted_with_best(checkpoint),
        federation=checkpoint.federation,
    )


def _end(settings: FederationSettings, end: End, reason: str) -> None:
    progress = read_progress(settings.state_dir) or Progress()
    write_progress(replace(progress, end=end, reason=reason), settings.state_dir)
