"""Writes the federation's folder."""

from collections.abc import Sequence
from pathlib import Path

from simulation.cohort.whole_folder import written_once
from tests.benchmarks.enrolment import write_enrolments
from tests.benchmarks.phantom.patients import enrol
from tests.benchmarks.phantom.render import render
from tests.benchmarks.phantom.sites import SITES, Site


def write_phantom(seed: int, root: Path, sites: Sequence[Site] = SITES) -> Path:
    """Write a whole cohort, or find it already written.

    Parameters
    ----------
    seed : int
        Another seed gives other patients.
    root : Path
        The cohort's folder. One that exists is left as it is, whatever its seed.
    sites : sequence of Site

    Returns
    -------
    Path
        The root.
    """
    return written_once(root, lambda partial: write_enrolments(enrol(seed, sites), render, partial))
