"""The command that prepares a site, and the page that it leaves there."""

import csv
import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from client.cohort import prepare_site
from client.imaging.cache import load_facts, load_roi
from client.preparation.content import SiteContent
from client.preparation.facts import PhaseFacts, RegionFacts, from_text
from client.preparation.outliers import find_outliers
from client.preparation.page import write_page
from client.preparation.thumbnails import thumbnail
from client.prepare import PrepareSettings, prepare
from tests.client.patients import (
    GOOD_ROW,
    LIVER_HU,
    SMALL,
    SPACING_MM,
    TUMOUR_HU,
    write_clinical,
    write_patient,
)
from tests.client.series.mixed_folder import ARTERIAL, DELAYED, PORTAL, Series, write
from tests.client.series.test_mixed_site import POISON, poisoned
from tests.shared.reporting.browser import BROWSER, QUIET
from tests.shared.reporting.parsed import Page
from tests.shared.reporting.test_page import HOSTILE

ROOT = Path(__file__).resolve().parents[3]


def write_site_file(folder: Path) -> Path:
    """Write a site's file for ``folder/site``, with regions as small as the tests' patients."""
    file = folder / "site.yaml"
    file.write_text(
        f"name: Town Hospital\nfolder: {folder / 'site'}\ncache_dir: {folder / 'kept' / 'cache'}\n"
        "workers: 1\npreprocessing:\n  shape: [16, 16, 16]\n  spacing_mm: 5.0\n  margin_mm: 10.0\n",
        encoding="utf-8",
    )
    return file


