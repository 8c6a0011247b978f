"""Mappings from outside (YAML, JSON) into frozen dataclasses, with errors that name the key."""

import dataclasses
from collections.abc import Mapping
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

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
        problems = error.errors(include_url=False)
        raise ConfigurationError("; ".join(_in_words(where, one) for one in problems)) from error


def to_json(value: Any) -> str:
    """Return a dataclass as JSON with its fields in order: the inverse of `from_json`."""
    return TypeAdapter(type(value)).dump_json(value).decode()


def from_json(cls: type[T], text: str, *, where: str) -> T:
    """Make a dataclass from JSON, as strictly as `build`."""
    values = TypeAdapter(dict[str, Any]).validate_json(text)
    return build(cls, values, where=where)


def _in_words(where: str, problem: ErrorDetails) -> str:
    place, value = ".".join([where, *map(str, problem["loc"])]), problem["input"]
    # What is wrong between several values is in the message; all of them would hide it.
    got = "" if isinstance(value, Mapping) else f" (got {value!r})"
    return f"{place}: {problem['msg']}{got}"


def _unknown_keys(cls: type, values: Mapping[str, Any], where: str) -> list[str]:
    hints = get_type_hints(cls)
    unknown = []
    for key, value in values.items():
        place = f"{where}.{key}"
        if key not in hints:
            unknown.append(f"{place} (known here: {', '.join(sorted(hints))})")
        elif isinstance(value, Mapping) and (nested := _dataclass_for(hints[key], value)):
            unknown += _unknown_keys(nested, value, place)
    return unknown


def _dataclass_for(hint: Any, value: Mapping[str, Any]) -> type | None:
    """Return the dataclass that a mapping stands for: of a union, the one of its ``name``."""
    if get_origin(hint) in (Union, UnionType):
        members = {_name_of(member): member for member in get_args(hint)}
        hint = members.get(value.get("name"))
    return hint if isinstance(hint, type) and dataclasses.is_dataclass(hint) else None


def _name_of(cls: Any) -> Any:
    fields = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()
    return next((field.default for field in fields if field.name == "name"), None)
