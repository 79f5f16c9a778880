import io
import math

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from app.service import Service
from tests.app import pictures
from tests.app.problems import assert_problem
from tests.models.test_local_features import label

CALLS = ["/detect", "/embed", "/recognize"]
STAGES = {
    "decode",
    "detect_preprocess",
    "detect",
    "embed_preprocess",
    "embed",
    "search",
    "rerank",
    "queue",
    "total",
}


def scene() -> bytes:
    """A striped block on an even ground: one clear body."""
    canvas = np.full((300, 400, 3), 205, np.uint8)
    canvas[80:240, 140:260] = (190, 30, 40)
    canvas[120:150, 140:260] = (250, 240, 90)
    canvas[190:200, 140:260] = (20, 40, 120)
    return pictures.encode(Image.fromarray(canvas), "JPEG", quality=92)


def test_detect_finds_the_body(client: TestClient) -> None:
    answer = client.post("/detect", files={"image": scene()}).json()
    assert answer["image"] == {"width": 400, "height": 300}
    box = answer["detections"][0]["box"]
    expected = {"x1": 140, "y1": 80, "x2": 260, "y2": 240}
    assert all(abs(box[side] - expected[side]) < 25 for side in expected), box
    assert answer["detections"][0]["label"] == "foreground"
    assert 0 < answer["detections"][0]["score"] <= 1
    assert set(answer["timing_ms"]) == STAGES
    assert answer["timing_ms"]["detect"] > 0
    assert client.post("/detect?min_score=1", files={"image": scene()}).json()["detections"] == []


def test_boxes_are_pixels_of_the_upright_image(client: TestClient) -> None:
    upright = Image.open(io.BytesIO(scene()))
    exif = Image.Exif()
    exif[pictures.EXIF_ORIENTATION] = 6
    lying = pictures.encode(
        upright.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=95
    )
    straight = client.post("/detect", files={"image": scene()}).json()
    turned = client.post("/detect", files={"image": lying}).json()
    assert turned["image"] == {"width": 400, "height": 300}
    for side, value in straight["detections"][0]["box"].items():
        assert abs(turned["detections"][0]["box"][side] - value) < 8


def test_embeddings_are_unit_vectors(client: TestClient) -> None:
    files = [("images", pictures.jpeg(seed)) for seed in (1, 2)]
    answer = client.post("/embed", files=files).json()
    assert answer["dimension"] == 512
    assert [item["image_index"] for item in answer["embeddings"]] == [0, 1]
    vectors = np.array([item["vector"] for item in answer["embeddings"]])
    assert vectors.shape == (2, 512)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert answer["embeddings"][0]["box"] == {"x1": 0, "y1": 0, "x2": 120, "y2": 90}
    alone = client.post("/embed", files={"image": pictures.jpeg(2)}).json()
    np.testing.assert_allclose(alone["embeddings"][0]["vector"], vectors[1], atol=1e-4)


def test_embed_can_detect_first(client: TestClient) -> None:
    found = client.post("/detect", files={"image": scene()}).json()["detections"]
    answer = client.post("/embed?detect=true", files={"image": scene()}).json()
    assert [item["box"] for item in answer["embeddings"]] == [item["box"] for item in found]


def test_recognize_without_a_gallery_is_unknown(client: TestClient) -> None:
    answer = client.post("/recognize", files={"image": scene()}).json()
    assert {item["outcome"] for item in answer["results"]} == {"unknown"}
    assert answer["results"][0]["product"] is None
    assert set(answer["timing_ms"]) == STAGES
    assert len(answer["request_id"]) == 32


def test_recognize_tells_where_and_how_sure(client: TestClient) -> None:
    client.put("/gallery/products/block", json={"name": "Block", "metadata": {"aisle": 7}})
    client.post("/gallery/products/block/images", files={"image": scene()})
    answer = client.post("/recognize?top_k=1", files={"image": scene()}).json()
    best = answer["results"][0]
    assert best["outcome"] == "match"
    assert best["product"] == {"id": "block", "name": "Block", "metadata": {"aisle": 7}}
    assert best["margin"] is None
    assert [found["metadata"] for found in best["candidates"]] == [{"aisle": 7}]
    assert answer["gallery_revision"] == client.get("/gallery").json()["revision"]
    strict = client.post("/recognize?threshold=1", files={"image": pictures.jpeg(3)}).json()
    assert {item["outcome"] for item in strict["results"]} == {"unknown"}


