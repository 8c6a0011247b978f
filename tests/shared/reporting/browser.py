"""A real browser for tests of pages, where one is installed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(
    BROWSER is None, reason="no chromium here: the page was not opened in one"
)
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
# Where the browser itself calls home, whatever it opens.
_OWN = re.compile(r"(^|\.)(google\.com|googleapis\.com|gvt1\.com|gstatic\.com)$")


def opened(page: Path, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Open a page; the browser's profile goes below a folder."""
    profile = f"--user-data-dir={folder / 'profile'}"
    command = [str(BROWSER), *QUIET, profile, "--enable-logging=stderr", *more, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def hosts_asked(page: Path, folder: Path) -> set[str]:
    """Return the hosts that opening a page asked for, besides the browser's own."""
    log = folder / "net.json"
    opened(page, folder, f"--log-net-log={log}", "--dump-dom")
    found = set(re.findall(r"https?://([\w.-]+)", log.read_text(encoding="utf-8")))
    return {host for host in found if not _OWN.search(host)}


def check_opens(page: Path, folder: Path) -> None:
    """Hold that a run's page opens whole: no complaint, no request, every figure drawn."""
    done = opened(page, folder, "--dump-dom")
    assert "CONSOLE" not in done.stderr
    figures = re.findall(r'<figure id="figure-([\w-]+)"', done.stdout)
    drawn = done.stdout.count("</svg>") + done.stdout.count("<img ")
    assert {"by-site", "flow", "cohort", "convergence"} <= set(figures)
    assert drawn == len(figures)
    assert hosts_asked(page, folder / "asked") == set()
