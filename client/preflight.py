"""Everything that may stand between a site and joining, looked at one by one."""

import os
import shlex
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from scipy.stats import binom

from client.audit import AuditError, AuditLog
from client.cohort import PreparedSite, SiteFolderError, write_set_aside
from client.command import writing_into
from client.device import find_device
from client.imaging.cache import CacheWriteError
from client.link import (
    HTTP_OK,
    Admission,
    KeyFileError,
    LinkError,
    ask_admission,
    ask_health,
    key_fingerprint,
    read_key,
    resolve,
    why_unreachable,
)
from client.site_file import LinkSettings, SiteFile, prepare_own
from shared.app_bundle import bundle_hash
from shared.config import ConfigurationError
from shared.plan import Plan
from shared.proxies import goes_through_proxy, proxy_variables

Verdict = Literal["good", "warning", "bad"]

# Flower signs requests with the time: beyond five minutes the link refuses them.
CLOCK_WINDOW_S = 300.0
CLOCK_WARNING_S = 60.0
CERTIFICATE_WARNING_DAYS = 30
# A prepared region and its share of the work: generous, so that a site never fills up.
DISK_PER_PATIENT_BYTES = 8 << 20
DISK_LEAST_BYTES = 2 << 30
MEMORY_LEAST_BYTES = 2 << 30
GIGABYTE = 1 << 30
# What a study divides by unless it says otherwise.
TRAINING_SHARE = Plan().training_fraction
LIKELY = 0.95


@dataclass(frozen=True)
class Finding:
    """One line of the check.

    Attributes
    ----------
    subject : str
    verdict : str
        ``good``, ``warning`` (the site can join) or ``bad`` (it cannot).
    found : str
    todo : str
        What to do; empty where nothing is.
    """

    subject: str
    verdict: Verdict
    found: str
    todo: str = ""


def look(site: SiteFile) -> Iterator[Finding]:
    """Yield one finding after another; the folder's comes last, for it takes longest."""
    yield from _link(site)
    yield _policy(site)
    yield _log(site)
    yield _privacy(site)
    yield _memory()
    yield _device(site)
    yield from _folder(site)


def _link(site: SiteFile) -> Iterator[Finding]:
    if site.link is None:
        yield Finding("link", "bad", "the site's file has no link", "fill it in: configs/site.yaml")
        return
    key = _key(site.link)
    yield key
    yield from _proxies(site.link)
    try:
        resolve(site.link)
        yield Finding("address", "good", f"{site.link.address} answers")
        health = ask_health(site.link)
    except LinkError as error:
        yield Finding("address and TLS", "bad", site.link.address, str(error))
        return
    yield _certificate(health.certificate_days)
    yield _clock(health.clock_skew_s)
    if health.status != HTTP_OK:
        todo = "wait, or ask the coordinator whether the link is running"
        yield Finding("coordinator", "bad", f"its health answers {health.status}", todo)
    elif key.verdict == "good":
        yield _admission(site.link)


def _key(link: LinkSettings) -> Finding:
    try:
        public = read_key(link.key).public_key()
    except KeyFileError as error:
        return Finding("key", "bad", str(link.key), str(error))
    return Finding("key", "good", f"fingerprint {key_fingerprint(public)}")


def _proxies(link: LinkSettings) -> Iterator[Finding]:
    variables = proxy_variables()
    if not variables:
        return
    found = f"{', '.join(variables)} set"
    if goes_through_proxy(link.host):
        yield Finding("proxy", "good", f"{found}: this site reaches {link.host} through it")
    else:
        yield Finding("proxy", "good", f"{found}, but not for {link.host}")


def _certificate(days: float) -> Finding:
    found = f"verifies; the certificate is good for {days:.0f} days"
    if days < CERTIFICATE_WARNING_DAYS:
        return Finding("TLS", "warning", found, "remind the coordinator to renew it")
    return Finding("TLS", "good", found)


def _clock(skew_s: float) -> Finding:
    found = f"{abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} the coordinator's"
    todo = "set this machine's clock by NTP (timedatectl set-ntp true)"
    if abs(skew_s) >= CLOCK_WINDOW_S:
        return Finding("clock", "bad", found, todo)
    if abs(skew_s) >= CLOCK_WARNING_S:
        return Finding("clock", "warning", found, todo)
    return Finding("clock", "good", found)


def _admission(link: LinkSettings) -> Finding:
    answer = ask_admission(link)
    if answer is Admission.FREE:
        return Finding("admission", "good", answer.value)
    if answer is Admission.TAKEN:
        todo = "fine where this site has joined; else wait a minute, or ask who else has the key"
        return Finding("admission", "warning", answer.value, todo)
    if answer is Admission.UNKNOWN_KEY:
        todo = f"send {link.key.name}.pub to the coordinator, and have it registered"
        return Finding("admission", "bad", answer.value, todo)
    return Finding("admission", "bad", answer.value, why_unreachable(link))


def _policy(site: SiteFile) -> Finding:
    own = bundle_hash()
    if own in site.policy.bundles:
        return Finding("app", "good", f"this checkout's bundle {own[:16]} is allowed")
    if site.policy.bundles:
        found = f"this checkout's bundle {own[:16]} is not among policy.bundles"
        return Finding("app", "warning", found, "read the code that is allowed, or update both")
    todo = "compare action=bundle with the coordinator's, and write it there"
    return Finding("app", "bad", "policy.bundles is empty: nothing may run", todo)


