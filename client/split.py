"""Which of a site's patients train and which judge."""

from collections.abc import Sequence
from dataclasses import dataclass

from client.cases import PreparedCase
from shared.seeds import unit_hash


@dataclass(frozen=True)
class Split:
    """A site's patients, divided once."""

    training: tuple[PreparedCase, ...]
    internal: tuple[PreparedCase, ...]


def split_cases(cases: Sequence[PreparedCase], seed: int, training_fraction: float) -> Split:
    """Divide patients by a hash of (seed, patient_id).

    A patient's side depends on nobody else, so that it never changes when others come, go or
    are set aside; the share that trains is `training_fraction` on average.
    """
    trains = [unit_hash(seed, "split", case.patient_id) < training_fraction for case in cases]
    return Split(
        training=tuple(case for case, train in zip(cases, trains, strict=True) if train),
        internal=tuple(case for case, train in zip(cases, trains, strict=True) if not train),
    )
