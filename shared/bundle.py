"""What makes a model folder a MONAI bundle: ``configs/metadata.json`` and ``inference.json``.

Of the bundle specification one file differs: weights rest as ``model.safetensors`` beside the
model card, not as ``models/model.pt``, which is a pickle.
"""

import json
from collections.abc import Mapping
from typing import Any

from shared.bundle_network import INPUT_CHANNELS, output_channels
from shared.config import to_json
from shared.plan import Plan
from shared.preprocessing import PreprocessingSettings
from shared.tasks import SurvivalTask

SCHEMA_ADDRESS = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
    "meta_schema_20240725.json"
)
_INTENDED_USE = "Research software, not a medical device."
_SYNTHETIC = " Trained on synthetic patients: must not be used on real ones."


def metadata(
    plan: Plan,
    preprocessing: PreprocessingSettings,
    versions: Mapping[str, str],
    *,
    synthetic: bool,
    followed_months: Mapping[SurvivalTask, float],
) -> dict[str, Any]:
    """Return ``metadata.json`` of the MONAI bundle specification.

    Parameters
    ----------
    plan : Plan
    preprocessing : PreprocessingSettings
    versions : mapping of str to str
        ``hepafed``, ``monai``, ``torch``, ``numpy``, and whatever else is known.
    synthetic : bool
    followed_months : mapping of SurvivalTask to float
        Of `shared.model_folder.ModelFolder`.
    """
    required = ("monai", "torch", "numpy", "hepafed")
    return {
        "schema": SCHEMA_ADDRESS,
        "version": versions["hepafed"],
        "changelog": {versions["hepafed"]: "as trained by the federation of the model card"},
        "monai_version": versions["monai"],
        "pytorch_version": versions["torch"],
        "numpy_version": versions["numpy"],
        "required_packages_version": {
            name: version for name, version in versions.items() if name not in required
        },
        "name": "hepafed",
        "task": "Outcome of hepatocellular carcinoma from contrast-enhanced CT",
        "description": (
            "A 3D DenseNet with three heads: microvascular invasion, recurrence-free survival"
            " and overall survival, from up to three phases and a mask of liver and tumour."
        ),
        "authors": "hepafed",
        "copyright": "Apache-2.0",
        "data_source": "the institutions of the model card; no image left them",
        "data_type": "CT: DICOM, NIfTI, NRRD or MetaImage",
        "intended_use": _INTENDED_USE + (_SYNTHETIC if synthetic else ""),
        "network_data_format": _data_format(plan, preprocessing, followed_months),
    }


def _data_format(
    plan: Plan,
    preprocessing: PreprocessingSettings,
    followed_months: Mapping[SurvivalTask, float],
) -> dict[str, Any]:
    outputs = output_channels(plan, followed_months)
    return {
        "inputs": {
            "image": {
                "type": "image",
                "format": "hounsfield",
                "modality": "CT",
                "num_channels": len(INPUT_CHANNELS),
                "spatial_shape": list(preprocessing.shape),
                "dtype": "float32",
                "value_range": [],
                "is_patch_data": False,
                "channel_def": {str(i): name for i, name in enumerate(INPUT_CHANNELS)},
            }
        },
        "outputs": {
            "pred": {
                "type": "probabilities",
                "format": "classes",
                "modality": "n/a",
                "num_channels": len(outputs),
                "spatial_shape": [],
                "dtype": "float32",
                "value_range": [0, 1] if plan.loss.survival == "logistic_hazard" else [],
                "is_patch_data": False,
                "channel_def": {str(i): name for i, name in enumerate(outputs)},
            }
        },
    }


def inference(
    plan: Plan, preprocessing: PreprocessingSettings, weights_file: str
) -> dict[str, Any]:
    """Return ``inference.json``, which `monai.bundle.ConfigParser` parses.

    Its ``network`` is the network with its weights; ``image`` is a patient's folder as the
    network's input; ``run`` writes what ``client/predict.py`` writes. ``clinical`` names the
    clinical variables that the network reads; fill in what is known of the patient.
    """
    return {
        "imports": [
            "$import pathlib",
            "$import torch",
            "$from shared.preprocessing import PreprocessingSettings",
            "$from client.predict import bundle_image",
            "$from client.predict import predict_into",
            "$from shared.config import build",
        ],
        "bundle_root": ".",
        "dataset_dir": "patient",
        "output_dir": "prediction",
        "device": "$torch.device('cpu')",
        "weights": f"$str(pathlib.Path(@bundle_root) / '{weights_file}')",
        "network_def": {
            "_target_": "shared.bundle_network.network_of",
            "plan": json.loads(to_json(plan)),
        },
        "network": "$@network_def.load_weights(@weights).to(@device)",
        "preprocessing_settings": json.loads(to_json(preprocessing)),
        "preprocessing": (
            "$build(PreprocessingSettings, @preprocessing_settings, where='preprocessing')"
        ),
        "clinical": dict.fromkeys(plan.model.clinical_variables),
        "image": "$bundle_image(@dataset_dir, @preprocessing, @clinical).to(@device)",
        "inferer": {"_target_": "SimpleInferer"},
        "pred": "$@inferer(@image, @network)",
        "run": ["$predict_into(@bundle_root, @dataset_dir, @output_dir, @clinical)"],
    }
