"""`products.csv`: what it says of products, and what they become by it."""

import codecs
import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from app.checks import check_metadata, check_name
from gallery import JSON, Product

# Excel writes what separates lists where it stands: a semicolon in much of Europe.
SEPARATORS = (",", ";", "\t")
COLUMNS = ("id", "name", "metadata")
# A row costs as many cells as there are columns, however short it is.
MOST_COLUMNS = 1000
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d{1,17})?", re.ASCII)
_SAVE = "in Excel, save the table as CSV UTF-8"


@dataclass(frozen=True, slots=True)
class ProductRow:
    """What a table says of a product; what it says nothing of stays as it is.

    `metadata`: all of it but for `columns`, the texts of more keys; None: what there is stays, but
    for the keys `emptied`. `place`: where the row stands.
    """

    id: str
    name: str | None = None
    metadata: dict[str, JSON] | None = None
    columns: dict[str, str] = field(default_factory=dict)
    emptied: frozenset[str] = frozenset()
    place: str = ""

    def upon(self, product: Product | None) -> tuple[str, dict[str, JSON]]:
        """Name and metadata by this row of what was `product`, or is new.

        Raises:
            ValueError: with what stays it is more metadata than is kept.
        """
        before = {} if product is None else product.metadata
        kept = self.metadata
        if kept is None:
            kept = {k: v for k, v in before.items() if k not in self.emptied}
        cells = {k: _like(before.get(k), text) for k, text in self.columns.items()}
        name = self.name or (product.name if product is not None else self.id)
        return name, check_metadata({**kept, **cells})


def open_table(data: bytes) -> "csv.DictReader[str]":
    """A table's rows; its header tells whether commas, semicolons or tabs separate the cells.

    Raises:
        ValueError: it is not UTF-8, has no column `id`, or too many columns.
        csv.Error: the header can't be read.
    """
    text = io.StringIO(_decoded(data), newline="")
    for separator in SEPARATORS:
        text.seek(0)
        reader = csv.DictReader(text, delimiter=separator)
        reader.fieldnames = [_column(title) for title in reader.fieldnames or ()]
        if "id" in reader.fieldnames:
            if (columns := len(reader.fieldnames)) > MOST_COLUMNS:
                raise ValueError(f"it has {columns:,} columns; at most {MOST_COLUMNS:,} are read")
            return reader
    text.seek(0)
    raise ValueError(f"its header has no column id: {text.readline(200).strip()!r}")


def read_row(row: dict[str | None, Any], place: str, check_id: Callable[[str], str]) -> ProductRow:
    """A row by its header.

    Columns: `id`, `name`, `metadata` (a JSON object, all of it; `{}` for none). Any other column
    is a key of the metadata, which an empty cell takes away. Empty, `name` and `metadata` say
    nothing, nor do cells that are missing at the end of the row.

    Raises:
        ValueError: what is wrong with it.
    """
    if any(row.get(None, ())):
        raise ValueError("the row has more cells than the header")
    cells = {key: value.strip() for key, value in row.items() if key and value is not None}
    product_id, name, given = (cells.pop(column, "") for column in COLUMNS)
    if not product_id:
        raise ValueError("the row has no id")
    try:
        whole = json.loads(given) if given else None
    except RecursionError:
        raise ValueError("metadata is nested too deeply") from None
    if given and not isinstance(whole, dict):
        raise ValueError("metadata is not a JSON object")
    filled = {key: value for key, value in cells.items() if value}
    columns = {key: value for key, value in filled.items() if key not in (whole or ())}
    check_metadata({**columns, **(whole or {})})
    return ProductRow(
        _checked("id", check_id, product_id),
        _checked("name", check_name, name) if name else None,
        whole,
        columns,
        emptied=frozenset(cells.keys() - filled.keys()),
        place=place,
    )


def _like(before: JSON, cell: str) -> JSON:
    """A cell as the kind of value that its key has: filters tell 7 from "7"."""
    if isinstance(before, bool):
        return {"true": True, "false": False}.get(cell.lower(), cell)
    if isinstance(before, int | float) and _NUMBER.fullmatch(cell):
        return float(cell) if "." in cell else int(cell)
    return cell


def _checked(column: str, check: Callable[[str], str], value: str) -> str:
    try:
        return check(value)
    except ValueError as error:
        raise ValueError(f"{column}: {error}") from None


def _decoded(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError(f"it is UTF-16: {_SAVE}")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        good = data[: error.start]
        line = 1 + good.count(b"\n") + good.count(b"\r") - good.count(b"\r\n")
        raise ValueError(f"line {line} is not UTF-8: {_SAVE}") from None


def _column(title: str) -> str:
    """The name of a column: ours in any case."""
    title = title.strip()
    return title.lower() if title.lower() in COLUMNS else title