def _log(site: SiteFile) -> Finding:
    try:
        head = AuditLog(site.audit_log).verify()
    except AuditError as error:
        todo = f"find out who changed it; then move {site.audit_log.name} and its head away"
        return Finding("log", "bad", str(error), todo)
    return Finding("log", "good", f"{head.lines} lines, chain intact, head {head.sha256[:16]}")


def _privacy(site: SiteFile) -> Finding:
    """Look at the folders alone: what lies in one that is closed cannot be reached."""
    wide = [path for path in (site.cache_dir, site.state_dir) if _is_open(path)]
    if wide:
        names = " ".join(shlex.quote(str(path)) for path in wide)
        found = f"other accounts of this machine can look into {names}"
        return Finding("privacy", "warning", found, f"chmod go-rwx {names}")
    return Finding("privacy", "good", "no other account can look into the cache and the state")


def _is_open(folder: Path) -> bool:
    return folder.exists() and bool(folder.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def _memory() -> Finding:
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        # What the page cache would give back counts as free.
        free = int(lines["MemAvailable"].split()[0]) * 1024
    found = f"{free / GIGABYTE:.1f} GB available"
    if free < MEMORY_LEAST_BYTES:
        todo = f"free some: training needs about {MEMORY_LEAST_BYTES / GIGABYTE:.0f} GB"
        return Finding("memory", "warning", found, todo)
    return Finding("memory", "good", found)


def _device(site: SiteFile) -> Finding:
    try:
        device = find_device(site.device)
    except ConfigurationError as error:
        return Finding("device", "bad", site.device, str(error))
    if device.type == "cpu":
        hint = "; a GPU is here: device: cuda would use it" if torch.cuda.is_available() else ""
        return Finding("device", "good", f"CPU, {site.threads} of {os.cpu_count()} threads{hint}")
    return Finding("device", "good", torch.cuda.get_device_name(device))


def _folder(site: SiteFile) -> Iterator[Finding]:
    try:
        patients = sum(path.is_dir() for path in site.folder.iterdir())
    except OSError as error:
        todo = "set folder in the site's file, or give this account the right to read it"
        yield Finding("folder", "bad", f"{site.folder}: {error.strerror}", todo)
        return
    yield _disk(site, patients)
    try:
        prepared = prepare_own(site)
    except CacheWriteError as error:
        yield Finding("cache", "bad", str(site.cache_dir), str(error))
        return
    except SiteFolderError as error:
        todo = "prepare the folder as the data contract says (README)"
        yield Finding("folder", "bad", str(error), todo)
        return
    except OSError as error:
        todo = "give this account the right to read the folder and to write cache_dir"
        yield Finding("folder", "bad", f"{error.filename}: {error.strerror}", todo)
        return
    yield from _cases(site, prepared)


def _few_would_train(site: SiteFile, patients: int) -> bool:
    """Return whether a study's division may well leave fewer to train than the policy wants.

    Each patient trains with the study's `training_fraction`, by the draw of a hash.
    """
    if site.policy.role != "training":
        return False
    least = site.policy.min_training_patients
    return bool(binom.sf(least - 1, patients, TRAINING_SHARE) < LIKELY)


def _disk(site: SiteFile, patients: int) -> Finding:
    folder = next(path for path in (site.cache_dir, *site.cache_dir.parents) if path.exists())
    free, wanted = shutil.disk_usage(folder).free, DISK_LEAST_BYTES
    wanted += patients * DISK_PER_PATIENT_BYTES
    found = f"{free / GIGABYTE:.1f} GB free at {folder}"
    if free < wanted:
        todo = f"{wanted / GIGABYTE:.1f} GB are wanted: free some, or set cache_dir elsewhere"
        return Finding("disk", "bad", found, todo)
    return Finding("disk", "good", found)


def _cases(site: SiteFile, prepared: PreparedSite) -> Iterator[Finding]:
    table = site.state_dir / "set_aside.csv"
    try:
        with writing_into(site.state_dir):
            write_set_aside(prepared.set_aside, table)
    except ConfigurationError as error:
        yield Finding("state", "bad", str(site.state_dir), str(error))
    least = site.policy.min_training_patients if site.policy.role == "training" else 1
    found = f"{len(prepared.cases)} usable"
    if len(prepared.cases) < least:
        yield Finding(
            "patients", "bad", found, f"{least} are the least; {table} tells what is wrong"
        )
    elif _few_would_train(site, len(prepared.cases)):
        yield Finding(
            "patients",
            "warning",
            found,
            f"about {TRAINING_SHARE:.0%} of them would train, and policy.min_training_patients is"
            f" {least}: with fewer this site refuses every round; prepare more patients",
        )
    else:
        yield Finding("patients", "good", found)
    for name in site.clinical_variables:
        known = sum(name in dict(case.clinical) for case in prepared.cases)
        found = f"known of {known} of {len(prepared.cases)} patients"
        if known:
            yield Finding(f"variable {name}", "good", found)
        else:
            todo = f"write the column {name} into clinical.csv, or strike it from the site's file"
            yield Finding(f"variable {name}", "warning", found, todo)
    if prepared.set_aside:
        found = f"{len(prepared.set_aside)} notes on patients not used, or used in part"
        yield Finding(
            "set aside", "warning", found, f"read {table}: it says why, patient by patient"
        )
