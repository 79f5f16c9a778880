from starlette.testclient import TestClient

from app.service import Service
from tests.app import pictures


def enrol(service: Service, product: str, *seeds: int) -> list[str]:
    service.gallery.put_product(product, product, {})
    images = [service.enroller.prepare(pictures.jpeg(seed)) for seed in seeds]
    return [added.id for added in service.gallery.add_images(product, images)]


def look(client: TestClient) -> dict:
    while (answer := client.get("/gallery/audit")).status_code == 202:
        assert 0 <= answer.json()["done"] <= answer.json()["total"]
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_same_file_under_two_products_is_told_until_it_is_gone(
    client: TestClient, service: Service
) -> None:
    (first,) = enrol(service, "oat milk", 1)
    (second,) = enrol(service, "rye bread", 1)
    found = look(client)
    (duplicate,) = found["duplicates"]
    assert {duplicate["image_id"], duplicate["other_image_id"]} == {first, second}
    assert duplicate["how"] == ["exact", "perceptual", "embedding"]
    assert found["gallery_revision"] == service.gallery.stats().revision
    assert (found["products"], found["images"], found["recall_at_1"]) == (2, 2, None)
    assert [item["product_id"] for item in found["photograph_next"]] == ["oat milk", "rye bread"]

    service.gallery.delete_image(second)
    after = look(client)
    assert after["duplicates"] == []
    assert after["images"] == 1
    assert after["gallery_revision"] == service.gallery.stats().revision
