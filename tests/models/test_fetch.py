import fcntl

import numpy as np
import pytest

import models.download
import models.fetch
from models.embedder import Embedder
from models.errors import FetchError
from models.fetch import fetch_pack
from models.pack import Pack, sha256_of
from tests.models.archives import LEGACY_LAYOUT, NEWER, archive, published, serving
from tests.models.tiny_packs import LEGACY, write_pack


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(models.download, "_RETRY_DELAYS", (0.0, 0.0))
    with serving() as server:
        yield server


def installed(destination):
    return sorted(path.name for path in destination.iterdir() if path.name != ".downloads")


@pytest.mark.parametrize("layout", ["newer", "legacy"])
def test_both_published_layouts_install(server, tmp_path, exported, layout):
    is_newer = layout == "newer"
    server.files = published(exported, NEWER) if is_newer else published(LEGACY, LEGACY_LAYOUT)
    steps = []
    pack = fetch_pack(
        "pp-shituv2", tmp_path / "packs", source=server.url, progress=lambda *s: steps.append(s)
    )
    assert pack == Pack.load(tmp_path / "packs" / "pp-shituv2")
    assert pack.detector.model == ("detector.json" if is_newer else "detector.pdmodel")
    assert pack.detector.input_size == (640, 640)
    assert pack.detector.interpolation == "cubic"
    assert pack.detector.score_threshold == 0.2
    assert pack.embedder.input_size == (224, 224)
    assert pack.embedder.dimension == 512
    assert pack.embedder.sha256["embedder.pdiparams"] == sha256_of(
        (exported if is_newer else LEGACY) / "embedder.pdiparams"
    )
    assert pack.embedder.licence.startswith("Apache-2.0")
    assert f"{server.url}/" in pack.embedder.origin
    assert {name for name, _, _ in steps} == {path.split("/")[-1] for path in server.files}
    assert [path.name for path in (tmp_path / "packs").iterdir()] == ["pp-shituv2"]
    embedder = Embedder(pack, threads=1)
    vectors, _ = embedder.embed([np.full((9, 9, 3), 7, np.uint8)])
    embedder.close()
    assert vectors.shape == (1, 512)


def test_the_official_addresses_are_tried_newer_first(server, tmp_path, exported, monkeypatch):
    archives = {
        role: ((f"{server.url}/newer/", NEWER[role]), (f"{server.url}/old/", LEGACY_LAYOUT[role]))
        for role in NEWER
    }
    assert {role: len(places) for role, places in models.fetch._ARCHIVES.items()} == {
        role: len(places) for role, places in archives.items()
    }
    monkeypatch.setattr(models.fetch, "_ARCHIVES", archives)
    legacy = published(LEGACY, LEGACY_LAYOUT)
    server.files = {f"old/{path}": content for path, content in legacy.items()}
    fetch_pack("pp-shituv2", tmp_path)
    assert [path for path, _ in server.requests] == [
        f"newer/{NEWER['detector']}",
        f"old/{LEGACY_LAYOUT['detector']}",
        f"newer/{NEWER['embedder']}",
        f"old/{LEGACY_LAYOUT['embedder']}",
    ]


@pytest.mark.parametrize("layout", [NEWER, LEGACY_LAYOUT])
def test_a_folder_with_the_archives_serves_without_internet(tmp_path, layout):
    folder = tmp_path / "carried here"
    folder.mkdir()
    for path, content in published(LEGACY, layout).items():
        (folder / path.split("/")[-1]).write_bytes(content)
    pack = fetch_pack("pp-shituv2", tmp_path / "packs", source=str(folder))
    assert pack.detector.model == "detector.pdmodel"
    assert len(list(folder.iterdir())) == 2


def test_files_side_by_side_behind_an_address_are_found(server, tmp_path):
    for path, content in published(LEGACY, LEGACY_LAYOUT).items():
        server.files[path.split("/")[-1]] = content
    assert fetch_pack("pp-shituv2", tmp_path, source=server.url + "/").name == "pp-shituv2"


def test_without_internet_the_message_says_what_to_do(tmp_path, monkeypatch):
    nowhere = {role: ((f"http://127.0.0.1:9/{role}/", NEWER[role]),) for role in NEWER}
    monkeypatch.setattr(models.fetch, "_ARCHIVES", nowhere)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(FetchError) as raised:
        fetch_pack("pp-shituv2", tmp_path)
    message = str(raised.value)
    assert "http://127.0.0.1:9/detector/PP-ShiTuV2_det_infer.tar" in message
    assert "http://127.0.0.1:9/embedder/PP-ShiTuV2_rec_infer.tar" in message
    assert "tillsight models fetch pp-shituv2 --from FOLDER_OR_URL" in message


