"""Sums that come up: what judges a model, and what features look like."""

from flwr.app import ConfigRecord, Message, MetricRecord, RecordDict

from shared.judgement import Judgement
from shared.map_sums import MapSums
from shared.protocol.errors import ErrorCode, ProtocolError
from shared.protocol.records import VERSION, check_version, record_of
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


def write_feature_sums(site: str, sums: FeatureSums, maps: MapSums) -> RecordDict:
    """Return the content of a reply to the question before the first round."""
    return RecordDict(
        {
            SITE: ConfigRecord({"version": VERSION, "name": site}),
            FEATURE_SUMS: MetricRecord({**sums.as_lists()}),
            MAP_SUMS: MetricRecord({**maps.as_lists()}),
        }
    )


def read_feature_sums(
    message: Message, features: int, maps: int
) -> tuple[str, tuple[FeatureSums, MapSums]]:
    """Check and return what such a reply carries, for so many features and maps."""
    site = record_of(message, SITE, ConfigRecord)
    check_version(site)
    try:
        sums = FeatureSums.from_lists(record_of(message, FEATURE_SUMS, MetricRecord), features)
        pooled = MapSums.from_lists(record_of(message, MAP_SUMS, MetricRecord), maps)
        return str(site["name"]), (sums, pooled)
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise ProtocolError(ErrorCode.MALFORMED_MESSAGE, str(error)) from error
