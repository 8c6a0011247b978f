"""Sums of counts that some institutions keep back: None is of too few patients to be told."""

from collections.abc import Iterable

from shared.reporting.content import SiteSummary


def counted(counts: Iterable[int | None]) -> str:
    """Return a sum as a reader may take it: ``12``, ``at least 12``, or ``some``."""
    found = list(counts)
    told = sum(count for count in found if count is not None)
    if None not in found:
        return str(told)
    return f"at least {told}" if told else "some"


def mvi_of_known(sites: Iterable[SiteSummary]) -> tuple[int, int]:
    """Return patients with MVI and those whose status is known, of the sites that tell both."""
    told = [
        (site.mvi_positive, site.mvi_known)
        for site in sites
        if site.mvi_positive is not None and site.mvi_known is not None
    ]
    return sum(positive for positive, _ in told), sum(known for _, known in told)
