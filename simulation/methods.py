"""The methods that are compared: who trains together, and who is judged on what."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from client.cases import PreparedCase
from client.site import Site
from client.split import Split, split_cases
from shared.plan import Plan
from shared.results import COHORTS, Cohort

POOLED = "pooled"


@dataclass(frozen=True)
class Patients:
    """Patients of one cohort with the site of each: rows stay on this machine."""

    cases: tuple[PreparedCase, ...]
    sites: tuple[str, ...]


@dataclass(frozen=True)
class FederationData:
    """Prepared institutions, divided into the three cohorts.

    Attributes
    ----------
    sites : tuple of Site
        The training institutions, in the order of their names.
    external : Site or None
        Never trained on, never used to choose anything.
    without_patients : tuple of Site
        Institutions that have no usable patient, only a list of whom they set aside.
    """

    sites: tuple[Site, ...]
    external: Site | None
    seed: int
    training_fraction: float
    without_patients: tuple[Site, ...] = ()

    @property
    def everyone(self) -> tuple[Site, ...]:
        """All institutions, whether they train, are held out, or have nobody."""
        held_out = () if self.external is None else (self.external,)
        return (*self.sites, *held_out, *self.without_patients)

    def split(self, site: Site) -> Split:
        """Return a site's training and internal validation patients."""
        return split_cases(site.cases, self.seed, self.training_fraction)

    def cohort(self, cohort: Cohort) -> Patients:
        """Return all patients of a cohort, site by site."""
        if cohort == "external":
            parts = [] if self.external is None else [(self.external.name, self.external.cases)]
        else:
            parts = [(site.name, getattr(self.split(site), cohort)) for site in self.sites]
        return Patients(
            cases=tuple(case for _, cases in parts for case in cases),
            sites=tuple(name for name, cases in parts for _ in cases),
        )

    def cohorts(self) -> dict[Cohort, Patients]:
        """Return the three cohorts."""
        return {cohort: self.cohort(cohort) for cohort in COHORTS}


def pooled_site(sites: Sequence[Site]) -> Site:
    """Return one institution that holds everybody's patients: what privacy forbids."""
    return replace(
        sites[0], name=POOLED, cases=tuple(case for site in sites for case in site.cases)
    )


def plan_of(method: str, plan: Plan, sites: int) -> Plan:
    """Return what a method is asked to do: with all data in one place, batches of so many sites.

    As many as train in a round of the federation. An average of their steps is a step on all of
    their batches together, with the noise of that many patients. As many steps as all sites
    together take, on batches of one, were a handicap to the rival: on unseen patients 0.004 in
    each metric.
    """
    if method != POOLED:
        return plan
    batch_size = plan.optimisation.batch_size * sites
    return replace(plan, optimisation=replace(plan.optimisation, batch_size=batch_size))


def groups(strategy: str, sites: Sequence[Site]) -> dict[str, tuple[Site, ...]]:
    """Return method -> the sites that train together.

    Pooled and local training are federations of one site: the same rounds, the same local
    optimisation, the same choice of the best round, so that nothing but the data differs; what
    one place does in place of several, `plan_of` says.
    """
    trained = {strategy: tuple(sites), POOLED: (pooled_site(sites),)}
    trained.update({f"local/{site.name}": (site,) for site in sites})
    return trained
