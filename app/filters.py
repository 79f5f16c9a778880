"""Metadata filters: as text, the way clients and operators write them, and our own."""

import json

from gallery import Filter, In, InvalidFilter, Not, parse_filter

# In the metadata of the products that come with the service: true.
SAMPLE = "sample"
SAMPLES: Filter = In(SAMPLE, (True,))
# A shop's own products.
OWN: Filter = Not(SAMPLES)


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
