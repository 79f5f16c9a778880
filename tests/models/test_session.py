import subprocess
import sys

import numpy as np
import pytest

import models.openvino_engine
import models.processor
import models.session
from models.errors import ModelError, PackError
from models.processor import available_cores, has_bf16
from models.session import Session
from tests.models.tiny_packs import LEGACY, model_files

PIXELS = np.random.default_rng(1).normal(size=(2, 3, 640, 640)).astype(np.float32)
FEEDS = {
    "image": PIXELS[:1],
    "scale_factor": np.array([[2.0, 0.5]], np.float32),
    "im_shape": np.array([[640.0, 640.0]], np.float32),
    "x": PIXELS[:, :, :224, :224],
}

ENGINES = pytest.mark.parametrize("engine", ["paddle-fp32", "openvino-fp32"])


def run(session):
    return session.run({name: FEEDS[name] for name in session.inputs})


def best_first(rows):
    """Engines give boxes of equal scores, and those of several classes, in orders of their own."""
    return rows[np.lexsort(rows.T)] if rows.ndim == 2 else rows


@pytest.mark.parametrize("stem", ["detector", "detector_im_shape", "embedder"])
@pytest.mark.parametrize("folder", ["exported", LEGACY], ids=["new", "legacy"])
def test_both_engines_agree(exported, stem, folder):
    files = model_files(exported if folder == "exported" else folder, stem)
    paddle, openvino = (Session(*files, 2, f"{name}-fp32") for name in ("paddle", "openvino"))
    assert set(openvino.inputs) == set(paddle.inputs)
    for ours, theirs in zip(run(openvino), run(paddle), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(best_first(ours), best_first(theirs), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("stem", ["detector", "detector_im_shape", "embedder"])
def test_both_formats_load_and_agree(exported, stem):
    legacy = Session(*model_files(LEGACY, stem), threads=2)
    new = Session(*model_files(exported, stem), threads=2)
    assert legacy.inputs == new.inputs
    for old, fresh in zip(run(legacy), run(new), strict=True):
        assert old.dtype == fresh.dtype
        np.testing.assert_allclose(old, fresh, rtol=1e-5, atol=1e-5)


@ENGINES
def test_batches_of_changing_size_give_what_single_runs_give(exported, engine):
    session = Session(*model_files(exported, "embedder"), threads=2, engine=engine)
    pixels = np.random.default_rng(2).normal(size=(8, 3, 224, 224)).astype(np.float32)
    alone = np.concatenate([session.run({"x": one[None]})[0] for one in pixels])
    for size in (8, 1, 3, 5, 2, 8, 3):
        together = session.run({"x": pixels[:size]})[0]
        np.testing.assert_allclose(together, alone[:size], rtol=1e-5, atol=1e-5)


@ENGINES
def test_outputs_are_copies(exported, engine):
    session = Session(*model_files(exported, "embedder"), threads=1, engine=engine)
    first = session.run({"x": np.zeros((1, 3, 224, 224), np.float32)})[0]
    kept = first.copy()
    session.run({"x": np.ones((1, 3, 224, 224), np.float32)})
    np.testing.assert_array_equal(first, kept)


@ENGINES
@pytest.mark.parametrize("content", [b"", b"{}", b'{"base_code": {"mag'])
def test_a_damaged_model_is_a_pack_error(exported, engine, tmp_path, content):
    model = tmp_path / "embedder.json"
    model.write_bytes(content)
    with pytest.raises(PackError, match=r"embedder\.json.*damaged"):
        Session(model, exported / "embedder.pdiparams", threads=1, engine=engine)


@ENGINES
def test_params_of_another_kind_are_a_pack_error(exported, engine, tmp_path):
    params = tmp_path / "noise.pdiparams"
    params.write_bytes(np.random.default_rng(3).bytes(4000))
    with pytest.raises(PackError, match=r"noise\.pdiparams"):
        Session(exported / "embedder.json", params, threads=1, engine=engine)


@ENGINES
def test_an_unknown_input_is_named_in_the_error(exported, engine):
    session = Session(*model_files(exported, "embedder"), threads=1, engine=engine)
    with pytest.raises(ModelError, match="takes x; given image"):
        session.run({"image": PIXELS})


@ENGINES
def test_a_wrong_shape_fails_and_the_session_goes_on(exported, engine):
    session = Session(*model_files(exported, "embedder"), threads=1, engine=engine)
    with pytest.raises(ModelError, match="failed"):
        session.run({"x": np.zeros((1, 5, 224, 224), np.float32)})
    assert session.run({"x": FEEDS["x"]})[0].shape == (2, 512)


def test_where_an_engine_has_no_words_memory_may_be_short(exported, monkeypatch):
    session = Session(*model_files(exported, "embedder"), threads=1)

    def run(feeds):
        raise RuntimeError("std::exception")

    monkeypatch.setattr(session._network, "run", run)
    with pytest.raises(ModelError, match=r"failed: std::exception.*memory"):
        session.run({"x": FEEDS["x"]})


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", 8), ("250000 100000", 2), ("50000 100000", 1), ("?", 8)]
)
def test_cores_respect_the_container_quota(monkeypatch, tmp_path, quota, cores):
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    monkeypatch.setattr(models.processor, "_CPU_QUOTA", file)
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(8)))
    assert available_cores() == cores


