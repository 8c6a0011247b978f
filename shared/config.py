"""Mappings from outside (YAML, JSON) into frozen dataclasses, with errors that name the key."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


class ConfigurationError(ValueError):
    """A configuration value is wrong; the message names the key and what it takes."""


def build(cls: type[T], values: Mapping[str, Any], *, where: str) -> T:
    """Make a dataclass from a mapping, strictly.

    Parameters
    ----------
    cls : type
        A dataclass; nested dataclasses, tuples and literals are built from plain values.
    values : mapping of str to Any
        One entry a field; a field with a default may be absent.
    where : str
        The place in the configuration, for messages (``"model"``).

    Raises
    ------
    ConfigurationError
        Unknown key, missing key, wrong type, or a value that the dataclass itself refuses.
    """
    unknown = _unknown_keys(cls, values, where)
    if unknown:
        raise ConfigurationError(f"unknown configuration key: {', '.join(unknown)}")
    try:
        return TypeAdapter(cls).validate_python(dict(values))
    except ValidationError as error:
        problems = [
            f"{'.'.join([where, *map(str, problem['loc'])])}: {problem['msg']}"
            f" (got {problem['input']!r})"
            for problem in error.errors(include_url=False)
        ]
        raise ConfigurationError("; ".join(problems)) from error


def to_json(value: Any) -> str:
    """Return a dataclass as JSON with its fields in order: the inverse of `from_json`."""
    return TypeAdapter(type(value)).dump_json(value).decode()


def from_json(cls: type[T], text: str, *, where: str) -> T:
    """Make a dataclass from JSON, as strictly as `build`."""
    values = TypeAdapter(dict[str, Any]).validate_json(text)
    return build(cls, values, where=where)


def _unknown_keys(cls: type, values: Mapping[str, Any], where: str) -> list[str]:
    hints = get_type_hints(cls)
    unknown = []
    for key, value in values.items():
        place = f"{where}.{key}"
        if key not in hints:
            unknown.append(f"{place} (known here: {', '.join(sorted(hints))})")
        elif dataclasses.is_dataclass(hints[key]) and isinstance(value, Mapping):
            unknown += _unknown_keys(hints[key], value, place)
    return unknown
