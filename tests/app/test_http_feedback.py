from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest
from PIL import Image
from starlette.testclient import TestClient

from app.enrolment.effect import Effect, predict
from app.feedback.feedback import Feedback
from app.feedback.negatives import Negatives
from app.feedback.photographs import Seen
from app.feedback.review import Review
from app.sample import SAMPLES
from app.service import Service
from gallery import StorageFailed
from tests.app import pictures
from tests.app.problems import assert_problem

# Products whose photographs are like each other and unlike those of the others.
CRISPS, COFFEE, RASPBERRY, ORANGE = (
    [path.read_bytes() for path in sorted((SAMPLES / "references" / name).glob("*.jpg"))]
    for name in (
        "jorima-herbs-crisps",
        "lumiva-coffee-coffee",
        "priradan-raspberry-lemonade",
        "rorista-orange-lemonade",
    )
)
HAND = RASPBERRY[0]


@pytest.fixture(autouse=True)
def undone(client: TestClient) -> Iterator[None]:
    """What is approved here is no other test's negative."""
    yield
    for item in client.get("/feedback?limit=1000").json()["items"]:
        if item["state"] != "waiting":
            assert client.post(f"/feedback/{item['id']}/undo").is_success


def enrol(client: TestClient, product: str, *photographs: bytes) -> None:
    assert client.put(f"/gallery/products/{product}", json={"name": product}).is_success
    files = [("images", photograph) for photograph in photographs]
    answer = client.post(f"/gallery/products/{product}/images", files=files)
    assert answer.is_success, answer.text


def recognise(client: TestClient, photograph: bytes, **query: object) -> dict:
    query = {"detect": False, **query}
    answer = client.post("/recognize", params=query, files={"image": photograph})
    assert answer.is_success, answer.text
    return answer.json()


def say(client: TestClient, answer: dict, product: str | None, **more: object) -> dict:
    body = {"request_id": answer["request_id"], "product_id": product, **more}
    said = client.post("/feedback", json=body)
    assert said.status_code == 201, said.text
    return said.json()


def outcome(client: TestClient, photograph: bytes) -> tuple[str, str | None]:
    result = recognise(client, photograph)["results"][0]
    return result["outcome"], (result["product"] or {}).get("id")


def test_a_missed_product_is_taught_by_its_photograph_and_forgotten_by_undo(
    client: TestClient,
) -> None:
    enrol(client, "crisps", CRISPS[0])
    enrol(client, "coffee", COFFEE[0])
    answer = recognise(client, CRISPS[1], threshold=0.97)
    assert answer["results"][0]["outcome"] == "unknown"
    item = say(client, answer, "crisps")
    assert (item["verdict"], item["state"], item["product_id"]) == ("missed", "waiting", "crisps")
    assert item["seen"]["box"] == answer["results"][0]["box"]
    assert item["id"] in [i["id"] for i in client.get("/feedback?state=waiting").json()["items"]]
    picture = client.get(f"/feedback/{item['id']}/image")
    assert picture.headers["content-type"] == "image/jpeg"

    approved = client.post(f"/feedback/{item['id']}/approve", json={}).json()
    assert (approved["state"], approved["kept_as"]) == ("approved", "reference")
    assert approved["effect"]["newly_missed"] == []
    # The picture was compressed once more.
    assert recognise(client, CRISPS[1], threshold=0.97)["results"][0]["outcome"] == "match"
    stored = client.get("/gallery/products/crisps").json()["images"]
    assert approved["image_id"] in [image["id"] for image in stored]
    again = client.post(f"/feedback/{item['id']}/approve", json={})
    assert_problem(again, 409, "feedback-decided")

    assert client.post(f"/feedback/{item['id']}/undo").json()["state"] == "waiting"
    assert recognise(client, CRISPS[1], threshold=0.97)["results"][0]["outcome"] == "unknown"
    assert client.get("/gallery/products/crisps").json()["image_count"] == 1
    assert_problem(client.post(f"/feedback/{item['id']}/undo"), 409, "feedback-decided")
    history = client.get(f"/feedback/{item['id']}").json()["history"]
    assert [entry["action"] for entry in history] == ["said", "approved", "undone"]
    assert history[1]["detail"]["product_id"] == "crisps"


