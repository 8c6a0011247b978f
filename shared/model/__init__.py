"""The shared network: what it is told, what it looks like, what it says."""

from shared.model.batch import RoiBatch, direct_features
from shared.model.features import (
    DIRECT_FEATURE_NAMES,
    DIRECT_FEATURES,
    IMAGE_STATISTICS,
    check_clinical_variables,
)
from shared.model.heads import HEADS, SHARED_RISK, constant_hazard, ranking_score
from shared.model.network import MultiTaskNet
from shared.model.settings import ModelSettings
from shared.model.standardise import WINSOR, Standardise
from shared.model.trunk import pooled_maps, stages

__all__ = [
    "DIRECT_FEATURES",
    "DIRECT_FEATURE_NAMES",
    "HEADS",
    "IMAGE_STATISTICS",
    "SHARED_RISK",
    "WINSOR",
    "ModelSettings",
    "MultiTaskNet",
    "RoiBatch",
    "Standardise",
    "check_clinical_variables",
    "constant_hazard",
    "direct_features",
    "pooled_maps",
    "ranking_score",
    "stages",
]
