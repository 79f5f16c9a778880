"""`products.csv`: what it says of products, and what they become by it."""

import json
from dataclasses import dataclass, field

from app.checks import check_metadata, check_name, check_product_id
from gallery import JSON, Product


@dataclass(frozen=True, slots=True)
class ProductRow:
    """What a table says of a product; what it says nothing of stays as it is.

    `metadata`: all of it where `whole`, else keys to set; `emptied`: keys to take away; `place`:
    where the row stands.
    """

    id: str
    name: str | None = None
    metadata: dict[str, JSON] = field(default_factory=dict)
    whole: bool = False
    emptied: frozenset[str] = frozenset()
    place: str = ""

    def upon(self, product: Product | None) -> tuple[str, dict[str, JSON]]:
        """Name and metadata by this row of what was `product`, or is new.

        Raises:
            ValueError: with what stays it is more metadata than is kept.
        """
        kept: dict[str, JSON] = {}
        if product is not None and not self.whole:
            kept = {k: v for k, v in product.metadata.items() if k not in self.emptied}
        name = self.name or (product.name if product is not None else self.id)
        return name, check_metadata({**kept, **self.metadata})


def read_row(row: dict[str, str], place: str) -> ProductRow:
    """A row by its header.

    Columns: `id`, `name`, `metadata` (a JSON object, all of it; `{}` for none). Any other column
    is a key of the metadata, which an empty cell takes away. Empty, `name` and `metadata` say
    nothing.

    Raises:
        ValueError: what is wrong with it.
    """
    # Cells beyond the header are a list under None.
    cells = {key.strip(): value.strip() for key, value in row.items() if key and key.strip()}
    product_id, name, given = (cells.pop(column, "") for column in ("id", "name", "metadata"))
    if not product_id:
        raise ValueError("the row has no id")
    try:
        whole = json.loads(given or "{}")
    except RecursionError:
        raise ValueError("metadata is nested too deeply") from None
    if not isinstance(whole, dict):
        raise ValueError("metadata is not a JSON object")
    filled = {key: value for key, value in cells.items() if value}
    return ProductRow(
        check_product_id(product_id),
        check_name(name) if name else None,
        check_metadata({**filled, **whole}),
        whole=bool(given),
        emptied=frozenset(cells.keys() - filled.keys()),
        place=place,
    )