def test_a_hand_is_never_taken_for_a_product_again(client: TestClient) -> None:
    enrol(client, "crisps", *CRISPS[:2])
    enrol(client, "coffee", *COFFEE[:2])
    seen = recognise(client, HAND, threshold=0)
    assert seen["results"][0]["outcome"] != "unknown"
    item = say(client, seen, None)
    assert item["verdict"] == "none"
    before = client.get("/gallery/audit").json()
    approved = client.post(f"/feedback/{item['id']}/approve").json()
    assert (approved["kept_as"], approved["product_id"]) == ("negative", None)
    for hand in RASPBERRY[:2]:
        result = recognise(client, hand, threshold=0)["results"][0]
        assert (result["outcome"], result["product"]) == ("unknown", None)
        assert (result["score"], result["candidates"]) == (None, [])
    assert outcome(client, CRISPS[2]) == ("match", "crisps")
    # Calibration and audit ask products only.
    assert client.get("/gallery/audit").json() == before
    client.post(f"/feedback/{item['id']}/undo")
    assert recognise(client, HAND, threshold=0)["results"][0]["candidates"]


def test_a_bare_table_is_no_reference_but_a_negative(client: TestClient) -> None:
    enrol(client, "crisps", CRISPS[0])
    table = pictures.encode(Image.new("RGB", (300, 200), "white"), "JPEG")
    item = say(client, recognise(client, table, threshold=0), "crisps")
    approve = f"/feedback/{item['id']}/approve"
    assert_problem(client.post(approve), 422, "plain-image")
    assert client.post(approve, json={"kind": "negative"}).json()["kept_as"] == "negative"


def test_a_negative_like_a_product_is_held_back(client: TestClient) -> None:
    enrol(client, "raspberry", *RASPBERRY[:2])
    enrol(client, "coffee", *COFFEE[:2])
    item = say(client, recognise(client, RASPBERRY[2]), None)
    held = client.post(f"/feedback/{item['id']}/approve", json={})
    assert_problem(held, 409, "lowers-recall")
    missed = held.json()["effect"]["newly_missed"]
    assert {(one["product_id"], one["other_product_id"]) for one in missed} == {("raspberry", None)}
    assert outcome(client, RASPBERRY[2]) == ("match", "raspberry")


def test_what_would_lower_recall_is_held_back_until_it_is_forced(client: TestClient) -> None:
    enrol(client, "crisps", *CRISPS[:2])
    enrol(client, "coffee", *COFFEE[:2])
    item = say(client, recognise(client, COFFEE[2]), "crisps")
    assert item["verdict"] == "wrong"
    held = client.post(f"/feedback/{item['id']}/approve", json={})
    assert_problem(held, 409, "lowers-recall")
    assert held.json()["effect"]["newly_missed"]
    assert client.get("/gallery/products/crisps").json()["image_count"] == 2
    forced = client.post(f"/feedback/{item['id']}/approve", json={"force": True})
    assert forced.is_success, forced.text
    assert client.get("/gallery/products/crisps").json()["image_count"] == 3
    history = client.get(f"/feedback/{item['id']}").json()["history"]
    assert [entry["action"] for entry in history] == ["said", "held back", "approved"]
    assert history[2]["detail"]["forced"] is True


def test_a_rejected_one_changes_nothing_and_waits_again_when_undone(client: TestClient) -> None:
    enrol(client, "crisps", CRISPS[0])
    revision = client.get("/gallery").json()["revision"]
    item = say(client, recognise(client, CRISPS[0]), "crisps")
    assert item["verdict"] == "right"
    counts = client.get("/feedback").json()["counts"]
    assert client.post(f"/feedback/{item['id']}/reject").json()["state"] == "rejected"
    now = client.get("/feedback").json()["counts"]
    assert (now["waiting"], now["rejected"]) == (counts["waiting"] - 1, counts["rejected"] + 1)
    assert_problem(client.post(f"/feedback/{item['id']}/reject"), 409, "feedback-decided")
    assert client.post(f"/feedback/{item['id']}/undo").json()["state"] == "waiting"
    assert client.get("/gallery").json()["revision"] == revision


