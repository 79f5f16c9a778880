import io
import tarfile

import pytest

import models.archive
from models.archive import extract_model
from models.errors import FetchError
from tests.models.archives import archive, archive_of, regular

WHOLE = {"top/inference.pdmodel": b"model", "top/inference.pdiparams": b"params"}


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.fixture
def unpack(tmp_path):
    """Extract an archive given as bytes; afterwards everything written must lie in the folder."""

    def unpack(content):
        path = tmp_path / "weights.tar"
        path.write_bytes(content)
        folder = tmp_path / "pack"
        folder.mkdir()
        try:
            return extract_model(path, folder, "detector"), folder
        finally:
            assert {p.name for p in tmp_path.iterdir()} == {"weights.tar", "pack"}

    return unpack


@pytest.mark.parametrize("top", ["some_infer/", "", "./some_infer/"])
@pytest.mark.parametrize("suffix", ["json", "pdmodel"])
def test_both_layouts_give_the_two_files_alone(unpack, top, suffix):
    (model, params), folder = unpack(
        archive(
            {
                f"{top}inference.pdiparams": b"params",
                f"{top}inference.{suffix}": b"model",
                f"{top}inference.pdiparams.info": b"more",
                f"{top}inference.yml": b"Global: {}",
                f"{top}README": b"words",
            }
        )
    )
    assert (model, params) == (f"detector.{suffix}", "detector.pdiparams")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        model: b"model",
        params: b"params",
    }


def test_of_two_formats_the_newer_is_taken(unpack):
    (model, _), folder = unpack(archive(WHOLE | {"top/inference.json": b"newer"}))
    assert model == "detector.json"
    assert (folder / model).read_bytes() == b"newer"


@pytest.mark.parametrize(
    "name",
    [
        "../outside.pdmodel",
        "top/../../outside",
        "/tmp/outside",
        "..",
        "..\\outside",
        "top\\..\\outside",
    ],
)
def test_a_path_out_of_the_folder_is_refused(unpack, name):
    members = [(regular(n, c), c) for n, c in WHOLE.items()]
    with pytest.raises(FetchError, match="outside its folder"):
        unpack(archive_of([*members, (regular(name, b"x"), b"x")]))


@pytest.mark.parametrize(
    "member",
    [
        special("top/link", tarfile.SYMTYPE, "/etc/passwd"),
        special("top/inference.pdmodel", tarfile.SYMTYPE, "inference.pdiparams"),
        special("top/hard", tarfile.LNKTYPE, "top/inference.pdiparams"),
        special("top/device", tarfile.CHRTYPE),
        special("top/pipe", tarfile.FIFOTYPE),
    ],
)
def test_links_and_devices_are_refused(unpack, member):
    members = [(regular(n, c), c) for n, c in WHOLE.items()]
    with pytest.raises(FetchError, match="link or a device"):
        unpack(archive_of([*members, (member, b"")]))


def test_too_many_members_are_refused(unpack):
    many = {f"top/{n}": b"" for n in range(100)}
    with pytest.raises(FetchError, match="larger than 64 files"):
        unpack(archive(WHOLE | many))


def test_too_large_members_are_refused(unpack, monkeypatch):
    monkeypatch.setattr(models.archive, "_MAX_BYTES", 1 << 20)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        content = bytes(2 << 20)  # a few KB compressed
        tar.addfile(regular("top/inference.pdiparams", content), io.BytesIO(content))
    with pytest.raises(FetchError, match="1 MB"):
        unpack(buffer.getvalue())


def test_a_name_twice_is_refused(unpack):
    with pytest.raises(FetchError, match=r"inference\.pdmodel twice"):
        unpack(archive(WHOLE | {"other/inference.pdmodel": b"which?"}))


@pytest.mark.parametrize("missing", ["top/inference.pdmodel", "top/inference.pdiparams"])
def test_an_archive_without_both_files_is_refused(unpack, missing):
    rest = {name: content for name, content in WHOLE.items() if name != missing}
    with pytest.raises(FetchError, match="holds no inference model"):
        unpack(archive(rest))


@pytest.mark.parametrize("length", [0, 100, 600, 1100])
def test_a_truncated_archive_is_refused(unpack, length):
    whole = archive({"top/inference.pdiparams": b"p" * 600, "top/inference.pdmodel": b"m" * 600})
    with pytest.raises(FetchError):
        unpack(whole[:length])


def test_something_else_is_refused(unpack):
    with pytest.raises(FetchError, match="cannot be unpacked"):
        unpack(b"<html>Log in to the hotel's network</html>" * 50)
