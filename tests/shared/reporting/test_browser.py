"""The page in a real browser, where one is installed."""

import re
from pathlib import Path

from shared.reporting.page import write_report
from tests.shared.reporting.browser import hosts_asked, needs_browser, opened
from tests.shared.reporting.content import report_content
from tests.shared.reporting.test_page import hostile_content


@needs_browser
def test_a_browser_opens_the_page_without_a_word_of_complaint(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    write_report(hostile_content(), page)
    done = opened(page, tmp_path, "--dump-dom")
    assert "CONSOLE" not in done.stderr
    # All but the comparison, which needs more than one method.
    assert done.stdout.count("</svg>") == 12
    assert done.stdout.count("<img ") == 4
    assert "<script" not in done.stdout


@needs_browser
def test_no_request_leaves_the_page(tmp_path: Path) -> None:
    page, leaky = tmp_path / "report.html", tmp_path / "leaky.html"
    write_report(report_content(), page)
    text = page.read_text(encoding="utf-8")
    picture = '<img src="http://leak.example/x.png" alt="">'
    leaky.write_text(picture, encoding="utf-8")
    # The same log shows a request where there is one; the page's own policy stops even that.
    assert hosts_asked(leaky, tmp_path / "control") == {"leak.example"}
    assert hosts_asked(page, tmp_path / "page") == set()
    leaky.write_text(text.replace("</main>", f"{picture}</main>"), encoding="utf-8")
    assert hosts_asked(leaky, tmp_path / "policy") == set()


@needs_browser
def test_the_page_prints_on_a4(tmp_path: Path) -> None:
    page, pdf = tmp_path / "report.html", tmp_path / "report.pdf"
    write_report(report_content(), page)
    opened(page, tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={pdf}")
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf.read_bytes())
    assert 8 <= len(boxes) <= 16
    # 210 x 297 mm in points.
    assert all(abs(float(w) - 595) < 2 and abs(float(h) - 842) < 2 for w, h in boxes)
