import pytest

from models.errors import PackError
from models.pack import PACK_FILE, Pack, find_pack, list_packs
from tests.models.tiny_packs import write_pack


def edit(folder, old, new):
    path = folder / PACK_FILE
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_pack_is_read_back_as_it_was_written(pack_folder):
    pack = Pack.load(pack_folder)
    assert pack.name == "tiny"
    assert pack.version == "1.0.0"
    assert pack.detector.input_size == (640, 640)
    assert pack.embedder.match_threshold == 0.5
    assert Pack.write(pack_folder, pack.manifest) == pack


def test_free_text_survives_quotes_newlines_and_other_scripts(pack_folder):
    pack = Pack.load(pack_folder)
    odd = 'a "quoted" \\ back\nslash, 汉字, \u0007'
    manifest = pack.manifest.model_copy(update={"description": odd})
    assert Pack.write(pack_folder, manifest).manifest.description == odd


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[detector]", "[detector]\ncolour = 1", "detector.colour: Extra inputs"),
        ('name = "tiny"', 'name = "tiny"\nnote = ""', "note: Extra inputs"),
        ('version = "1.0.0"\n', "", "version: Field required"),
        ('interpolation = "cubic"', 'interpolation = "round"', "detector.interpolation"),
        ("score_threshold = 0.6", "score_threshold = nan", "detector.score_threshold"),
        ("score_threshold = 0.6", "score_threshold = 60", "detector.score_threshold"),
        ("score_threshold = 0.6", 'score_threshold = "0.6"', "detector.score_threshold"),
        ("score_threshold = 0.6", "score_threshold = true", "detector.score_threshold"),
        ("max_results = 5", "max_results = 5.0", "detector.max_results"),
        ("input_size = [640, 640]", 'input_size = [640, "640"]', "detector.input_size.1"),
        ("input_size = [640, 640]", "input_size = [640]", "detector.input_size"),
        ("std = [0.25, 0.25, 0.25]", "std = [0.25, 0.0, 0.25]", "std"),
        ('"detector.json"', '"../detector.json"', "plain file name"),
        ('"detector.json"', '"detector\\u0000.json"', "plain file name"),
        ('model = "detector.json"', 'model = "other.json"', "sha256 must name exactly"),
        ('name = "tiny"', 'name = "../tiny"', "name: String should match"),
        ('name = "tiny"', "name = tiny", "not valid TOML"),
        ('name = "tiny"', f"name = {'[' * 5000}", "not valid TOML"),
    ],
)
def test_a_wrong_manifest_is_refused_by_name(pack_folder, old, new, said):
    edit(pack_folder, old, new)
    with pytest.raises(PackError, match=said.replace(".", r"\.")):
        Pack.load(pack_folder)


def test_whole_numbers_are_numbers(pack_folder):
    edit(pack_folder, "score_threshold = 0.6", "score_threshold = 1")
    assert Pack.load(pack_folder).detector.score_threshold == 1.0


@pytest.mark.parametrize("name", ["detector.json", "embedder.pdiparams"])
def test_a_missing_file_is_refused(pack_folder, name):
    (pack_folder / name).unlink()
    with pytest.raises(PackError, match=rf"{name}.*No such file.*install the pack again"):
        Pack.load(pack_folder)


@pytest.mark.parametrize("name", ["detector.pdiparams", "embedder.json"])
def test_a_changed_byte_is_refused(pack_folder, name):
    content = bytearray((pack_folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (pack_folder / name).write_bytes(content)
    with pytest.raises(PackError, match=rf"{name} is not the file.*damaged"):
        Pack.load(pack_folder)


def test_params_cut_short_are_refused(pack_folder):
    # Paddle itself loads these without a word and answers with what lies in memory.
    params = pack_folder / "embedder.pdiparams"
    params.write_bytes(params.read_bytes()[:20_000])
    with pytest.raises(PackError, match="damaged"):
        Pack.load(pack_folder)


def test_a_folder_without_manifest_is_no_pack(tmp_path):
    with pytest.raises(PackError, match="is this a pack"):
        Pack.load(tmp_path)


def test_the_fingerprint_follows_what_changes_vectors(tmp_path, exported):
    def fingerprint(name, **changes):
        return Pack.load(write_pack(tmp_path / name, exported, **changes)).embedder.fingerprint

    plain = fingerprint("plain")
    assert len(plain) == 16
    assert int(plain, 16) >= 0
    same = [
        fingerprint("renamed"),
        fingerprint("thresholds", embedder_fields={"match_threshold": 0.9}),
        fingerprint("detector", detector="detector_im_shape"),
    ]
    assert set(same) == {plain}
    other = [
        fingerprint("weights", embedder="short_embedder", embedder_fields={"dimension": 64}),
        fingerprint("size", embedder_fields={"input_size": [192, 224]}),
        fingerprint("interpolation", embedder_fields={"interpolation": "area"}),
        fingerprint("scale", embedder_fields={"scale": 1 / 128}),
        fingerprint("mean", embedder_fields={"mean": [0.5, 0.5, 0.4]}),
        fingerprint("std", embedder_fields={"std": [0.2, 0.25, 0.25]}),
    ]
    assert len({plain, *other}) == 7


def test_packs_are_found_in_the_first_folder_that_has_them(tmp_path, exported):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        folder.mkdir()
    write_pack(ours / "one", exported)
    write_pack(theirs / "one", exported)
    write_pack(theirs / "two", exported)
    write_pack(theirs / "half", exported).rename(theirs / ".half")
    search = [ours, tmp_path / "missing", theirs]
    assert list_packs(search) == [ours / "one", theirs / "two"]
    assert find_pack("one", search).folder == ours / "one"
    assert find_pack("two", search).folder == theirs / "two"


def test_an_unknown_pack_names_those_there_are(tmp_path, pack_folder):
    with pytest.raises(PackError, match="no pack 'other'; installed: tiny"):
        find_pack("other", [tmp_path])
    with pytest.raises(PackError, match="installed: none"):
        find_pack("../tiny", [tmp_path / "missing"])
