"""Pages of products: of all, or of those with a text in id or name and with certain metadata."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from unicodedata import category, normalize

from gallery.filters import Filter, keeps
from gallery.records import Product
from gallery.validation import checked_count, checked_text

_AT_ONCE = 1000


def page_of(
    after: Callable[[str, int], Sequence[Product]],
    cursor: str | None,
    limit: int,
    text: str | None,
    where: Filter | None,
) -> tuple[list[Product], str | None]:
    """At most `limit` products by id, and the cursor of the next page or None.

    `after`: at most so many products with ids after the one given, by id. Raises InvalidValue.
    """
    last = "" if cursor is None else checked_text(cursor, "cursor")
    checked_count(limit, "limit")
    wanted = _folded(text or "")
    # Of all products no more are read than are answered; to find some takes a look at many.
    at_once = _AT_ONCE if wanted or where else min(limit + 1, _AT_ONCE)
    found: list[Product] = []
    more = True
    while more and len(found) <= limit:
        products = after(last, at_once)
        found += [
            product
            for product in products
            if (not wanted or wanted in _folded(product.id) or wanted in _folded(product.name))
            and (where is None or keeps(where, product.metadata))
        ]
        more = len(products) == at_once
        last = products[-1].id if products else last
    page = found[:limit]
    return page, page[-1].id if len(found) > limit else None


def _folded(text: str) -> str:
    """The same whatever case it is in, however its accents are composed, and whatever joins it.

    What joins or parts letters, or says which way they run, can't be seen and is seldom typed.
    """
    folded = normalize("NFKC", text).casefold()
    return "".join(letter for letter in folded if category(letter) != "Cf")
