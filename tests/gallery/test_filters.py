"""Searches among the products whose metadata have certain values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gallery import (
    And,
    Filter,
    Gallery,
    In,
    InvalidFilter,
    Not,
    SearchedSize,
    columns,
    parse_filter,
)
from gallery.filters import keeps, keys_of
from tests.gallery.reference import Reference
from tests.gallery.samples import new_image, opened, vectors_of

NORTH = In("store", ("north",))


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with opened(tmp_path / "g") as opened_gallery:
        yield opened_gallery


def put(gallery: Gallery, product: str, metadata: dict) -> None:
    gallery.put_product(product, product, metadata)
    gallery.add_images(product, [new_image(product)])


def among(gallery: Gallery, where: Filter) -> set[str]:
    answer = gallery.search(vectors_of("query"), 100, where)
    found = {candidate.product_id for candidate in answer.candidates[0]}
    products = gallery.list_products(None, 100)[0]
    assert answer.size == SearchedSize(len(found), len(found))
    assert found == {p.id for p in products if p.image_count and keeps(where, p.metadata)}
    return found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({}, And(())),
        ({"store": "north"}, NORTH),
        ({"store": {"in": ["north", 2, None, True]}}, In("store", ("north", 2, None, True))),
        ({"store": "north", "floor": 1}, And((NORTH, In("floor", (1,))))),
        (
            {"and": [{"store": "north"}, {"not": {"floor": 1}}]},
            And((NORTH, Not(In("floor", (1,))))),
        ),
        ({"not": {"store": "north"}, "floor": 1}, And((Not(NORTH), In("floor", (1,))))),
        ({"in": "a"}, In("in", ("a",))),
    ],
)
def test_a_filter_is_read_from_json(value: dict, expected: Filter) -> None:
    assert parse_filter(value) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("north", "The filter must be an object .* not a string"),
        (None, "not null"),
        ([{"store": "north"}], "not a list"),
        ({"store": ["north"]}, r"filter.store must be a string, .* not a list"),
        ({"store": {"is": "north"}}, r"filter.store must be a value or"),
        ({"store": {"in": "north"}}, r"filter.store must be a value or"),
        ({"store": {"in": [{}]}}, r"filter.store.in\[0\] must be .* not an object"),
        ({"and": {"store": "north"}}, r"filter.and must be a list of filters, not an object"),
        ({"and": [{"a": 1}, {"not": 5}]}, r"filter.and\[1\].not must be an object .* a number"),
    ],
)
def test_what_is_no_filter_is_refused_where_it_is_wrong(value: object, message: str) -> None:
    with pytest.raises(InvalidFilter, match=message):
        parse_filter(value)  # type: ignore[arg-type]


def test_nesting_has_an_end() -> None:
    value: dict = {"a": 1}
    for _ in range(10_000):
        value = {"not": value}
    with pytest.raises(InvalidFilter, match="nested"):
        parse_filter(value)


def test_a_filter_asks_of_so_many_keys_only() -> None:
    most = {f"k{n}": 1 for n in range(16)}
    assert len(set(keys_of(parse_filter({"and": [most, {"not": {"k3": 2}}]})))) == 16
    with pytest.raises(InvalidFilter, match="17 different keys; at most 16"):
        parse_filter({"and": [most, {"not": {"other": 2}}]})


def test_keys() -> None:
    where = And((NORTH, Not(And((In("floor", (1,)), NORTH)))))
    assert set(keys_of(where)) == {"store", "floor"}


def test_values_are_compared_as_json_compares_them(gallery: Gallery) -> None:
    values = ["1", 1, 1.5, True, False, 0, None, "", [1], {"a": 1}]
    for number, value in enumerate(values):
        put(gallery, str(number), {"v": value})
    put(gallery, "none", {})
    expected = {"1": "0", 1: "1", 1.5: "2", 0: "5", None: "6", "": "7"}
    for value, product in expected.items():
        assert among(gallery, In("v", (value,))) == {product}
    assert among(gallery, In("v", (1.0,))) == {"1"}
    assert among(gallery, In("v", (True,))) == {"3"}
    assert among(gallery, In("v", (False, True))) == {"3", "4"}
    assert among(gallery, In("v", ())) == among(gallery, In("w", (1,))) == set()
    assert among(gallery, Not(In("v", tuple(expected)))) == {"3", "4", "8", "9", "none"}
    assert len(among(gallery, And(()))) == 11


def test_odd_keys_are_keys(gallery: Gallery) -> None:
    for number, key in enumerate(["", "a.b", '"', "$", "not", "ä b"]):
        put(gallery, str(number), {key: 1})
        assert among(gallery, In(key, (1,))) == {str(number)}


def test_filters_follow_the_products(gallery: Gallery) -> None:
    put(gallery, "p", {"store": "north"})
    put(gallery, "q", {"store": "south"})
    assert among(gallery, NORTH) == {"p"}
    gallery.put_product("q", "q", {"store": "north"})
    assert among(gallery, NORTH) == {"p", "q"}
    put(gallery, "r", {"store": "north"})
    assert among(gallery, And((NORTH, Not(In("floor", (1,)))))) == {"p", "q", "r"}
    gallery.put_product("p", "p", {"floor": 1, "store": "north"})
    gallery.delete_product("q")
    assert among(gallery, And((NORTH, Not(In("floor", (1,)))))) == {"r"}
    put(gallery, "q", {})
    assert among(gallery, NORTH) == {"p", "r"}
    gallery.rebuild()
    assert among(gallery, Not(NORTH)) == {"q"}


def test_only_so_many_columns_are_kept(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_MOST_COLUMNS", 3)
    put(gallery, "p", {str(number): number for number in range(10)})
    for _ in range(2):
        for number in range(10):
            assert among(gallery, In(str(number), (number,))) == {"p"}
            assert len(gallery._columns._columns) <= 4


def test_a_column_is_copied_only_when_there_are_more_products() -> None:
    column = columns.Column()
    column.grow(3)
    codes = column._codes
    column.grow(3)
    column.grow(2)
    assert column._codes is codes
    column.grow(5)
    assert len(column._codes) == 5


@pytest.mark.parametrize("share", [1, 7, 40, 90])
def test_it_is_exact_over_the_subset_whatever_its_share(gallery: Gallery, share: int) -> None:
    reference = Reference()
    names = [f"p{number:03d}" for number in range(100)]
    for number, name in enumerate(names):
        gallery.put_product(name, name, {"number": number})
        reference.put(name, name)
        images = [(name, n) for n in range(8)]
        gallery.add_images(name, [new_image(image) for image in images])
        for image in images:
            reference.add(name, image, vectors_of(image))
        if number == 60:
            gallery.rebuild()
    rng = np.random.default_rng(share)
    chosen = rng.choice(100, share, replace=False).tolist()
    where = In("number", tuple(chosen))
    queries = vectors_of("queries", 20)
    for query, candidates in zip(
        queries, gallery.search(queries, 5, where).candidates, strict=True
    ):
        expected = reference.search(query, 5, {names[number] for number in chosen})
        assert [c.product_id for c in candidates] == [entry[0] for entry in expected]
        scores = [entry[3] for entry in expected]
        assert [c.score for c in candidates] == pytest.approx(scores, abs=3e-6)
