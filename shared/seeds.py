"""Seeds that depend on what they are for, and on nothing else."""

import hashlib


def derive_seed(run_seed: int, *names: str | int) -> int:
    """Return a seed in [0, 2^63) from the run's seed and the names of a use.

    The same names give the same seed whatever was drawn before, on any machine:
    ``derive_seed(seed, site, round)`` for one site's training in one round.
    """
    text = "\x1f".join([str(run_seed), *map(str, names)])
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def unit_hash(run_seed: int, *names: str | int) -> float:
    """Return a number in [0, 1) from the run's seed and the names of a use."""
    return derive_seed(run_seed, *names) / 2**63
