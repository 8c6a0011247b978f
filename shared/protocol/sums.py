"""Sums that come up: what judges a model, and what features look like."""

from dataclasses import dataclass

from flwr.app import ConfigRecord, Message, MetricRecord, RecordDict

from shared.judgement import Judgement
from shared.map_sums import MapSums
from shared.protocol.errors import ErrorCode, ProtocolError
from shared.protocol.records import COUNTS, VERSION, check_version, count_in, record_of
from shared.standardisation import FeatureSums

SITE = "site"
JUDGEMENT = "judgement"
FEATURE_SUMS = "feature-sums"
MAP_SUMS = "map-sums"


def write_judgement(site: str, judgement: Judgement) -> RecordDict:
    """Return the content of an evaluation reply."""
    return RecordDict(
        {
            SITE: ConfigRecord({"version": VERSION, "name": site}),
            JUDGEMENT: MetricRecord({**judgement.as_sums()}),
        }
    )


def read_judgement(message: Message) -> tuple[str, Judgement]:
    """Check and return what an evaluation reply carries: the site's name and its sums."""
    site = record_of(message, SITE, ConfigRecord)
    check_version(site)
    sums = record_of(message, JUDGEMENT, MetricRecord)
    try:
        return str(site["name"]), Judgement.from_sums(dict(sums))
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise ProtocolError(ErrorCode.MALFORMED_MESSAGE, str(error)) from error


@dataclass(frozen=True, eq=False)
class ToldFeatures:
    """A site's answer to the question before the first round.

    Attributes
    ----------
    patients : int
        Who train: no later number of this site may exceed it.
    features : FeatureSums
        Over no more than these.
    maps : MapSums
        Likewise.
    """

    patients: int
    features: FeatureSums
    maps: MapSums


def write_feature_sums(site: str, told: ToldFeatures) -> RecordDict:
    """Return the content of a reply to the question before the first round."""
    return RecordDict(
        {
            SITE: ConfigRecord({"version": VERSION, "name": site}),
            COUNTS: MetricRecord({"patients": told.patients}),
            FEATURE_SUMS: MetricRecord({**told.features.as_lists()}),
            MAP_SUMS: MetricRecord({**told.maps.as_lists()}),
        }
    )


def read_feature_sums(message: Message, features: int, maps: int) -> tuple[str, ToldFeatures]:
    """Check and return what such a reply carries, for so many features and maps."""
    site = record_of(message, SITE, ConfigRecord)
    check_version(site)
    try:
        patients = count_in(record_of(message, COUNTS, MetricRecord), "patients")
        sums = record_of(message, FEATURE_SUMS, MetricRecord)
        pooled = record_of(message, MAP_SUMS, MetricRecord)
        return str(site["name"]), ToldFeatures(
            patients,
            FeatureSums.from_lists(sums, patients, features),
            MapSums.from_lists(pooled, patients, maps),
        )
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise ProtocolError(ErrorCode.MALFORMED_MESSAGE, str(error)) from error