def test_said_again_it_is_corrected_as_long_as_it_waits(client: TestClient) -> None:
    enrol(client, "crisps", CRISPS[0])
    answer = recognise(client, CRISPS[0])
    item = say(client, answer, "crisps")
    body = {"request_id": answer["request_id"], "product_id": None}
    again = client.post("/feedback", json=body)
    assert again.status_code == 200
    assert (again.json()["id"], again.json()["verdict"]) == (item["id"], "none")
    client.post(f"/feedback/{item['id']}/reject")
    assert_problem(client.post("/feedback", json=body), 409, "feedback-decided")


def test_of_two_photographs_with_one_id_the_newer_is_what_is_said(client: TestClient) -> None:
    enrol(client, "crisps", CRISPS[0])
    enrol(client, "coffee", COFFEE[0])
    bears = {"X-Request-ID": "till-7-receipt-12"}
    seen, items = [], []
    for photograph, product in ((CRISPS[1], "crisps"), (COFFEE[1], "coffee")):
        files = {"image": photograph}
        answer = client.post("/recognize?detect=false", files=files, headers=bears).json()
        said = {"request_id": answer["request_id"], "product_id": product}
        item = client.post("/feedback", json=said).json()
        seen.append(item["seen"]["product_id"])
        items.append(item["id"])
        pictures = client.get(f"/feedback/{item['id']}/image").content
        assert item["verdict"] == "right"
        assert outcome(client, pictures) == ("match", product)
    assert seen == ["crisps", "coffee"]
    # A till that counts from 1 every morning spoils none of yesterday's, decided or not.
    client.post(f"/feedback/{items[1]}/reject")
    photographs = [client.get(f"/feedback/{number}/image").content for number in items]
    assert [outcome(client, one)[1] for one in photographs] == ["crisps", "coffee"]
    answer = client.post("/recognize?detect=false", files={"image": CRISPS[2]}, headers=bears)
    third = say(client, answer.json(), "crisps")
    assert third["id"] not in items
    assert third["request_id"] == bears["X-Request-ID"]


def test_undone_it_is_again_what_was_said(client: TestClient) -> None:
    enrol(client, "crisps", CRISPS[0])
    enrol(client, "coffee", COFFEE[0])
    path = f"/feedback/{say(client, recognise(client, HAND), None)['id']}"
    mistaken = {"kind": "reference", "product_id": "crisps", "force": True}
    assert client.post(f"{path}/approve", json=mistaken).json()["product_id"] == "crisps"
    assert client.post(f"{path}/undo").json()["product_id"] is None
    assert client.post(f"{path}/approve", json={}).json()["kept_as"] == "negative"


def test_approved_twice_at_once_it_is_one_reference(client: TestClient) -> None:
    enrol(client, "crisps", CRISPS[0])
    item = say(client, recognise(client, CRISPS[1]), "crisps")
    path = f"/feedback/{item['id']}/approve"
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: client.post(path, json={}), range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert client.get("/gallery/products/crisps").json()["image_count"] == 2


def test_after_a_crash_between_gallery_and_queue_the_reference_is_still_its_own(
    client: TestClient, service: Service
) -> None:
    enrol(client, "crisps", CRISPS[0])
    item = say(client, recognise(client, CRISPS[1]), "crisps")
    approved = client.post(f"/feedback/{item['id']}/approve", json={}).json()
    service.feedback.wait_again(item["id"])  # as if it had not been written any more
    again = client.post(f"/feedback/{item['id']}/approve", json={}).json()
    assert again["image_id"] == approved["image_id"]
    client.post(f"/feedback/{item['id']}/undo")
    assert client.get("/gallery/products/crisps").json()["image_count"] == 1


