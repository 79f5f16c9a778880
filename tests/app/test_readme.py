"""The README's commands, as written, against a service on the sample gallery."""

import json
import re
from collections.abc import Iterator
from functools import partial

import pytest

from models.pack import PACKS, Pack
from tests.app.documents import json_documents, read, run
from tests.app.documents import shell_blocks as blocks_of
from tests.app.processes import RunningService, running_service

README = read("README.md")
shell_blocks = partial(blocks_of, "README.md")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("readme") / "data"
    with running_service(folder, sample_gallery=True) as service:
        yield service


def test_the_first_look_recognises_a_product(running: RunningService) -> None:
    first, *_ = shell_blocks("curl")
    (answer,) = json_documents(run(first, running))
    assert answer["results"][0]["outcome"] == "match"
    shown = json.loads(re.findall(r"```json\n(.*?)```", README, re.DOTALL)[0])
    assert shown["results"][0]["product"] == answer["results"][0]["product"]
    assert shown.keys() == answer.keys()


def test_teaching_a_product(running: RunningService) -> None:
    _, teach, *_ = shell_blocks("curl")
    created, added, recognised = json_documents(run(teach, running))
    assert created["id"] == "4006381333931"
    # A picture of what it is called, which no sample product looks like.
    assert added["images"][0]["warnings"] == []
    named = {result["product"]["id"]: result["score"] for result in recognised["results"]}
    assert named.keys() == {"4006381333931", "jorima-herbs-crisps"}
    assert named["4006381333931"] > 0.9


def test_feedback_is_given_on_an_answer_that_there_was(running: RunningService) -> None:
    (block,) = shell_blocks("/feedback")
    answer, said = json_documents(run(block, running))
    assert said["request_id"] == answer["request_id"]
    assert said["verdict"] == "right"


def test_the_thresholds_shown_are_those_of_the_pack() -> None:
    pack = Pack.load(PACKS / "embedded")
    shown = re.findall(r"^\| (\d+)(?: and more)? \| (0\.\d+) \|$", README, re.MULTILINE)
    assert len(shown) == 4
    for products, threshold in shown:
        among = pack.embedder.threshold.among(int(products), 3 * int(products))
        assert round(among, 3) == float(threshold)


def test_the_other_calls_answer(running: RunningService) -> None:
    detected, embedded, gallery = json_documents(run(shell_blocks("/detect")[0], running))
    assert detected["detections"]
    assert len(embedded["embeddings"]) == 2
    assert gallery["products"] == 12
    (problem,) = json_documents(run(shell_blocks("image=@README.md")[0], running))
    assert problem["code"] == "unsupported-image"


def test_the_command_line(running: RunningService) -> None:
    (block,) = shell_blocks("gallery stats")
    shown = run(block.replace("out.png", f"{running.log.parent}/out.png"), running)
    assert "match" in shown
    assert '"products": 12' in shown
    assert "embedded" in shown
