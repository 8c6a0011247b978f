"""What the network may be told of a patient beside the image, by name and in order."""

from collections.abc import Sequence

from shared.measurements import MEASUREMENTS
from shared.regions import REGIONS
from shared.tasks import LABEL_COLUMNS, PHASES

# What the federation sums up before the first round, in this order: the statistics describe
# what training saw; the heads read the measurements among them.
DIRECT_FEATURE_NAMES: tuple[str, ...] = (
    *(f"intensity_{phase}_{region}" for phase in PHASES for region in REGIONS),
    *(f"deviation_{phase}_{region}" for phase in PHASES for region in REGIONS),
    *(f"present_{phase}" for phase in PHASES),
    *MEASUREMENTS,
)
DIRECT_FEATURES = len(DIRECT_FEATURE_NAMES)
# What comes before all that the heads read.
IMAGE_STATISTICS = DIRECT_FEATURES - len(MEASUREMENTS)


def check_clinical_variables(names: Sequence[str]) -> None:
    """Raise ValueError unless these columns may be inputs: no outcome, no name twice."""
    taken = {"patient_id", *LABEL_COLUMNS, *DIRECT_FEATURE_NAMES}
    wrong = [name for name in names if name in taken or not name.strip()]
    if wrong or len(set(names)) < len(names):
        raise ValueError(
            f"clinical_variables must be columns beside the labels, each once, got {list(names)}"
        )
