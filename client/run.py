"""The site's command: ``python client/run.py site=FILE [action=...]``.

``join``, the default, prepares the patients, prints what will be shared and what never is, and
is a SuperNode from then on. ``check`` tells everything that stands in the way before; ``key``
makes the site's key; ``bundle`` prints the hash of this checkout's app; ``log`` verifies the log
of what was asked and what left; ``unit`` prints a systemd unit.
"""

import getpass
import json
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from client.audit import AuditError, AuditLog
from client.cohort import SiteFolderError, write_set_aside
from client.command import arguments, keep_private, read_words, writing_into
from client.link import KeyFileError, key_fingerprint, make_key, read_key
from client.node import NotAdmittedError, join, link_of, systemd_unit
from client.preflight import Finding, look
from client.site_file import SiteFile, prepare_own, read_site_file
from shared.app_bundle import bundle_hash
from shared.config import ConfigurationError, build
from shared.proxies import keep_loopback_direct

USAGE = "usage: run.py site=FILE [action=join|check|key|bundle|log|unit]"
Action = Literal["join", "check", "key", "bundle", "log", "unit"]

CANNOT, NOT_ADMITTED, BROKEN_LOG, NOT_READY = 2, 3, 4, 5
MARKS = {"good": "[green]good[/]", "warning": "[yellow]note[/]", "bad": "[red]bad[/]"}


@dataclass(frozen=True)
class Request:
    """What the command was asked for.

    Attributes
    ----------
    site : Path
        The site's own file.
    action : str
    """

    site: Path
    action: Action = "join"


@dataclass(frozen=True)
class Here:
    """The site, its file and the terminal."""

    site: SiteFile
    path: Path
    console: Console

    def tell(self, text: str) -> None:
        """Print a line as it is."""
        self.console.print(text, highlight=False, markup=False, emoji=False, soft_wrap=True)


def run_join(here: Here) -> int:
    """Prepare, say what will be shared, and be a SuperNode."""
    link_of(here.site)
    site = here.site
    prepared = prepare_own(site)
    with writing_into(site.state_dir):
        write_set_aside(prepared.set_aside, site.state_dir / "set_aside.csv")
    here.console.print(sharing(site, len(prepared.cases)))
    join(site, here.path)
    return 0


def run_check(here: Here) -> int:
    """Print every finding as it comes; nothing bad is 0."""
    findings = []
    for finding in look(here.site):
        findings.append(finding)
        _print(here.console, finding)
    if any(finding.verdict == "bad" for finding in findings):
        here.tell("This site cannot join yet: the lines marked bad say what to do.")
        return NOT_READY
    here.tell("This site can join.")
    return 0


def run_key(here: Here) -> int:
    """Make the key pair."""
    link = link_of(here.site)
    public = make_key(link, here.site.name)
    here.tell(f"wrote {link.key} (keep it here) and {public} (send it to the coordinator)")
    here.tell(f"fingerprint {key_fingerprint(read_key(link.key).public_key())}")
    return 0


def run_bundle(here: Here) -> int:
    """Print the hash of this checkout's app."""
    here.tell(bundle_hash())
    return 0


def run_log(here: Here) -> int:
    """Verify the log, say where it ends and what was asked."""
    log = AuditLog(here.site.audit_log)
    head = log.verify()
    here.tell(f"{here.site.audit_log}: {head.lines} lines, chain intact, head {head.sha256}")
    for asked in log.questions():
        text = asked.question["asked"]
        # As JSON, so that nothing in a coordinator's text can steer the terminal.
        told = "too long to be kept" if text is None else json.dumps(text)
        here.tell(
            f"asked {len(asked.lines)} times, first in line {asked.lines[0]}"
            f" ({asked.question['sha256'][:16]}): {told}"
        )
    return 0


def run_unit(here: Here) -> int:
    """Print a systemd unit for this site."""
    link_of(here.site)
    here.console.file.write(systemd_unit(here.site, here.path, getpass.getuser()))
    return 0


ACTIONS: dict[Action, Callable[[Here], int]] = {
    "join": run_join,
    "check": run_check,
    "key": run_key,
    "bundle": run_bundle,
    "log": run_log,
    "unit": run_unit,
}


def _variables(site: SiteFile) -> str:
    names = ", ".join(site.clinical_variables)
    return f", also of {names} where the study reads them" if names else ""


def sharing(site: SiteFile, patients: int) -> Table:
    """Return what will be shared and what never is, as a table."""
    policy = site.policy
    table = Table(title=f"{site.name}: {patients} usable patients, role {policy.role}")
    table.add_column("what leaves this site, in answer to a message")
    table.add_column("what never does")
    least = f"only where at least {site.minimum_count} labelled patients stand behind it"
    leaves = [
        "sums that judge a model on internal validation patients: losses, concordant"
        f" pairs, a histogram of scores; {least}",
        "an error code, where a request is refused or fails",
    ]
    if policy.role == "training":
        tasks = ", ".join(policy.tasks)
        leaves = [
            f"weights of the network, trained here on {tasks}: at most {policy.max_rounds} rounds"
            f" of at most {policy.max_local_epochs} epochs or {policy.max_local_steps} steps"
            f" of at least {policy.min_batch_size} patients, and a task only where a round has at"
            f" least {policy.min_labelled_patients} with its label",
            "where the study asks for SCAFFOLD, by how much the mean gradient of a round differs"
            " from the round before: no more than can be computed from the weights",
            "how many patients train, and how many have each task's label",
            f"sums of features over the training patients{_variables(site)}, and of what the"
            f" untrained network pools from their images; {least}",
            *leaves,
            f"nothing at all with fewer than {policy.min_training_patients} training patients",
        ]
    never = [
        "images, masks, prepared regions",
        "clinical.csv, or any patient's row",
        "patients' ids, file names and paths",
        "texts of errors, and this machine's logs",
        f"the private key; the code that may run is {', '.join(b[:16] for b in policy.bundles)}",
    ]
    for index in range(max(len(leaves), len(never))):
        table.add_row(*("\n".join(column[index : index + 1]) for column in (leaves, never)))
    return table


def _print(console: Console, finding: Finding) -> None:
    console.print(f"{MARKS[finding.verdict]:<15} ", end="")
    console.print(
        f"{finding.subject}: {finding.found}",
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=True,
    )
    if finding.todo:
        console.print(f"      -> {finding.todo}", markup=False, highlight=False, soft_wrap=True)


def main() -> None:
    """Do what the command line asks for."""
    given = arguments(__doc__)
    keep_private()
    keep_loopback_direct()
    console = Console(width=None if sys.stdout.isatty() else 100)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    # Every question to the link would be a line.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        words = read_words(given, "client", USAGE)
        request = build(Request, words, where="client")
        here = Here(read_site_file(request.site), request.site, console)
        code = ACTIONS[request.action](here)
    except (ConfigurationError, SiteFolderError, KeyFileError) as error:
        code = _fail(console, error, CANNOT)
    except NotAdmittedError as error:
        code = _fail(console, error, NOT_ADMITTED)
    except AuditError as error:
        code = _fail(console, error, BROKEN_LOG)
    logging.shutdown()
    sys.exit(code)


def _fail(console: Console, error: Exception, code: int) -> int:
    console.print("[bold red]Cannot do this:[/] ", end="")
    console.print(str(error), markup=False, highlight=False, emoji=False, soft_wrap=True)
    return code


if __name__ == "__main__":
    main()
