"""What a search may be restricted to: products whose metadata have certain values.

As JSON: `{"store": "north"}`, `{"store": {"in": ["north", "south"]}}`, `{"and": [filter, …]}` and
`{"not": filter}`; several keys in one object must all hold. Values are compared exactly, as JSON
compares them: 1 is 1.0 but neither true nor "1". A product without the key has none of its values.
At most 16 different keys may decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from gallery.errors import InvalidFilter
from gallery.records import JSON

Scalar: TypeAlias = str | int | float | bool | None

_DEEPEST = 32
# Each new one is looked for in the metadata of every product, while other filters wait.
_MOST_KEYS = 16


@dataclass(frozen=True, slots=True)
class In:
    """The value of `key` is one of `values`."""

    key: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class And:
    """Every part holds; without parts it keeps everything."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part doesn't hold."""

    part: Filter


Filter: TypeAlias = In | And | Not


def parse_filter(value: JSON) -> Filter:
    """The filter that the JSON stands for. Raises InvalidFilter, which says where it is wrong."""
    where = _parsed(value, "filter", 0)
    if (keys := len(set(keys_of(where)))) > _MOST_KEYS:
        raise InvalidFilter(f"The filter has {keys} different keys; at most {_MOST_KEYS} are read.")
    return where


def keys_of(where: Filter) -> Iterator[str]:
    """The metadata keys that decide."""
    match where:
        case In(key, _):
            yield key
        case And(parts):
            for part in parts:
                yield from keys_of(part)
        case Not(part):
            yield from keys_of(part)


def keeps(where: Filter, metadata: Mapping[str, JSON]) -> bool:
    """Whether a product with such metadata passes the filter, as in a search."""
    match where:
        case In(key, values):
            value = metadata.get(key)
            # In Python True == 1.
            return key in metadata and any(
                value == wanted and isinstance(value, bool) == isinstance(wanted, bool)
                for wanted in values
            )
        case And(parts):
            return all(keeps(part, metadata) for part in parts)
        case Not(part):
            return not keeps(part, metadata)


def _parsed(value: JSON, place: str, depth: int) -> Filter:
    if depth > _DEEPEST:
        raise InvalidFilter(f"The {place} is nested more than {_DEEPEST} deep. Make it flatter.")
    if not isinstance(value, dict):
        raise InvalidFilter(
            f'The {place} must be an object such as {{"store": "north"}}, not {_kind(value)}.'
        )
    parts = [_entry(key, entry, f"{place}.{key}", depth) for key, entry in value.items()]
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _entry(key: str, value: JSON, place: str, depth: int) -> Filter:
    if key == "and":
        if not isinstance(value, list):
            raise InvalidFilter(f"The {place} must be a list of filters, not {_kind(value)}.")
        parts = (_parsed(part, f"{place}[{n}]", depth + 1) for n, part in enumerate(value))
        return And(tuple(parts))
    if key == "not":
        return Not(_parsed(value, place, depth + 1))
    if not isinstance(value, dict):
        return In(key, (_scalar(value, place),))
    values = value.get("in")
    if set(value) != {"in"} or not isinstance(values, list):
        raise InvalidFilter(f'The {place} must be a value or {{"in": [value, …]}}.')
    return In(key, tuple(_scalar(entry, f"{place}.in[{n}]") for n, entry in enumerate(values)))


def _scalar(value: JSON, place: str) -> Scalar:
    if isinstance(value, dict | list):
        raise InvalidFilter(
            f"The {place} must be a string, a number, true, false or null, not {_kind(value)}."
        )
    return value


def _kind(value: JSON) -> str:
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    return "null" if value is None else kinds.get(type(value), "a number")
