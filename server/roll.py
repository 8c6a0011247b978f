"""Who takes part: the nodes that the link knows, told apart by the names of their keys."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from flwr.serverapp import Grid

from shared.seeds import derive_seed

_LOOK_EVERY_S = 1.0


@dataclass(frozen=True)
class Roll:
    """The institutions of a study, by the names under which their keys are registered.

    Attributes
    ----------
    training : tuple of str
        Sites that train. Empty: every node that is not external trains, by the name that it
        gives itself; this is for runtimes on one machine, whose nodes have no keys.
    external : tuple of str
        Sites that are never trained on.
    """

    training: tuple[str, ...] = ()
    external: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [*self.training, *self.external]
        if len(set(names)) < len(names):
            raise ValueError(f"a site may be named once, as training or external: {names}")

    @property
    def named(self) -> tuple[str, ...]:
        """All sites, where the training sites are named; else nobody."""
        return self.training + self.external if self.training else ()

    def present(self, grid: Grid) -> dict[int, str]:
        """Return node id -> registered name of the training sites now online, by name.

        A node without a name has an empty one. A name that two nodes have is the newer one's:
        a hospital that replaced its key.
        """
        nodes = [node for node in grid.get_nodes() if node.name not in self.external]
        if not self.training:
            return {n.node_id: n.name for n in sorted(nodes, key=lambda n: (n.name, n.node_id))}
        newest = {
            node.name: node.node_id
            for node in sorted(nodes, key=lambda node: (node.registered_at, node.node_id))
            if node.name in self.training
        }
        return {newest[name]: name for name in sorted(newest)}

    def absent(self, present: Mapping[int, str]) -> list[str]:
        """Return the names of training sites that are not among `present`."""
        return sorted(set(self.training) - set(present.values()))

    def gather(self, grid: Grid, at_least: int, timeout_s: float) -> dict[int, str]:
        """Wait until `at_least` training sites are online and return those who are.

        Parameters
        ----------
        grid : Grid
        at_least : int
        timeout_s : float
            After it, whoever is online is returned, be it nobody.
        """
        end = time.monotonic() + timeout_s
        present = self.present(grid)
        while len(present) < at_least and time.monotonic() < end:
            time.sleep(min(_LOOK_EVERY_S, max(0.0, end - time.monotonic())))
            present = self.present(grid)
        return present


def draw_sites(present: Mapping[int, str], count: int, seed: int) -> dict[int, str]:
    """Return `count` of these sites, drawn by their names; all, where there are no more.

    Each name draws a number from the seed, and the lowest are chosen: the same whatever order
    they come in, and one more or less of them changes one place at most.
    """
    lots = {node: derive_seed(seed, name) for node, name in present.items()}
    return {node: present[node] for node in sorted(lots, key=lots.__getitem__)[:count]}
