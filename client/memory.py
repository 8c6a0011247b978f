"""What a site keeps of its own training from round to round: at the site, on its disk.

Not in Flower's ``context.state``, which ends with the node's process and with a simulation's:
here a restarted node and a resumed run find what they left. It is the same under a SuperNode,
on Ray and in process.
"""

import logging
from hashlib import blake2b
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from client.site import Site
from shared.config import to_json
from shared.durable_file import write_durably
from shared.plan import Plan
from shared.protocol import ErrorCode, Instruction, ProtocolError
from shared.weights import Weights

logger = logging.getLogger("hepafed.client")

Kind = Literal["control", "personal"]

# A coordinator may go back by as many rounds as it keeps checkpoints.
KEPT_ROUNDS = 3


class SiteMemory:
    """Arrays by kind and round, of one federation.

    What a round leaves is kept under its number. Which one goes with a model the coordinator
    says (`shared.protocol.Instruction.counted`), for it knows whose update counted and where it
    went on after a crash: the same round asked again is begun from the same state.

    Parameters
    ----------
    state_dir : Path
        The site's own.
    plan : Plan
    federation : str
        From `shared.protocol.Instruction`: of the same plan run again, on other patients or by
        other sites, nothing must take the place of what goes with an earlier model. Empty where
        a model is from before federations had one.
    """

    def __init__(self, state_dir: Path, plan: Plan, federation: str) -> None:
        digest = blake2b(f"{to_json(plan)}{federation}".encode(), digest_size=8).hexdigest()
        self._folder = state_dir / "memory" / digest

    def recall(self, kind: Kind, round_number: int) -> Weights | None:
        """Return what was kept in a round; None where that is gone or cannot be read."""
        try:
            return dict(load_file(self._path(kind, round_number)))
        except (OSError, SafetensorError) as error:
            logger.error("what round %d left cannot be read: %s", round_number, error)
            return None

    def keep(self, kind: Kind, round_number: int, arrays: Weights) -> None:
        """Keep arrays, on the disk before this returns, in place of any kept before."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_durably(self._path(kind, round_number), save(arrays))

    def forget(self, kind: Kind, round_number: int, *, but: int) -> None:
        """Remove what is older than a few rounds, and what is of later ones, but one round's.

        Later rounds than the one at hand are those whose checkpoints the coordinator has lost.
        """
        wanted = {but, *range(round_number - KEPT_ROUNDS + 1, round_number + 1)}
        for path in self._folder.glob(f"{kind}-*.safetensors"):
            if int(path.stem.rpartition("-")[2]) not in wanted:
                path.unlink(missing_ok=True)

    def _path(self, kind: Kind, round_number: int) -> Path:
        return self._folder / f"{kind}-{round_number:06d}.safetensors"


def memory_of(site: Site, instruction: Instruction) -> SiteMemory:
    """Return what a site remembers of a federation's rounds.

    Raises
    ------
    ProtocolError
        The site has no place to remember anything.
    """
    if site.state_dir is None:
        raise ProtocolError(ErrorCode.MEMORY_LOST, "this site has no state_dir to remember in")
    return SiteMemory(site.state_dir, instruction.plan, instruction.federation)