def test_bf16_needs_a_processor_that_has_it(exported, monkeypatch, tmp_path):
    monkeypatch.setattr(models.processor, "_CPU_INFO", tmp_path / "cpuinfo")
    for features, has in (("avx512f avx512_bf16 fpu", True), ("amx_bf16", True), ("avx2", False)):
        (tmp_path / "cpuinfo").write_text(f"flags\t\t: {features}\n")
        assert has_bf16() == has
    with pytest.raises(ModelError, match="choose engine openvino-fp32"):
        Session(*model_files(exported, "embedder"), threads=1, engine="openvino-bf16")


def test_an_engine_that_is_not_installed_is_named_with_what_brings_it(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    models.openvino_engine._core.cache_clear()
    models.openvino_engine.read.cache_clear()
    with pytest.raises(ModelError, match=r"requirements-extras\.lock"):
        Session(*model_files(exported, "embedder"), threads=1, engine="openvino-fp32")


@pytest.mark.parametrize("name", ["paddle", "openvino"])
def test_bf16_gives_nearly_the_same(exported, monkeypatch, name):
    # Where the processor has none both engines compute without it, or slower.
    monkeypatch.setattr(models.session, "has_bf16", lambda: True)
    full = Session(*model_files(exported, "embedder"), threads=1).run({"x": FEEDS["x"]})[0]
    half = Session(*model_files(exported, "embedder"), threads=1, engine=f"{name}-bf16")
    rows = half.run({"x": FEEDS["x"]})[0]
    assert rows.dtype == np.float32
    cosines = (rows * full).sum(1) / np.linalg.norm(rows, axis=1) / np.linalg.norm(full, axis=1)
    assert cosines.min() > 0.99


def test_the_framework_stays_out_with_its_messages_signal_handlers_and_log_level(exported):
    program = f"""
import logging, os, signal, sys, threading
from pathlib import Path
import numpy as np
stopped = []
logging.getLogger().setLevel(logging.INFO)
signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
def work():
    from models.processor import has_bf16
    from models.session import Session
    for folder, suffix in (({str(exported)!r}, "json"), ({str(LEGACY)!r}, "pdmodel")):
        model = Path(folder, "embedder." + suffix)
        # Of a legacy model the passes that make it bf16 tell what they do, whatever is set.
        for precision in ("fp32", "bf16") if has_bf16() and suffix == "json" else ("fp32",):
            session = Session(model, model.with_suffix(".pdiparams"), 2, "paddle-" + precision)
            session.run({{"x": np.zeros((1, 3, 224, 224), np.float32)}})
thread = threading.Thread(target=work)
thread.start()
thread.join()
os.kill(os.getpid(), signal.SIGTERM)
kept = stopped and logging.getLogger().level == logging.INFO
sys.exit(0 if kept and "paddle" not in sys.modules else 1)
"""
    ran = subprocess.run(
        [sys.executable, "-W", "default", "-c", program], capture_output=True, text=True
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "order",
    ["first = run(); import paddle", "import paddle; first = run()"],
    ids=["after", "before"],
)
def test_the_framework_can_be_imported_beside_it(exported, order):
    program = f"""
from pathlib import Path
import numpy as np
from models.session import Session
def run():
    model = Path({str(exported)!r}, "embedder.json")
    session = Session(model, model.with_suffix(".pdiparams"), 1)
    return session.run({{"x": np.ones((1, 3, 224, 224), np.float32)}})[0]
{order}
assert np.array_equal(first, run())
assert int(paddle.ones([2]).sum()) == 2
"""
    subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