def test_what_an_approval_that_was_cut_off_left_is_taken_out_by_the_next_decision(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StorageFailed("The disk is full.")

    def cut_off() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(service.feedback, "approve", refuse)
            assert_problem(client.post(f"{path}/approve", json={}), 503, "storage-failed")
        assert counts() == [2, 1]

    def counts() -> list[int]:
        products = ("crisps", "coffee")
        return [client.get(f"/gallery/products/{p}").json()["image_count"] for p in products]

    enrol(client, "crisps", CRISPS[0])
    enrol(client, "coffee", COFFEE[0])
    item = say(client, recognise(client, CRISPS[1]), "crisps")
    path = f"/feedback/{item['id']}"
    cut_off()
    assert client.post(f"{path}/reject").is_success
    assert counts() == [1, 1]
    client.post(f"{path}/undo")
    cut_off()
    other = {"product_id": "coffee", "force": True}
    assert client.post(f"{path}/approve", json=other).is_success
    assert counts() == [1, 2]
    client.post(f"{path}/undo")
    cut_off()
    assert client.post(f"{path}/approve", json={"kind": "negative", "force": True}).is_success
    assert counts() == [1, 1]


SEEN = Seen(
    x1=0,
    y1=0,
    x2=9,
    y2=9,
    box_source="detector",
    outcome="unknown",
    product_id=None,
    score=None,
)


def test_what_was_said_before_ids_could_be_used_again_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "feedback.sqlite3"
    with closing(Feedback(path)) as feedback:
        item, _ = feedback.say("request", 0, SEEN, "crisps", b"picture", "")
        feedback.note(item.id, "said", {"product_id": "crisps"})
        feedback.approve(item.id, "crisps", "a" * 32)
        # As it was made then.
        feedback._db.executescript(
            "ALTER TABLE items RENAME TO newer; DROP VIEW listed; DROP INDEX items_by_state;"
            "CREATE TABLE items (id INTEGER PRIMARY KEY AUTOINCREMENT, request_id TEXT NOT NULL,"
            " result INTEGER NOT NULL, created_at TEXT NOT NULL, seen TEXT NOT NULL,"
            " product_id TEXT, verdict TEXT NOT NULL, state TEXT NOT NULL, kept_as TEXT,"
            " image_id TEXT, decided_at TEXT, vectors BLOB, fingerprint TEXT, picture BLOB,"
            " UNIQUE (request_id, result)) STRICT;"
            "INSERT INTO items SELECT id, request_id, result, created_at, seen, product_id,"
            " verdict, state, kept_as, image_id, decided_at, vectors, fingerprint, picture"
            " FROM newer; DROP TABLE newer;"
            "CREATE VIEW listed AS SELECT id, request_id, result, created_at, seen, product_id,"
            " verdict, state, kept_as, image_id, decided_at, picture IS NOT NULL FROM items;"
            "CREATE INDEX items_by_state ON items (state, id);"
        )
    for _ in range(2):
        with closing(Feedback(path)) as feedback:
            kept = feedback.get(item.id)
            assert (kept.request_id, kept.image_id) == ("request", "a" * 32)
            assert (kept.seen, kept.undoable) == (SEEN, True)
            assert feedback.picture(item.id) == b"picture"
            assert [entry.action for entry in feedback.trail(item.id)] == ["said"]
            (trail,) = feedback._rows("SELECT sql FROM sqlite_master WHERE name = 'trail'")
            assert "REFERENCES items (id)" in trail[0]
    with closing(Feedback(path)) as feedback:
        again, new = feedback.say("request", 0, SEEN, "crisps", b"another", "0a")
        assert (again.id, new) == (item.id + 1, True)


def test_a_full_disk_is_told_as_one(tmp_path: Path) -> None:
    path = tmp_path / "feedback.sqlite3"
    with closing(Feedback(path)) as feedback:
        (pages,) = feedback._db.execute("PRAGMA page_count").fetchone()
        feedback._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StorageFailed, match="full"), feedback.change():
            feedback.say("request", 0, SEEN, None, bytes(100_000), "")
        assert feedback.counts()["waiting"] == 0


