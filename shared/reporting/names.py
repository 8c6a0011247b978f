"""Names as a reader knows them, and names of others made fit to be shown."""

import unicodedata

from shared.results import Cohort, Metric
from shared.tasks import Phase, SurvivalTask, Task

METRIC_NAMES: dict[Metric, str] = {
    "os_c_index": "OS C-index",
    "rfs_c_index": "RFS C-index",
    "mvi_f1": "MVI F1",
    "mvi_auc": "MVI AUC",
}
COHORT_NAMES: dict[Cohort, str] = {
    "training": "Training",
    "internal": "Internal validation",
    "external": "External site",
}
TASK_NAMES: dict[SurvivalTask, str] = {
    "os": "Overall survival",
    "rfs": "Recurrence-free survival",
}
TASK_SHORT_NAMES: dict[Task, str] = {"mvi": "MVI", "rfs": "RFS", "os": "OS"}
PHASE_NAMES: dict[Phase, str] = {
    "arterial": "arterial",
    "portal_venous": "portal venous",
    "delayed": "delayed",
}
_METHOD_NAMES = {
    "oracle": "Best possible (true risk)",
    "pooled": "Pooled (data in one place)",
    "radiomics": "Radiomics, pooled (linear)",
    "local": "Each site alone (mean)",
    "fedavg": "Federated (FedAvg)",
}
_LOCAL = "local/"


def method_name(method: str) -> str:
    """Return a method's name for a reader; a site's name is taken as it is."""
    if is_one_site(method):
        return f"Only {printable(site_of(method))}"
    return _METHOD_NAMES.get(method, f"Federated ({printable(method)})")


def is_one_site(method: str) -> bool:
    """Return whether a method is the training of one site alone."""
    return method.startswith(_LOCAL)


def site_of(method: str) -> str:
    """Return the site of ``local/<site>``."""
    return method.removeprefix(_LOCAL)


def printable(text: str) -> str:
    """Return a text fit for a page and a terminal.

    A folder's name may hold anything: control characters that steer a terminal, marks that
    reverse the text around them, bytes that are no UTF-8 and that no file can be written with.
    """
    return "".join(_printable(character) for character in text)


def shorten(text: str, most: int = 26) -> str:
    """Return a printable text of at most so many characters.

    The middle goes: names of a hospital's departments often differ only at their end.
    """
    text = printable(text)
    if len(text) <= most:
        return text
    tail = (most - 1) // 3
    return f"{text[: most - 1 - tail].rstrip()}…{text[-tail:].lstrip()}"


def _printable(character: str) -> str:
    if character.isspace():
        return " "
    if character.isprintable():
        return character
    return "" if unicodedata.category(character) == "Cf" else "\N{REPLACEMENT CHARACTER}"
