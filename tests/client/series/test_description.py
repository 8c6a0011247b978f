"""What descriptions decide: a reviewed table of real ones, and words of other languages.

``descriptions.csv`` holds every description of CT in the index of the Imaging Data Commons (MIT)
for six public collections (CC BY 3.0 and 4.0: TCGA-LIHC, CPTAC-PDA, HCC-TACE-Seg, Colorectal
Liver Metastases, StageII Colorectal CT, Pancreas-CT), how many series bear it, and the decision
that was read and approved for it.
"""

import csv
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from client.series.description import judge_description, read_description

TABLE = Path(__file__).with_name("descriptions.csv")
INDEX = Path(__file__).resolve().parents[4] / "shared/data/tables/idc_liver_series.parquet"


def decision(text: str) -> str:
    return judge_description(read_description(text)).decision


def test_every_reviewed_description_is_decided_as_reviewed() -> None:
    with TABLE.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    wrong = {}
    for row in rows:
        verdict = judge_description(read_description(row["series_description"]))
        if (verdict.decision, verdict.reason) != (row["decision"], row["reason"]):
            wrong[row["series_description"]] = (verdict.decision, verdict.reason)
    assert len(rows) == 662
    assert wrong == {}


@pytest.mark.skipif(
    not INDEX.is_file(), reason="the index of real series is not beside the project"
)
def test_all_real_headers_are_decided() -> None:
    index = pd.read_parquet(INDEX)
    counts = Counter(
        decision(str(text or "")) if modality == "CT" else f"no CT: {modality}"
        for modality, text in zip(index.Modality, index.SeriesDescription, strict=True)
    )
    assert len(index) == 5736
    assert counts == {
        "arterial": 99,
        "portal_venous": 192,
        "delayed": 30,
        "passed over": 1131,
        "ambiguous": 1161,
        "no CT: MR": 1275,
        "no CT: SEG": 1848,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Spätphase", "delayed"),
        ("portalvenös 3.0", "portal_venous"),
        ("spätarteriell", "arterial"),
        ("Leber nativ", "passed over"),
        ("ohne KM", "passed over"),
        ("Temps artériel", "arterial"),
        ("temps portal", "portal_venous"),
        ("temps tardif", "delayed"),
        ("sans injection", "passed over"),
        ("fase arterial tardía", "arterial"),
        ("fase venosa portal", "portal_venous"),
        ("sin contraste", "passed over"),
        ("fase arteriosa", "arterial"),
        ("fase portale", "portal_venous"),
        ("fase tardiva", "delayed"),
        ("fase de equilíbrio", "delayed"),
        ("sem contraste", "passed over"),
        ("faza tętnicza", "arterial"),
        ("faza wrotna", "portal_venous"),
        ("faza opóźniona", "delayed"),
        ("bez kontrastu", "passed over"),
        ("动脉期", "arterial"),
        ("门静脉期", "portal_venous"),
        ("延迟期", "delayed"),
        ("平扫", "passed over"),
        ("動脈相", "arterial"),
        ("門脈相", "portal_venous"),
        ("平衡相", "delayed"),
        ("単純", "passed over"),
        ("ボーラス", "passed over"),
        ("PVP", "portal_venous"),
        ("P.V.", "portal_venous"),
        ("HAP", "arterial"),
        ("late art.", "arterial"),
        ("hepatic arterial", "arterial"),
        ("portal inflow", "arterial"),
        ("equilibrium", "delayed"),
        ("LIVER DEL", "delayed"),
        ("70s", "portal_venous"),
        ("ABD 35 sec", "arterial"),
        ("5min", "delayed"),
        ("tardive 5mn", "delayed"),
    ],
)
def test_a_phase_is_understood_in_its_language(text: str, expected: str) -> None:
    assert decision(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "AP", "Recon 2: LIVER 3 PHASE (AP)", "Art+PV", "nephro", "late venous", "100.0"),
        *("Venous 180 sec", "30, 70, 120 SEC DELAY", "TAC del abdomen", "Artefakt", "CTA liver"),
        *("pancreatic phase", "LIVER 52 s", "phase 2", "ABDOMEN W/WO"),
    ],
)
def test_what_is_ambiguous_is_not_guessed(text: str) -> None:
    assert decision(text) == "ambiguous"


def test_a_scanners_kernel_is_no_time() -> None:
    assert decision("Abdomen 5.0 B40s") == "ambiguous"
    assert decision("Abdomen 40s") == "arterial"


def test_nothing_that_was_not_understood_is_shown() -> None:
    reading = read_description("DOE^JANE 19700101 late art. liver Portalis-Smith 5min")
    assert reading.words == "late arterial, portal venous, liver, 300 s"
