"""What a site answers: it judges the model that comes in, trains it, tells an update and sums.

Thin on purpose: the learning is in `client.training` and `client.evaluation`, the messages in
`shared.protocol`. It answers in a simulation and under a SuperNode alike, and takes patients who
are prepared: who prepares them, `client.app` or a simulation, brings what reads images.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import torch
from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp

from client.clinical import SiteFolderError
from client.evaluation import judge, sum_features, sum_maps
from client.evidence.describe import describe
from client.evidence.gather import cohorts_of, gather_evidence, rule_of
from client.imaging.errors import ImagingError
from client.learning import train_round
from client.personal import take_own_part
from client.site import Site
from client.split import Split, split_cases
from shared.evidence.messages import (
    DESCRIBE,
    EVIDENCE,
    read_evidence_request,
    write_description,
    write_evidence,
)
from shared.evidence.request import follow_up_grid
from shared.model import MultiTaskNet
from shared.plan import Plan, new_model
from shared.protocol import (
    ErrorCode,
    Instruction,
    ProtocolError,
    ToldFeatures,
    check_weights,
    read_control,
    read_instruction,
    write_feature_sums,
    write_judgement,
    write_update,
)
from shared.weights import Weights, parameters_of, weights_of

logger = logging.getLogger("hepafed.client")


def build_client_app(site_of: Callable[[Context], Site]) -> ClientApp:
    """Return the ClientApp of the institution that `site_of` finds for a node's context."""
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        return _answer(message, lambda: _train(message, site_of(context)))

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        return _answer(message, lambda: _evaluate(message, site_of(context)))

    @app.query()
    def query(message: Message, context: Context) -> Message:
        return _answer(message, lambda: _sum_features(message, site_of(context)))

    @app.query(DESCRIBE)
    def describe_cohorts(message: Message, context: Context) -> Message:
        return _answer(message, lambda: _describe(message, site_of(context)))

    @app.evaluate(EVIDENCE)
    def evidence(message: Message, context: Context) -> Message:
        return _answer(message, lambda: _give_evidence(message, site_of(context)))

    return app


def _answer(message: Message, work: Callable[[], RecordDict]) -> Message:
    """Do the work; whatever goes wrong, the coordinator gets a code and nothing else."""
    try:
        return Message(work(), reply_to=message)
    except ProtocolError as error:
        logger.error("refused: %s", error)
        return _refusal(message, error.code)
    except (SiteFolderError, ImagingError, OSError) as error:
        logger.error("the site's data cannot be read: %s", error)
        return _refusal(message, ErrorCode.DATA_UNREADABLE)
    except Exception:
        # The text of an exception may hold a path or a name: it stays in the site's log.
        logger.exception("could not answer")
        return _refusal(message, ErrorCode.INTERNAL)


def _refusal(message: Message, code: ErrorCode) -> Message:
    return Message(Error(code=int(code), reason=code.name), reply_to=message)


def _train(message: Message, site: Site) -> RecordDict:
    start = time.perf_counter()
    model, instruction, split = _prepare(message, site)
    if not split.training:
        raise ProtocolError(ErrorCode.NO_PATIENTS, "no training patient at this site")
    asked = instruction.plan.algorithm.control_variates
    control = read_control(message, parameters_of(model) if asked else None)
    update = train_round(site, model, instruction, split, control)
    return write_update(replace(update, seconds=time.perf_counter() - start))


def _evaluate(message: Message, site: Site) -> RecordDict:
    model, instruction, split = _prepare(message, site)
    judgement = judge(
        model,
        split.internal,
        instruction.plan,
        site.torch_device,
        minimum_count=site.minimum_count,
    )
    return write_judgement(site.name, judgement)


def _describe(message: Message, site: Site) -> RecordDict:
    _, instruction = _accept(message, site)
    plan = instruction.plan
    cohorts = cohorts_of(site, plan)
    return write_description(describe(site, cohorts, follow_up_grid(plan), rule_of(site)))


def _give_evidence(message: Message, site: Site) -> RecordDict:
    weights, instruction = _accept(message, site)
    request = read_evidence_request(message)
    if not request.fits(instruction.plan):
        raise ProtocolError(ErrorCode.POLICY_REFUSED, "times of follow-up that no run has")
    model = _load(weights, instruction, site)
    return write_evidence(gather_evidence(model, instruction.plan, site, request))


def _sum_features(message: Message, site: Site) -> RecordDict:
    model, _, split = _prepare(message, site)
    least = site.minimum_count
    sums = sum_features(split.training, model.settings, minimum_count=least)
    maps = sum_maps(model, split.training, site.torch_device, minimum_count=least)
    return write_feature_sums(site.name, ToldFeatures(len(split.training), sums, maps))


def _prepare(message: Message, site: Site) -> tuple[MultiTaskNet, Instruction, Split]:
    """Accept a message of training, and load the model that it carries."""
    weights, instruction = _accept(message, site)
    if site.role == "external":
        raise ProtocolError(ErrorCode.NO_PATIENTS, "an external site trains no model")
    plan, model = instruction.plan, _load(weights, instruction, site)
    return model, instruction, split_cases(site.cases, plan.seed, plan.training_fraction)


def _accept(message: Message, site: Site) -> tuple[Weights, Instruction]:
    """Read a message and check that it fits this site."""
    weights, instruction = read_instruction(message)
    plan = instruction.plan
    if plan.preprocessing != site.preprocessing:
        raise ProtocolError(
            ErrorCode.OTHER_PREPROCESSING,
            f"asked for {plan.preprocessing}, prepared with {site.preprocessing}",
        )
    if site.policy is not None:
        training = split_cases(site.cases, plan.seed, plan.training_fraction).training
        site.policy.check(message.metadata.message_type, instruction, len(training))
    if torch.get_num_threads() != site.threads:
        torch.set_num_threads(site.threads)
    return weights, instruction


def _load(weights: Weights, instruction: Instruction, site: Site) -> MultiTaskNet:
    """Return the model that came down, as this site uses it."""
    model = _blank_model(instruction.plan)
    check_weights(weights, weights_of(model))
    model.load_state_dict({key: torch.from_numpy(value.copy()) for key, value in weights.items()})
    take_own_part(model, site, instruction)
    return model.to(site.torch_device)


@lru_cache(maxsize=1)
def _blank_model(plan: Plan) -> MultiTaskNet:
    return new_model(plan)
