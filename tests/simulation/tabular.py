"""A real federation without images: advanced lung cancer at the institutions of the NCCTG.

`lifelines.datasets.load_lung` (Loprinzi et al., J Clin Oncol 1994;12:601): 228 patients with the
institution that entered each. The table becomes sites' ``clinical.csv`` of the data contract; as
there is no scan, every patient has the same empty region, whose measurements are unknown, and
the heads read the clinical variables alone.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from lifelines.datasets import load_lung

from client.cases import PreparedCase
from client.clinical import FILE, read_clinical
from client.imaging.cache import save_roi
from client.imaging.roi import Roi
from client.site import Site
from shared.measurements import MEASUREMENTS
from shared.tasks import LABEL_COLUMNS, PHASES

VARIABLES = ("age", "sex", "ph.ecog", "ph.karno", "pat.karno", "wt.loss")
DAYS_PER_MONTH = 365.25 / 12
# Institutions that entered fewer patients keep together, as small hospitals do that share an
# office: on their own most have fewer than a site may tell anything of.
FEWEST_PATIENTS = 12
EDGE = 8


def lung_table() -> pd.DataFrame:
    """Return the patients of whom everything is known, with ``site``, ``months`` and ``event``."""
    table: pd.DataFrame = load_lung().dropna(subset=["inst", *VARIABLES]).reset_index(drop=True)
    patients = table["inst"].map(table["inst"].value_counts())
    own = "institution_" + table["inst"].astype(int).astype(str)
    table["site"] = own.where(patients >= FEWEST_PATIENTS, "small_institutions")
    table["months"] = table["time"] / DAYS_PER_MONTH
    table["event"] = table["status"].astype(int)
    table.index = pd.Index([f"patient_{row:03d}" for row in range(len(table))], name="patient_id")
    return table


def lung_sites(table: pd.DataFrame, folder: Path, withheld: Sequence[str] = ()) -> list[Site]:
    """Write each institution's ``clinical.csv`` and return the sites that read it.

    Parameters
    ----------
    table : DataFrame
        From `lung_table`.
    folder : Path
    withheld : sequence of str
        Sites whose table lacks the column ``wt.loss``.
    """
    region = folder / "no_scan.safetensors"
    save_roi(_no_scan(), region)
    sites = []
    for name, rows in table.groupby("site"):
        written = rows[list(VARIABLES)].assign(os_months=rows["months"], os_event=rows["event"])
        path = folder / str(name) / FILE
        path.parent.mkdir()
        written = written.reindex(columns=[*LABEL_COLUMNS, *VARIABLES])
        if name in withheld:
            written = written.drop(columns="wt.loss")
        written.to_csv(path)
        read = read_clinical(path, VARIABLES).rows
        cases = tuple(
            PreparedCase(patient, region, (False,) * len(PHASES), row.labels, row.clinical)
            for patient, row in sorted(read.items())
        )
        sites.append(Site(str(name), cases, preprocessing=""))
    return sites


def _no_scan() -> Roi:
    shape = (EDGE,) * 3
    return Roi(
        phases=np.zeros((len(PHASES), *shape), np.float16),
        mask=np.zeros(shape, np.uint8),
        present=np.zeros(len(PHASES), np.uint8),
        spacing_mm=1.0,
        measurements=np.full(len(MEASUREMENTS), np.nan, np.float32),
    )
