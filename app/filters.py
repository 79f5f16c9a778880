"""Metadata filters as text, the way clients and operators write them."""

import json

from gallery import Filter, InvalidFilter, parse_filter


def read_filter(text: str) -> Filter:
    """The filter in a JSON text such as `{"store": "north"}`.

    Raises:
        InvalidFilter: it is not JSON, or not a filter.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidFilter(
            f'The filter is not JSON ({error}); an example is {{"store": "north"}}.'
        ) from error
    return parse_filter(value)