def test_negatives_outlast_a_restart_and_another_embedder(
    client: TestClient, service: Service
) -> None:
    enrol(client, "coffee", COFFEE[0])
    item = say(client, recognise(client, HAND), None)
    assert client.post(f"/feedback/{item['id']}/approve", json={}).is_success
    path = service.settings.data_dir / "feedback.sqlite3"
    whole = service.enroller.embed([service.enroller.decode(HAND)])[0]
    for fingerprint in (service.embedder.fingerprint, "another"):
        with closing(Feedback(path)) as feedback:
            negatives = Negatives()
            Review(
                feedback,
                service.photographs,
                service.gallery,
                service.enroller,
                negatives,
                fingerprint=fingerprint,
            )
            # The picture was compressed once more.
            assert negatives.best(whole).max() > 0.9
            assert feedback.negatives() == [(item["id"], fingerprint)]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"request_id": "none", "product_id": None}, 404, "unknown-recognition"),
        ({"result": 7, "product_id": None}, 404, "unknown-result"),
        ({"product_id": "no such"}, 404, "unknown-product"),
        ({"product_id": "a/b"}, 422, "invalid-request"),
        ({}, 422, "invalid-request"),
    ],
)
def test_feedback_on_what_is_not_there(
    client: TestClient, body: dict, status: int, code: str
) -> None:
    answer = recognise(client, CRISPS[0])
    body = {"request_id": answer["request_id"], **body}
    assert_problem(client.post("/feedback", json=body), status, code)


def test_decisions_on_what_is_not_there(client: TestClient) -> None:
    for call in ("approve", "reject", "undo"):
        answer = client.post(f"/feedback/999999/{call}", json={})
        assert_problem(answer, 404, "unknown-feedback")
    assert_problem(client.get("/feedback/999999"), 404, "unknown-feedback")
    assert_problem(client.get("/feedback/999999/image"), 404, "unknown-feedback")


def test_nothing_is_nobodys_reference(client: TestClient) -> None:
    enrol(client, "crisps", CRISPS[0])
    item = say(client, recognise(client, CRISPS[1]), None)
    path = f"/feedback/{item['id']}/approve"
    assert_problem(client.post(path, json={"kind": "reference"}), 422, "product-needed")
    named = {"kind": "reference", "product_id": "crisps"}
    assert client.post(path, json=named).json()["product_id"] == "crisps"


def test_the_queue_is_read_a_page_at_a_time(client: TestClient) -> None:
    enrol(client, "crisps", CRISPS[0])
    ids = [say(client, recognise(client, CRISPS[0]), "crisps")["id"] for _ in range(3)]
    first = client.get("/feedback?limit=2&verdict=right&state=waiting").json()["items"]
    assert [item["id"] for item in first] == [ids[2], ids[1]]
    rest = client.get(f"/feedback?limit=1&before={first[-1]['id']}").json()["items"]
    assert [item["id"] for item in rest] == [ids[0]]


def test_a_long_approval_holds_nobody_up_and_sees_what_is_said_meanwhile(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol(client, "crisps", CRISPS[0])
    enrol(client, "coffee", COFFEE[0])
    item = say(client, recognise(client, CRISPS[1]), "crisps")
    begun, goes_on = Event(), Event()

    def slow(*asked: object) -> Effect:
        begun.set()
        assert goes_on.wait(30)
        return predict(*asked)

    monkeypatch.setattr("app.feedback.review.predict", slow)
    with ThreadPoolExecutor(1) as pool:
        approval = pool.submit(client.post, f"/feedback/{item['id']}/approve", json={})
        assert begun.wait(30)
        other = say(client, recognise(client, COFFEE[1]), "coffee")
        assert client.post(f"/feedback/{other['id']}/reject").is_success
        corrected = {"request_id": item["request_id"], "product_id": "coffee"}
        assert client.post("/feedback", json=corrected).json()["product_id"] == "coffee"
        goes_on.set()
        problem = assert_problem(approval.result(), 409, "feedback-decided")
    assert "changed meanwhile" in problem["detail"]
    assert client.get("/gallery/products/crisps").json()["image_count"] == 1
    monkeypatch.undo()
    assert client.post(f"/feedback/{item['id']}/reject").is_success