def test_the_official_addresses_are_the_published_ones():
    newer = "https://paddle-model-ecology.bj.bcebos.com/paddlex/official_inference_model/"
    legacy = "https://paddle-imagenet-models-name.bj.bcebos.com/dygraph/rec/models/inference/"
    for role, addresses in {role: models.fetch._addresses(role, None) for role in NEWER}.items():
        assert addresses == [
            f"{newer}paddle3.0.0/{NEWER[role]}",
            f"{legacy}{LEGACY_LAYOUT[role]}",
        ]


def test_a_fetch_that_broke_off_goes_on_with_what_is_there(server, tmp_path):
    server.files = published(LEGACY, NEWER)
    rest = NEWER["embedder"]
    server.faults[rest] = ["cut", 503, 503]
    with pytest.raises(FetchError, match="keeps breaking off"):
        fetch_pack("pp-shituv2", tmp_path, source=server.url)
    assert installed(tmp_path) == []
    server.requests.clear()
    fetch_pack("pp-shituv2", tmp_path, source=server.url)
    assert server.requests == [(rest, f"bytes={len(server.files[rest]) // 2}-")]


def bad_archives(exported):
    params = (LEGACY / "embedder.pdiparams").read_bytes()
    swapped = {"detector": NEWER["embedder"], "embedder": NEWER["detector"]}
    short = {
        "x/inference.json": (exported / "short_embedder.json").read_bytes(),
        "x/inference.pdiparams": (exported / "short_embedder.pdiparams").read_bytes(),
    }
    noise = {"x/inference.pdmodel": bytes(range(7, 200)) * 20, "x/inference.pdiparams": params}
    whole = published(LEGACY, NEWER)
    return {
        "networks in each other's place": published(LEGACY, swapped),
        "another dimension": {NEWER["embedder"]: archive(short)},
        "no network at all": {NEWER["embedder"]: archive(noise)},
        "a login page": {NEWER["embedder"]: b"<html></html>"},
        "a path outside": {NEWER["embedder"]: archive({"../../inference.json": b"{}"})},
        "half": {path: content[: len(content) // 2] for path, content in whole.items()},
    }


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("networks in each other's place", "do not work: detector: "),
        ("another dimension", r"do not work: embedder: .*\[1, 64\]"),
        ("no network at all", "do not work: "),
        ("a login page", "cannot be unpacked"),
        ("a path outside", "outside its folder"),
        ("half", "cannot be unpacked"),
    ],
)
def test_bad_archives_change_nothing_and_are_thrown_away(server, tmp_path, exported, fault, said):
    write_pack(tmp_path / "pp-shituv2", exported)
    before = Pack.load(tmp_path / "pp-shituv2")
    server.files = published(LEGACY, NEWER) | bad_archives(exported)[fault]
    with pytest.raises(FetchError, match=said):
        fetch_pack("pp-shituv2", tmp_path, source=server.url)
    assert [path.name for path in tmp_path.iterdir()] == ["pp-shituv2"]
    assert Pack.load(tmp_path / "pp-shituv2") == before


def test_an_older_pack_is_replaced(tmp_path, exported):
    write_pack(tmp_path / "pp-shituv2", exported)
    (tmp_path / "pp-shituv2" / "stray").touch()
    folder = tmp_path / "archives"
    folder.mkdir()
    for path, content in published(LEGACY, NEWER).items():
        (folder / path).write_bytes(content)
    fetch_pack("pp-shituv2", tmp_path, source=str(folder))
    assert {path.name for path in (tmp_path / "pp-shituv2").iterdir()} == {
        "pack.toml",
        "detector.pdmodel",
        "detector.pdiparams",
        "embedder.pdmodel",
        "embedder.pdiparams",
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archives", "pp-shituv2"]


def test_an_unknown_pack_is_refused(tmp_path):
    with pytest.raises(FetchError, match="no official pack 'other'; there is pp-shituv2"):
        fetch_pack("other", tmp_path)


def test_an_empty_folder_is_no_source(tmp_path):
    with pytest.raises(FetchError, match="holds none of the detector's archives"):
        fetch_pack("pp-shituv2", tmp_path / "packs", source=str(tmp_path))


def test_two_fetches_at_once_do_not_meet(tmp_path):
    (tmp_path / ".downloads").mkdir()
    with (tmp_path / ".downloads" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(FetchError, match="already being fetched"):
            fetch_pack("pp-shituv2", tmp_path, source=str(tmp_path))


def test_a_destination_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "packs").write_text("a file where the folder should be")
    with pytest.raises(FetchError, match="cannot be written to"):
        fetch_pack("pp-shituv2", tmp_path / "packs", source=str(tmp_path))
