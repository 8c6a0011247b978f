"""The page in a real browser, where one is installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from shared.reporting.page import write_report
from tests.shared.reporting.test_page import hostile_content

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
)


@pytest.mark.skipif(BROWSER is None, reason="no chromium here: the page was not opened in one")
def test_a_browser_opens_the_page_without_a_word_of_complaint(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    write_report(hostile_content(), page)
    opened = subprocess.run(
        [
            str(BROWSER),
            *QUIET,
            f"--user-data-dir={tmp_path / 'profile'}",
            "--enable-logging=stderr",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "CONSOLE" not in opened.stderr
    assert opened.stdout.count("</svg>") == 10
    assert "<script" not in opened.stdout