def test_a_large_photograph_read_reduced_has_the_answer_of_the_whole(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.put("/gallery/products/block", json={"name": "Block"})
    client.post("/gallery/products/block/images", files={"image": scene()})
    small = Image.open(io.BytesIO(scene()))
    lone = Image.new("RGB", (1600, 1200), (205, 205, 205))
    lone.paste(small.crop((120, 60, 280, 260)), (700, 500))
    assert service.reading_side is not None
    size = (service.reading_side * 8 // 3, service.reading_side * 2)
    # Of the first a half is enough; the body of the second needs the whole.
    sent = [
        pictures.encode(picture.resize(size, Image.Resampling.BICUBIC), "JPEG", quality=92)
        for picture in (small, lone)
    ]
    reduced = [client.post("/recognize", files={"image": data}).json() for data in sent]
    monkeypatch.setattr(service, "reading_side", None)
    whole = [client.post("/recognize", files={"image": data}).json() for data in sent]
    for one, other in zip(reduced, whole, strict=True):
        assert one["image"] == other["image"] == {"width": size[0], "height": size[1]}
        found, expected = one["results"][0], other["results"][0]
        assert found["box_source"] == "detector"
        assert found["product"] == expected["product"]
        assert found["score"] == pytest.approx(expected["score"], abs=0.03)
        for side, value in found["box"].items():
            assert abs(value - expected["box"][side]) < size[0] / 200


def test_a_raw_body_is_the_same_as_a_form(client: TestClient) -> None:
    headers = {"content-type": "image/jpeg"}
    raw = client.post("/detect", content=scene(), headers=headers).json()
    form = client.post("/detect", files={"image": scene()}).json()
    assert raw["detections"] == form["detections"]


@pytest.mark.parametrize("call", CALLS)
class TestBadInput:
    def test_empty_raw_body(self, client: TestClient, call: str) -> None:
        answer = client.post(call, content=b"", headers={"content-type": "image/jpeg"})
        assert_problem(answer, 400, "empty-image")

    def test_empty_file(self, client: TestClient, call: str) -> None:
        assert_problem(client.post(call, files={"image": b""}), 400, "empty-image")

    def test_no_body_at_all(self, client: TestClient, call: str) -> None:
        assert_problem(client.post(call), 415, "unsupported-body")

    def test_wrong_content_type(self, client: TestClient, call: str) -> None:
        problem = assert_problem(client.post(call, json={"image": "x"}), 415, "unsupported-body")
        assert "multipart/form-data" in problem["detail"]

    def test_form_without_file(self, client: TestClient, call: str) -> None:
        answer = client.post(call, files={"photo": pictures.jpeg(1)})
        assert_problem(answer, 422, "unexpected-field")
        form = {"content-type": "multipart/form-data; boundary=x"}
        assert_problem(client.post(call, content=b"--x--\r\n", headers=form), 422, "missing-image")

    def test_broken_form(self, client: TestClient, call: str) -> None:
        for content_type in ("multipart/form-data", "multipart/form-data; boundary=x"):
            headers = {"content-type": content_type}
            answer = client.post(call, content=b"--y\r\nnonsense", headers=headers)
            assert_problem(answer, (400, 422))

    def test_not_an_image(self, client: TestClient, call: str) -> None:
        assert_problem(client.post(call, files={"image": b"GIF?"}), 415, "unsupported-image")

    def test_truncated(self, client: TestClient, call: str) -> None:
        data = pictures.jpeg(1)
        answer = client.post(call, files={"image": data[: len(data) // 2]})
        assert_problem(answer, 422, "damaged-image")

    def test_too_many_bytes(self, client: TestClient, call: str) -> None:
        answer = client.post(call, files={"image": bytes(2_000_001)})
        assert_problem(answer, 413, "image-too-large")
        raw = {"content-type": "image/jpeg"}
        for body in (bytes(4_000_000), iter([bytes(1_500_000)] * 2)):
            answer = client.post(call, content=body, headers=raw)
            problem = assert_problem(answer, 413, "image-too-large")
            # How many have come by then is not how many there are.
            assert "more than 2,000,000 bytes" in problem["detail"]

    def test_too_large_a_request(self, client: TestClient, call: str) -> None:
        answer = client.post(call, files={"image": bytes(5_000_000)})
        assert_problem(answer, 413, "request-too-large")

    def test_too_large_a_request_without_declared_length(
        self, client: TestClient, call: str
    ) -> None:
        headers = {"content-type": "multipart/form-data; boundary=x"}
        start = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        chunks = [start, *[bytes(1_000_000)] * 6]
        answer = client.post(call, content=iter(chunks), headers=headers)
        assert_problem(answer, 413, "request-too-large")

    def test_bomb(self, client: TestClient, call: str) -> None:
        answer = client.post(call, files={"image": pictures.png_header_only(60_000, 60_000)})
        assert_problem(answer, 413, "image-too-large")

    @pytest.mark.parametrize("size", [(1, 1), (1, 20_000)])
    def test_too_small(self, client: TestClient, call: str, size: tuple[int, int]) -> None:
        data = pictures.encode(Image.new("RGB", size))
        assert_problem(client.post(call, files={"image": data}), 422, "image-too-small")

    def test_a_long_thin_image_is_fine(self, client: TestClient, call: str) -> None:
        data = pictures.encode(Image.new("RGB", (16, 20_000)))
        assert client.post(call, files={"image": data}).status_code == 200

    @pytest.mark.parametrize("mode", ["CMYK", "L", "RGBA", "LA", "P", "1", "I;16"])
    def test_every_mode_is_answered(self, client: TestClient, call: str, mode: str) -> None:
        picture = Image.fromarray(pictures.noise(3))
        if mode == "I;16":
            picture = Image.fromarray(np.arange(6400, dtype=np.uint16).reshape(80, 80) * 10)
        else:
            picture = picture.convert(mode)
        data = pictures.encode(picture, "JPEG" if mode == "CMYK" else "PNG")
        assert client.post(call, files={"image": data}).status_code == 200

    def test_wrong_method_and_path(self, client: TestClient, call: str) -> None:
        assert_problem(client.get(call), 405, "method-not-allowed")
        assert_problem(client.post(call + "/x"), 404, "not-found")


@pytest.mark.parametrize("call", ["/detect", "/recognize"])
def test_one_image_means_one(client: TestClient, call: str) -> None:
    files = [("image", pictures.jpeg(1)), ("image", pictures.jpeg(2))]
    assert_problem(client.post(call, files=files), 422, "too-many-images")


def test_too_many_files(client: TestClient) -> None:
    files = [("images", pictures.jpeg(seed)) for seed in range(6)]
    assert_problem(client.post("/embed", files=files), 400, "malformed-request")


@pytest.mark.parametrize(
    "query",
    [
        "threshold=nan",
        "threshold=inf",
        "threshold=2",
        "threshold=",
        "top_k=0",
        "top_k=1000",
        "top_k=NaN",
        "detect=perhaps",
    ],
)
def test_bad_parameters_of_recognize(client: TestClient, query: str) -> None:
    answer = client.post(f"/recognize?{query}", files={"image": scene()})
    problem = assert_problem(answer, 422, "invalid-request")
    assert problem["errors"][0]["where"].startswith("query.")


def test_only_products_with_certain_metadata(client: TestClient) -> None:
    for store, seed in (("north", 1), ("south", 2)):
        path = f"/gallery/products/{store}"
        client.put(path, json={"name": store, "metadata": {"store": store}})
        client.post(f"{path}/images", files={"image": pictures.jpeg(seed)})

    def best(where: str) -> str:
        query = {"where": where, "detect": "false"}
        answer = client.post("/recognize", params=query, files={"image": pictures.jpeg(1)})
        candidates = answer.json()["results"][0]["candidates"]
        return candidates[0]["product_id"] if candidates else ""

    assert best('{"store": "north"}') == "north"
    assert best('{"store": "south"}') == "south"
    assert best('{"not": {"store": {"in": ["north"]}}}') == "south"
    assert best('{"store": "east"}') == ""


@pytest.mark.parametrize("where", ["north", "", "[1]", '{"store": [1]}', "{" * 3000, "[" * 4000])
def test_what_is_not_a_filter_is_refused(client: TestClient, where: str) -> None:
    answer = client.post("/recognize", params={"where": where}, files={"image": scene()})
    assert_problem(answer, 422, "invalid-filter")


@pytest.mark.parametrize("query", ["min_score=nan", "min_score=-1", "max_results=0"])
def test_bad_parameters_of_detect(client: TestClient, query: str) -> None:
    answer = client.post(f"/detect?{query}", files={"image": scene()})
    assert_problem(answer, 422, "invalid-request")


def test_times_are_finite_and_add_up(client: TestClient) -> None:
    timing = client.post("/recognize", files={"image": scene()}).json()["timing_ms"]
    assert all(math.isfinite(value) and value >= 0 for value in timing.values())
    stages = sum(value for stage, value in timing.items() if stage != "total")
    assert stages <= timing["total"] * 1.05


def test_look_alikes_are_a_picklist(client: TestClient, service: Service) -> None:
    """The same can in two sizes, each photographed so that it fills the picture; and another."""
    can = Image.fromarray(pictures.noise(1))

    def photograph(zoom: float, seed: int) -> bytes:
        width, height = round(120 * zoom), round(90 * zoom)
        left, top = (width - 120) // 2 + seed, (height - 90) // 2
        return pictures.encode(can.resize((width, height)).crop((left, top, left + 120, top + 90)))

    for name, pictures_of in {
        "330 ml": [photograph(1.02, 0), photograph(1.05, 1)],
        "500 ml": [photograph(1.03, 0), photograph(1.06, 1)],
        "other": [pictures.encode(pictures.quarters())],
    }.items():
        service.gallery.put_product(name, name, {})
        references = [service.enroller.prepare(data) for data in pictures_of]
        service.gallery.add_images(name, references)
    for zoom in (1.0, 1.025, 1.055, 1.08):
        answer = client.post("/recognize?detect=false", files={"image": photograph(zoom, 0)})
        result = answer.json()["results"][0]
        assert result["outcome"] == "ambiguous"
        offered = [candidate["product_id"] for candidate in result["candidates"]]
        assert (set(offered[:2]), offered[2]) == ({"330 ml", "500 ml"}, "other")
        assert result["margin"] < service.pack.embedder.ambiguous_margin
        assert result["candidates"][2]["score"] < result["score"] - 0.1


def labels(*seeds: int) -> bytes:
    """Printed packages on an even ground."""
    canvas = np.full((620, 480 * len(seeds), 3), 150, np.uint8)
    for place, seed in enumerate(seeds):
        left = 480 * place + 90
        canvas[110:510, left : left + 300] = label(seed)[..., None]
    return pictures.encode(Image.fromarray(canvas), "JPEG", quality=92)


def test_what_is_printed_tells_products_apart(client: TestClient) -> None:
    for seed in range(4):
        client.put(f"/gallery/products/{seed}", json={"name": str(seed), "metadata": {"n": seed}})
        added = client.post(f"/gallery/products/{seed}/images", files={"images": labels(seed)})
        assert added.status_code == 201
    ask = "/recognize?threshold=-1"
    for seed in range(4):
        found = client.post(ask, files={"image": labels(seed)}).json()["results"][0]
        assert found["product"]["id"] == str(seed)
        assert found["candidates"][0]["metadata"] == {"n": seed}
    # Two labels that vectors hardly tell apart, in a picture of its own.
    answer = client.post(ask, files={"image": labels(2, 1)}).json()
    looked = [one for result in answer["results"] for one in result["candidates"] if one["inliers"]]
    assert {result["product"]["id"] for result in answer["results"]} == {"1", "2"}
    assert answer["timing_ms"]["rerank"] > 0
    assert looked


def test_a_tray_of_many_is_asked_for_all_of_them(client: TestClient) -> None:
    tray = labels(*range(7))
    few = client.post("/recognize", files={"image": tray}).json()
    many = client.post("/recognize?max_results=20", files={"image": tray}).json()
    assert len(few["results"]) <= 5 < len(many["results"])
    assert (few["may_show_more"], many["may_show_more"]) == (True, False)
    whole = client.post("/recognize?detect=false&max_results=1", files={"image": tray}).json()
    assert whole["may_show_more"] is False
    assert_problem(client.post("/recognize?max_results=21", files={"image": tray}), 422)
