"""What a synthetic federation is made from: one frozen value, checked when it is built."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict

from shared.config import build

EXTERNAL = "external"

Kernel = Literal["soft", "standard", "sharp"]


class _Strict:
    """Refuse unknown keys also where these dataclasses are nested in another's fields."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class ScannerSettings(_Strict):
    """How one institution's scanners turn a body into voxels.

    Attributes
    ----------
    manufacturer : str
        Written to the manifest alone; the volumes carry no text.
    kernel : str
        ``"soft"``, ``"standard"`` or ``"sharp"``: decides edges and the grain of the noise.
    noise_hu : float
        Standard deviation in the centre of a body of average size, in HU.
    spacing_mm : tuple of float
        Range of the in-plane spacing.
    slice_thickness_mm : tuple of float
        The thicknesses in use, each as likely as its share of the entries.
    slice_overlap : float
        Part of a slice's thickness shared with the next: spacing is (1 - overlap) x thickness.
    hu_offset : float
        Error of the HU calibration: what the institution's water measures.
    """

    manufacturer: str
    kernel: Kernel
    noise_hu: float
    spacing_mm: tuple[float, float]
    slice_thickness_mm: tuple[float, ...]
    slice_overlap: float = 0.0
    hu_offset: float = 0.0

    def __post_init__(self) -> None:
        _in_range("noise_hu", self.noise_hu, 0.0, 60.0)
        _ordered("spacing_mm", self.spacing_mm, lowest=0.5, highest=10.0)
        if not self.slice_thickness_mm:
            raise ValueError("slice_thickness_mm needs at least one thickness")
        for thickness_mm in self.slice_thickness_mm:
            _in_range("slice_thickness_mm", thickness_mm, 1.0, 10.0)
        _in_range("slice_overlap", self.slice_overlap, 0.0, 0.5)
        _in_range("hu_offset", self.hu_offset, -50.0, 50.0)


@dataclass(frozen=True)
class ContrastSettings(_Strict):
    """When an institution scans after the injection, and which phases it leaves out.

    Attributes
    ----------
    arterial_delay : float
        0 is an early, 1 a late arterial phase: later means less aorta, more portal vein and
        liver, and lesions that have taken up more.
    venous_delay : float
        0 is early portal venous, 1 late: later means a liver and vessels already fading.
    delayed_delay : float
        0 is a delayed phase at two minutes, 1 at five or more: later means deeper washout.
    dose : float
        Iodine in the body relative to the usual protocol.
    missing : mapping of str to float
        Share of patients without a phase; a patient always keeps at least one.
    """

    arterial_delay: float = 0.5
    venous_delay: float = 0.5
    delayed_delay: float = 0.5
    dose: float = 1.0
    missing: Mapping[Literal["arterial", "portal_venous", "delayed"], float] | None = None

    def __post_init__(self) -> None:
        for name in ("arterial_delay", "venous_delay", "delayed_delay"):
            _in_range(name, getattr(self, name), 0.0, 1.0)
        _in_range("dose", self.dose, 0.3, 2.0)
        for phase, share in (self.missing or {}).items():
            _in_range(f"missing.{phase}", share, 0.0, 1.0)


@dataclass(frozen=True)
class PatientMixSettings(_Strict):
    """Who is operated on at an institution, how long they are followed, what is recorded.

    Attributes
    ----------
    severity : float
        Shift of all signs together towards the aggressive end, in standard deviations of the
        latent severity. Prevalence and event rates follow from it: what an image's signs mean
        for its patient is the same everywhere.
    diameter_mm : float
        Median diameter of the main lesion.
    follow_up_months : tuple of float
        A patient's administrative follow-up is uniform over this range.
    loss_per_year : float
        Rate at which patients are lost before that.
    mvi_known, rfs_known : float
        Share of patients with the label.
    """

    severity: float
    diameter_mm: float
    follow_up_months: tuple[float, float]
    loss_per_year: float
    mvi_known: float = 1.0
    rfs_known: float = 1.0

    def __post_init__(self) -> None:
        _in_range("severity", self.severity, -4.0, 4.0)
        _in_range("diameter_mm", self.diameter_mm, 8.0, 120.0)
        _ordered("follow_up_months", self.follow_up_months, lowest=0.1, highest=600.0)
        _in_range("loss_per_year", self.loss_per_year, 0.0, 10.0)
        _in_range("mvi_known", self.mvi_known, 0.0, 1.0)
        _in_range("rfs_known", self.rfs_known, 0.0, 1.0)


@dataclass(frozen=True)
class SiteSettings(_Strict):
    """One institution."""

    mix: PatientMixSettings
    scanner: ScannerSettings
    contrast: ContrastSettings


@dataclass(frozen=True)
class SyntheticCohortSettings(_Strict):
    """A synthetic federation; ``configs/cohort/synthetic.yaml`` holds the default.

    Attributes
    ----------
    seed : int
        Every patient is drawn from (seed, site, index) alone.
    patients : mapping of str to int
        Patients by site. ``external`` is the institution that never trains.
    sites : mapping of str to SiteSettings
        Every site of `patients`; more are ignored.
    coarsening : float
        Factor on the in-plane spacing of every site; 1 is the real thing, 2 a quick look.
    """

    seed: int
    patients: Mapping[str, int]
    sites: Mapping[str, SiteSettings]
    coarsening: float = 1.0

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")
        if not any(site != EXTERNAL for site in self.patients):
            raise ValueError("patients must name at least one training site")
        for site, count in self.patients.items():
            if not site.replace("_", "").replace("-", "").isalnum():
                raise ValueError(f"patients.{site}: a site's name is letters, digits, - and _")
            if count < 1:
                raise ValueError(f"patients.{site} must be at least 1, got {count}")
            if site not in self.sites:
                raise ValueError(f"patients.{site}: sites has no {site!r}, only {[*self.sites]}")
        _in_range("coarsening", self.coarsening, 1.0, 4.0)

    @classmethod
    def from_config(cls, values: Mapping[str, Any]) -> "SyntheticCohortSettings":
        """Make settings from plain values, as in the YAML file.

        Raises
        ------
        ConfigurationError
            Names every key that is unknown, missing or wrong.
        """
        return build(cls, values, where="cohort.settings")


def _in_range(name: str, value: float, lowest: float, highest: float) -> None:
    if not lowest <= value <= highest:
        raise ValueError(f"{name} must lie in [{lowest:g}, {highest:g}], got {value:g}")


def _ordered(name: str, bounds: tuple[float, float], *, lowest: float, highest: float) -> None:
    for bound in bounds:
        _in_range(name, bound, lowest, highest)
    if bounds[0] > bounds[1]:
        raise ValueError(f"{name} must be [low, high], got {list(bounds)}")
