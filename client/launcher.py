"""What the site's executor starts in place of ``flwr-clientapp``.

``python -m client.launcher SITE_FILE WORD...``, or ``--serve SOCKET`` in place of the words.

It runs the site's own code, not the bundle's. It compares the bundle's SHA-256 with the site's
policy before anything of it is unpacked or imported, and writes down what was asked and what leaves
before it leaves.
"""

import importlib
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from flwr.app import ConfigRecord, Context, Error, Message, MessageType
from flwr.clientapp import ClientApp
from flwr.supernode.cli import flwr_clientapp
from flwr.supernode.runtime import run_clientapp

from client import warm
from client.audit import AuditLog, Entry, describe
from client.policy import Policy
from client.question import LONGEST_CHARACTERS, Question, question_of
from client.site_file import read_site_file
from shared.protocol import INSTRUCTION, ErrorCode
from shared.supervisor import die_with_parent

logger = logging.getLogger("hepafed.client")

OWN_PACKAGES = ("client", "shared")
SERVE = "--serve"
# What every message needs, loaded once before the first: the app, and what builds the network.
WARM = ("client.app", "monai.networks.nets")


class Guard:
    """Stands between Flower's runner and the app.

    Parameters
    ----------
    policy : Policy
        Names the bundles that may run.
    log : AuditLog
        Where every message is written down.
    install : callable
        Flower's own unpacking of a bundle.
    load : callable
        Flower's own import of the unpacked app.
    """

    def __init__(
        self,
        policy: Policy,
        log: AuditLog,
        install: Callable[..., Path],
        load: Callable[[str, str, str], ClientApp],
    ) -> None:
        self._policy = policy
        self._log = log
        self._install = install
        self._load = load
        self._bundle = ""

    def install(self, bundle: bytes, skip_prompt: bool = False) -> None:
        """Unpack a bundle that is allowed; leave any other as it came."""
        self._bundle = sha256(bundle).hexdigest()
        if self._allowed:
            self._install(bundle, skip_prompt=skip_prompt)

    def load(self, app_id: str, version: str, bundle: str) -> Callable[..., Message]:
        """Return what answers a message: the app, or a refusal."""

        def answer(message: Message, context: Context) -> Message:
            try:
                # Before the app has the message in its hands.
                question = question_of(message)
                reply = self._answer(message, context, (app_id, version, bundle), question)
                self._log.append(self._entry(message, reply, question))
            except Exception:
                # What cannot be written down does not leave; nor does the exception's text.
                logger.exception("nothing is answered, for it cannot be written down")
                return _error(message, ErrorCode.INTERNAL)
            return reply

        return answer

    @property
    def _allowed(self) -> bool:
        return self._bundle in self._policy.bundles

    def _answer(
        self, message: Message, context: Context, app: tuple[str, str, str], question: Question
    ) -> Message:
        if not self._allowed:
            logger.error("refused: bundle %s is not in policy.bundles", self._bundle)
            return _error(message, ErrorCode.BUNDLE_REFUSED)
        if question.asked is None:
            logger.error("refused: more than %d characters are asked", LONGEST_CHARACTERS)
            return _error(message, ErrorCode.MALFORMED_MESSAGE)
        try:
            if self._trained_enough(message):
                return _error(message, ErrorCode.POLICY_REFUSED)
            _forget_own_packages()
            return self._load(*app)(message, context)
        except Exception:
            # Flower would send the exception's text to the coordinator.
            logger.exception("the app could not answer")
            return _error(message, ErrorCode.INTERNAL)

    def _trained_enough(self, message: Message) -> bool:
        """Whether this run has had all the training that a run may have.

        The app checks the round that a message claims; this counts what was answered, so that
        asking for one round again and again yields no more.
        """
        if message.metadata.message_type.partition(".")[0] != MessageType.TRAIN:
            return False
        answered = self._log.count(message.metadata.run_id, MessageType.TRAIN)
        if answered < self._policy.max_rounds:
            return False
        logger.error("refused: %d rounds of this run answered, no more are allowed", answered)
        return True

    def _entry(self, message: Message, reply: Message, question: Question) -> Entry:
        return Entry(
            run=message.metadata.run_id,
            round=_round(message),
            bundle=self._bundle,
            kind=message.metadata.message_type,
            outcome="refused" if reply.has_error() else "answered",
            code=_code_name(reply.error.code) if reply.has_error() else "OK",
            left=() if reply.has_error() else describe(reply.content),
            question=question,
        )


def _error(message: Message, code: ErrorCode) -> Message:
    return Message(Error(code=int(code), reason=code.name), reply_to=message)


def _code_name(code: int) -> str:
    try:
        return ErrorCode(code).name
    except ValueError:
        return str(code)


def _round(message: Message) -> int | None:
    """Return the round that a message says it belongs to; the app checks it, this only notes it."""
    record = message.content.get(INSTRUCTION) if message.has_content() else None
    value = record.get("round") if isinstance(record, ConfigRecord) else None
    return value if isinstance(value, int) else None


def _forget_own_packages() -> None:
    """Let the app import its own ``client`` and ``shared``, not those that run this launcher."""
    for name in [name for name in sys.modules if name.partition(".")[0] in OWN_PACKAGES]:
        del sys.modules[name]


def run(site_file: Path, words: Sequence[str]) -> None:
    """Answer one message: read the site's file, then be ``flwr-clientapp`` under guard.

    Parameters
    ----------
    site_file : Path
    words : sequence of str
        The arguments that the executor gives to ``flwr-clientapp``.
    """
    site = read_site_file(site_file)
    sys.argv = ["flwr-clientapp", *words]
    # Flower's runner looks these two names up when it comes to them.
    runner: Any = run_clientapp
    load = runner.get_load_client_app_fn(default_app_ref="", app_path=None, multi_app=True)
    guard = Guard(site.policy, AuditLog(site.audit_log), runner.install_from_fab, load)
    runner.install_from_fab = guard.install
    runner.get_load_client_app_fn = lambda **_: guard.load
    # A folder of its own for each message: an app unpacked earlier, or changed since, is never
    # taken for this one.
    with tempfile.TemporaryDirectory(prefix="hepafed-app-") as home:
        os.environ["FLWR_HOME"] = home
        flwr_clientapp()


def main() -> None:
    """Answer one message, or, with ``--serve SOCKET``, be forked for every one."""
    die_with_parent()
    site_file, *words = sys.argv[1:]
    if words[:1] == [SERVE]:
        for module in WARM:
            importlib.import_module(module)
        warm.serve(Path(words[1]), lambda request: run(Path(site_file), request))
    run(Path(site_file), words)


if __name__ == "__main__":
    main()
