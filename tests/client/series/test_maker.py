"""Manufacturers as headers write them, and the few words that they become."""

from pathlib import Path

import pandas
import pytest

from client.series.headers import dicom_candidates, read_headers
from client.series.maker import maker_of
from shared.evidence.description import MANUFACTURERS

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
TABLE = DATA / "tables" / "idc_liver_series.parquet"
SERIES = DATA / "ct" / "totalsegmentator" / "example_ct_dicom"


@pytest.mark.parametrize(
    ("written", "maker"),
    [
        ("SIEMENS", "siemens"),
        ("Siemens Healthineers", "siemens"),
        ("GE MEDICAL SYSTEMS", "ge"),
        ("General Electric Co.", "ge"),
        ("GE_HealthCare", "ge"),
        ("Philips Medical Systems", "philips"),
        ("TOSHIBA_MEC", "canon-toshiba"),
        ("Canon Medical Systems", "canon-toshiba"),
        ("Neusoft of Germany", "other"),  # GE is a word of its own, or it is not GE
        ("Dr Miller", "other"),
        ("", "unknown"),
        ("  - ", "unknown"),
    ],
)
def test_a_manufacturer_becomes_one_of_few_words(written: str, maker: str) -> None:
    assert maker_of(written) == maker
    assert maker in MANUFACTURERS


@pytest.mark.skipif(not TABLE.is_file(), reason="the real headers' table is not here")
def test_every_real_manufacturer_of_ct_is_known() -> None:
    table = pandas.read_parquet(TABLE, columns=["Modality", "Manufacturer"])
    names = table[table.Modality == "CT"].Manufacturer.fillna("")
    found = names.map(maker_of).value_counts().to_dict()
    assert found == {"ge": 912, "siemens": 787, "unknown": 772, "canon-toshiba": 88, "philips": 54}


@pytest.mark.skipif(not SERIES.is_dir(), reason="the real series is not here")
def test_a_real_series_names_its_maker() -> None:
    headers, _ = read_headers(dicom_candidates(SERIES))
    assert {header.maker for header in headers} == {"siemens"}