def prepare_in(folder: Path) -> tuple[SiteContent, Page, str]:
    """Prepare ``folder/site``; return what was gathered, the page, and the terminal's text."""
    told = io.StringIO()
    console = Console(file=told, width=100)
    content, page = prepare(PrepareSettings(write_site_file(folder)), console)
    return content, Page(page.read_text(encoding="utf-8")), told.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a site: one good patient, one without delayed phase, one without mask, one mixed."""
    site = tmp_path / "site"
    rows = {"good": GOOD_ROW, "part": "0,,,22,0", "bare": GOOD_ROW, "mixed": "1,,,,"}
    write_clinical(site, rows)
    write_patient(site / "good")
    write_patient(site / "part", phases=["arterial", "portal_venous"], seed=1)
    write_patient(site / "bare", seed=2)
    (site / "bare" / "mask.nii.gz").unlink()
    unsure = Series("other", "Abdomen 3.0", "unclear", "101500", 8)
    write(site / "mixed", ARTERIAL, PORTAL, replace(DELAYED, seen="portal_venous"), unsure)
    return tmp_path


def test_the_page_tells_how_many_patients_each_task_can_use(folder: Path) -> None:
    content, page, told = prepare_in(folder)
    assert [(t.task, t.usable, t.positive, t.complete) for t in content.tasks] == [
        ("mvi", 3, 2, 1),
        ("rfs", 1, 1, 1),
        ("os", 2, 0, 1),
    ]
    assert "3 of 4 patients can be used; 1 cannot, for the reasons below." in page.text
    assert "Town Hospital: 3 of 4 patients prepared" in told
    assert "3 prepared now, 0 unchanged" in told


def test_every_region_is_on_the_contact_sheet(folder: Path) -> None:
    content, page, _ = prepare_in(folder)
    assert [picture.patient_id for picture in content.pictures] == ["good", "mixed", "part"]
    assert content.pictures[2].missing == ("delayed",)
    pictures = [src for src in page.addresses if src.startswith("data:image/webp")]
    assert len(pictures) == 3
    # 300 patients stay under 25 MB.
    assert max(map(len, pictures)) < 25e6 / 300
    assert page.unnamed_pictures == page.tables_without_caption == 0
    assert page.references <= set(page.ids)
    assert "script" not in page.tags
    assert all(a.startswith(("#", "data:")) for a in page.addresses)


def test_what_was_set_aside_is_told_on_the_page_and_in_its_files(folder: Path) -> None:
    _, page, _ = prepare_in(folder)
    with (folder / "kept" / "prepared" / "set_aside.csv").open(newline="") as stream:
        aside = list(csv.DictReader(stream))
    with (folder / "kept" / "prepared" / "series.csv").open(newline="") as stream:
        series = list(csv.DictReader(stream))
    assert {row["patient_id"] for row in aside} == {"bare", "mixed"}
    assert all(row["reason"] in page.text for row in aside)
    assert [(row["number"], row["decision"]) for row in series] == [
        ("3", "used"),
        ("4", "used"),
        ("5", "set aside"),
        ("8", "set aside"),
    ]
    assert "its name says delayed, its image shows portal venous" in page.text


def test_only_what_changed_is_prepared_again(folder: Path) -> None:
    first = prepare_in(folder)
    again = prepare_in(folder)
    assert "0 prepared now, 3 unchanged" in again[2]
    assert again[0] == first[0]
    write_clinical(folder / "site", {"good": GOOD_ROW, "new": GOOD_ROW})
    write_patient(folder / "site" / "new", seed=4)
    assert "1 prepared now, 1 unchanged" in prepare_in(folder)[2]


def test_a_preparation_that_was_killed_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from client import cohort

    whole, made = cohort.build_region, []

    def die_at_the_third(*arguments: object) -> object:
        made.append(arguments)
        if len(made) == 3:
            raise KeyboardInterrupt
        return whole(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr("client.cohort.build_region", die_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            prepare_in(folder)
    assert "2 prepared now, 1 unchanged" in prepare_in(folder)[2]


def test_the_command_leaves_a_page(folder: Path) -> None:
    script = ROOT / "client" / "prepare.py"

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, script, *words], capture_output=True, text=True)

    done = command(f"site={write_site_file(folder)}", f"output_dir={folder / 'a page'}")
    assert done.returncode == 0, done.stderr
    assert (folder / "a page" / "prepare.html").is_file()
    assert "3 of 4 patients prepared" in done.stdout
    wrong = command("site=absent.yaml")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("Cannot prepare: absent.yaml: no such file")
    (folder / "a file").write_text("in the place of a folder")
    full = command(f"site={write_site_file(folder)}", f"output_dir={folder / 'a file'}")
    assert full.returncode == 1
    assert full.stderr.startswith(f"Cannot prepare: {folder / 'a file'}: cannot be written")


def test_facts_are_those_of_the_scans(tmp_path: Path) -> None:
    site = tmp_path / "site"
    write_clinical(site, {"a": GOOD_ROW})
    write_patient(site / "a")
    (case,) = prepare_site(site, SMALL, tmp_path / "cache", workers=1, progress=False).cases
    facts = from_text(load_facts(case.roi_path))
    for phase, told in facts.items():
        assert (told.in_plane_mm, told.slice_mm, told.seconds) == (*SPACING_MM[1:], None)
        assert told.liver_hu == pytest.approx(LIVER_HU[phase], abs=1.5)
        assert told.tumour_hu == pytest.approx(TUMOUR_HU[phase], abs=5)


def test_timing_is_told_where_headers_hold_it(tmp_path: Path) -> None:
    site = tmp_path / "site"
    write_clinical(site, {"a": GOOD_ROW})
    write(site / "a", replace(ARTERIAL, contrast="100005"), replace(PORTAL, contrast="100005"))
    (case,) = prepare_site(site, SMALL, tmp_path / "cache", workers=1, progress=False).cases
    facts = from_text(load_facts(case.roi_path))
    assert {phase: told.seconds for phase, told in facts.items()} == {
        "arterial": 40,
        "portal_venous": 70,
    }


def facts(slice_mm: float = 2.5, liver_hu: float = 100.0) -> PhaseFacts:
    return PhaseFacts(0.8, slice_mm, liver_hu, 80.0, None)


def test_what_lies_far_from_the_others_is_marked_and_nothing_else() -> None:
    site: dict[str, RegionFacts] = {
        f"p{n}": {"portal_venous": facts(liver_hu=100.0 + n)} for n in range(12)
    }
    assert find_outliers(site) == []
    site["thick"] = {"portal_venous": facts(slice_mm=10.0)}
    site["native"] = {"portal_venous": facts(liver_hu=50.0)}
    found = find_outliers(site)
    assert [(one.patient_id, one.measure) for one in found] == [
        ("native", "liver_hu"),
        ("thick", "slice_mm"),
    ]
    assert found[1].text == "portal venous distance of slices 10 mm, others 2.5 mm"


def test_phases_that_look_mixed_up_are_marked() -> None:
    swapped: RegionFacts = {
        "arterial": facts(liver_hu=110.0),
        "portal_venous": facts(liver_hu=65.0),
    }
    (one,) = find_outliers({"a": swapped})
    assert one.text.endswith("are the two mixed up?")


def test_a_picture_shows_phases_planes_and_outline(tmp_path: Path) -> None:
    site = tmp_path / "site"
    write_clinical(site, {"a": GOOD_ROW})
    write_patient(site / "a", phases=["arterial", "delayed"])
    (case,) = prepare_site(site, SMALL, tmp_path / "cache", workers=1, progress=False).cases
    pixels = np.asarray(Image.open(io.BytesIO(thumbnail(load_roi(case.roi_path)))).convert("RGB"))
    assert pixels.shape == (242, 364, 3)
    panels = [pixels[:120, left : left + 120].astype(int) for left in (0, 122, 244)]
    bright = [float(panel[50:70, 50:70].mean()) for panel in panels]
    # The tumour is brighter than the liver in the arterial phase, darker in the delayed one.
    assert bright[0] > bright[2] > bright[1]
    assert panels[1].max() < 12
    blue = (panels[0][..., 2] - panels[0][..., 0]) > 25
    rows, columns = np.nonzero(blue)
    # 22 mm of a region of 80 mm that fills 120 pixels.
    assert rows.max() - rows.min() == pytest.approx(33, abs=6)
    assert columns.max() - columns.min() == pytest.approx(33, abs=6)


def test_no_output_holds_what_names_a_person(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site"
    write_clinical(site, {"a": GOOD_ROW})
    write(site / "a", *(replace(one, header=poisoned) for one in (ARTERIAL, PORTAL, DELAYED)))
    with caplog.at_level("DEBUG"):
        _, _, told = prepare_in(tmp_path)
    outputs = [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]
    assert {"prepare.html", "series.csv", "set_aside.csv"} <= {path.name for path in outputs}
    told += caplog.text + "".join(capfd.readouterr())
    for secret in (POISON, "19010203", "20010203"):
        assert secret not in told
        for path in outputs:
            assert secret.encode() not in path.read_bytes(), path


def test_a_synthetic_site_is_called_so(folder: Path) -> None:
    (folder / "truth.csv").write_text("patient_id\n")
    content, page, told = prepare_in(folder)
    assert content.synthetic
    assert "Synthetic patients: images and outcomes were drawn by a computer." in page.text
    assert "3 of 4 synthetic patients" in told


def hostile(content: SiteContent) -> SiteContent:
    pictures = tuple(
        replace(content.pictures[0], patient_id=name, remarks=(name,)) for name in HOSTILE
    )
    aside = tuple(
        replace(content.set_aside[0], patient_id=name, reason=name, file=name) for name in HOSTILE
    )
    return replace(content, name=HOSTILE[0], pictures=pictures, set_aside=aside)


def test_names_cannot_change_the_page(folder: Path) -> None:
    content, _, _ = prepare_in(folder)
    write_page(hostile(content), folder / "hostile.html")
    page = Page((folder / "hostile.html").read_text(encoding="utf-8"))
    assert "script" not in page.tags
    assert "onerror" not in page.attributes
    assert all(a.startswith(("#", "data:")) for a in page.addresses)


@pytest.mark.skipif(BROWSER is None, reason="no chromium here: the page was not opened in one")
def test_a_browser_opens_the_page_without_a_word_of_complaint(folder: Path) -> None:
    prepare_in(folder)
    opened = subprocess.run(
        [
            str(BROWSER),
            *QUIET,
            f"--user-data-dir={folder / 'profile'}",
            "--enable-logging=stderr",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--dump-dom",
            (folder / "kept" / "prepared" / "prepare.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "CONSOLE" not in opened.stderr
    assert opened.stdout.count('loading="lazy"') == 3
