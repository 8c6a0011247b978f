from pathlib import Path

import pytest

from simulation.cohort.folder import FederationFolderError, Truth, find_sites, read_truth

TRUTH_HEADER = "patient_id,site,os_log_hazard,rfs_log_hazard,mvi_probability\n"


def make_site(root: Path, name: str) -> None:
    (root / name).mkdir(parents=True)
    (root / name / "clinical.csv").write_text("patient_id\n")


def test_sites_of_any_name_are_found_in_order(tmp_path: Path) -> None:
    for name in ("Turin", "Basel", "external", ".hidden"):
        make_site(tmp_path, name)
    (tmp_path / "notes").mkdir()
    found = find_sites(tmp_path)
    assert [site.name for site in found.training] == ["Basel", "Turin"]
    assert found.training[0].path == tmp_path / "Basel"
    assert found.external is not None
    assert found.external.path == tmp_path / "external"
    assert found.truth_csv is None


def test_external_and_truth_are_optional(tmp_path: Path) -> None:
    make_site(tmp_path, "a")
    assert find_sites(tmp_path).external is None
    (tmp_path / "truth.csv").write_text(TRUTH_HEADER)
    assert find_sites(tmp_path).truth_csv == tmp_path / "truth.csv"


def test_what_is_no_federation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FederationFolderError, match="is not a folder"):
        find_sites(tmp_path / "absent")
    with pytest.raises(FederationFolderError, match="is empty"):
        find_sites(tmp_path)
    (tmp_path / "site_1").mkdir()
    with pytest.raises(FederationFolderError, match=r"has a clinical\.csv"):
        find_sites(tmp_path)
    make_site(tmp_path, "external")
    with pytest.raises(FederationFolderError, match="only external"):
        find_sites(tmp_path)
    with pytest.raises(FederationFolderError, match="one site's folder"):
        find_sites(tmp_path / "external")


def test_truth_is_read_by_site_and_patient(tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    path.write_text(TRUTH_HEADER + "P1,a,0.5,-0.25,0.125\nP1,b,1,2,0\n")
    assert read_truth(path) == {
        ("a", "P1"): Truth(0.5, -0.25, 0.125),
        ("b", "P1"): Truth(1.0, 2.0, 0.0),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("patient_id,site\nP1,a\n", "lacks the column os_log_hazard"),
        (TRUTH_HEADER + "P1,a,high,0,0.5\n", "line 2"),
        (TRUTH_HEADER + "P1,a,,0,0.5\n", "must be finite"),
        (TRUTH_HEADER + "P1,a,0,0\n", "line 2"),
        (TRUTH_HEADER + "P1,a,0,0,1.5\n", r"in \[0, 1\]"),
        (TRUTH_HEADER + "P1,a,0,0,0.5\nP1,a,0,0,0.5\n", "line 3: patient occurs twice"),
    ],
)
def test_a_wrong_truth_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "truth.csv"
    path.write_text(text)
    with pytest.raises(FederationFolderError, match=message):
        read_truth(path)
