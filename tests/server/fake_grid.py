"""A Grid whose sites do whatever a test wants: answer, lie, be late, be absent, break."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.proto.node_pb2 import NodeInfo

from shared.evidence.description import REASONS, CohortDescription, Description
from shared.evidence.messages import DESCRIBE, EVIDENCE, write_description, write_evidence
from shared.evidence.sums import Evidence
from shared.judgement import Judgement
from shared.map_sums import MapSums
from shared.model import DIRECT_FEATURES, ModelSettings, pooled_maps
from shared.plan import Plan
from shared.protocol import (
    ToldFeatures,
    Update,
    read_instruction,
    write_feature_sums,
    write_judgement,
    write_update,
)
from shared.results import Cohort
from shared.standardisation import FeatureSums
from shared.tasks import TASKS
from simulation.grid import InProcessGrid

PLAN = Plan(
    rounds=3,
    model=ModelSettings(init_features=8, growth_rate=4, block_config=(2,), embedding=8),
)

# What a site does with a message: its replies (none: it says nothing), given its honest one.
Behaviour = Callable[[Message, Message], Sequence[Message]]


def honest(message: Message, answer: Message) -> Sequence[Message]:
    """Answer as a site does."""
    return [answer]


def silent(message: Message, answer: Message) -> Sequence[Message]:
    """Never answer."""
    return []


@dataclass
class FakeSite:
    """An institution without patients: its training adds `step` to every parameter.

    Attributes
    ----------
    name : str
        Under which its key is registered.
    step : float
    patients : int
    behaviours : dict of int to Behaviour
        For its n-th message, from 0; `otherwise` for the rest.
    calls_itself : str
        Its own word for itself; its name where empty.
    online : callable
        Number of times the link was asked who is there -> whether it is.
    activated : callable
        The same -> when it was last started.
    """

    name: str
    step: float = 0.25
    patients: int = 10
    behaviours: dict[int, Behaviour] = field(default_factory=dict)
    otherwise: Behaviour = honest
    calls_itself: str = ""
    online: Callable[[int], bool] = lambda _: True
    activated: Callable[[int], str] = lambda _: "then"
    asked: list[tuple[str, int]] = field(default_factory=list)

    def receive(self, message: Message) -> list[Message]:
        """Return the replies to a message."""
        weights, instruction = read_instruction(message)
        behaviour = self.behaviours.get(len(self.asked), self.otherwise)
        self.asked.append((message.metadata.message_type, instruction.round))
        name = self.calls_itself or self.name
        kind = message.metadata.message_type
        if kind == f"query.{DESCRIBE}":
            cohorts: dict[Cohort, CohortDescription] = {"internal": CohortDescription()}
            nobody: dict[str, int | None] = dict.fromkeys(REASONS, 0)
            content = write_description(Description(name, 5, cohorts, nobody, 0))
        elif kind == f"evaluate.{EVIDENCE}":
            content = write_evidence(Evidence(name, 5, {}))
        elif kind == "query":
            one_patient = np.ones((1, DIRECT_FEATURES))
            sums = FeatureSums.over(one_patient, one_patient)
            maps = MapSums.empty(pooled_maps(instruction.plan.model))
            content = write_feature_sums(name, ToldFeatures(self.patients, sums, maps))
        elif kind == "evaluate":
            content = write_judgement(name, Judgement.empty())
        else:
            trained = {key: value + np.float32(self.step) for key, value in weights.items()}
            labelled = dict.fromkeys(TASKS, self.patients)
            update = Update(name, trained, self.patients, labelled, 0.5, 0.01, Judgement.empty())
            content = write_update(update)
        return list(behaviour(message, Message(content, reply_to=message)))


class FakeGrid(InProcessGrid):
    """A Grid over fake sites; its answers come in the order that `hurry` gives."""

    def __init__(self, *sites: FakeSite, hurry: Sequence[str] = ()) -> None:
        super().__init__(ClientApp(), [site.name for site in sites])
        self.sites = {site.name: site for site in sites}
        self._by_node = dict(zip(self.get_node_ids(), sites, strict=True))
        self._hurry = list(hurry)
        self._looked = 0
        self._replies: dict[str, list[Message]] = {}

    def get_nodes(self) -> Iterable[NodeInfo]:
        """Return the sites that are online."""
        self._looked += 1
        return [
            NodeInfo(
                node_id=node_id,
                name=site.name,
                last_activated_at=site.activated(self._looked),
            )
            for node_id, site in self._by_node.items()
            if site.online(self._looked)
        ]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return at most one reply a message, the hurried sites' first."""
        return [reply for message_id in message_ids for reply in self._pull(message_id)]

    def _pull(self, message_id: str) -> list[Message]:
        site = self._site_of(message_id)
        if message_id not in self._replies:
            behind = self._hurry[: self._hurry.index(site.name)] if self._hurry else []
            unanswered = {self._site_of(i).name for i in self._waiting if i not in self._replies}
            if unanswered & set(behind):
                return []
            self._replies[message_id] = site.receive(self._waiting[message_id])
        replies = self._replies[message_id]
        return [replies.pop(0)] if replies else []

    def _site_of(self, message_id: str) -> FakeSite:
        return self._by_node[self._waiting[message_id].metadata.dst_node_id]


def changed(change: Callable[[RecordDict], object]) -> Behaviour:
    """Answer with a content that was changed."""

    def behave(message: Message, answer: Message) -> Sequence[Message]:
        change(answer.content)
        return [answer]

    return behave


def renamed(content: RecordDict, name: str) -> None:
    """Let a content speak in another's name."""
    record = content["site"]
    assert isinstance(record, ConfigRecord)
    record["name"] = name
