"""The same learning on Flower's own FedAvg, as its tutorials do it: a train and an evaluate.

For `tests.benchmarks.round_overhead` alone: nothing is checked, bounded, kept or resumed.
"""

import json
import time
from itertools import pairwise
from pathlib import Path

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from client.cases import PreparedCase
from client.evaluation import judge
from client.site_file import site_from_node_config
from client.split import split_cases
from client.training import train_locally
from server.federation import initial_weights
from shared.config import from_json
from shared.model import MultiTaskNet
from shared.plan import Plan, new_model
from shared.weights import to_record

client = ClientApp()
server = ServerApp()


def _plan(context: Context) -> Plan:
    return from_json(Plan, str(context.run_config["plan"]), where="plan")


def _model(message: Message, plan: Plan) -> MultiTaskNet:
    model = new_model(plan)
    record = message.content["arrays"]
    if not isinstance(record, ArrayRecord):
        raise TypeError("no arrays")
    model.load_state_dict(record.to_torch_state_dict())
    return model


def _cases(context: Context, plan: Plan) -> tuple[str, list[PreparedCase], list[PreparedCase]]:
    site = site_from_node_config(context)
    torch.set_num_threads(site.threads)
    split = split_cases(site.cases, plan.seed, plan.training_fraction)
    return site.name, list(split.training), list(split.internal)


@client.train()
def train(message: Message, context: Context) -> Message:
    """Train and return the weights."""
    plan = _plan(context)
    model = _model(message, plan)
    name, training, _ = _cases(context, plan)
    device = torch.device("cpu")
    loss = train_locally(model, training, plan, site=name, round_number=1, device=device)
    metrics = MetricRecord({"loss": float(loss), "num-examples": len(training)})
    content = RecordDict({"arrays": ArrayRecord(model.state_dict()), "metrics": metrics})
    return Message(content, reply_to=message)


@client.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Judge the average."""
    plan = _plan(context)
    _, _, internal = _cases(context, plan)
    model = _model(message, plan)
    found = judge(model, internal, plan, torch.device("cpu"), minimum_count=1)
    patients = found.losses["os"].patients
    metrics = MetricRecord({"loss": found.losses["os"].total, "num-examples": max(1, patients)})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Run stock FedAvg and note when each round was done."""
    plan, sites = _plan(context), int(context.run_config["sites"])
    done: list[float] = []

    def note(server_round: int, arrays: ArrayRecord) -> None:
        done.append(time.monotonic())

    strategy = FedAvg(min_train_nodes=sites, min_evaluate_nodes=sites, min_available_nodes=sites)
    arrays = to_record(initial_weights(plan))
    strategy.start(grid, arrays, num_rounds=plan.rounds, timeout=900, evaluate_fn=note)
    seconds = [after - before for before, after in pairwise(done)]
    Path(str(context.run_config["seconds-file"])).write_text(json.dumps(seconds))
