"""Short runs of the real loop on plain pictures."""

import json
import shutil
import signal
from dataclasses import replace

import numpy as np
import paddle
import pytest
import typer
from typer.testing import CliRunner

from models.detector import Detector
from models.errors import ModelError
from models.nets.picodet import Architecture, PicoDet
from models.pack import Pack
from models.training.detection import criterion
from models.training.detection.coco import read_coco
from models.training.detection.train import main, parsed
from models.training.detection.trainer import DetectorSettings, DetectorTask
from models.training.detection.weights import architecture_of, detector_from, read_weights
from models.training.export_detector import install_detector
from models.training.state_dict import write_state
from models.training.trainer import BEST, LAST, LOG, Trainer
from tests.models.training.detection.pictures import write_coco

TINY = Architecture(scale=0.25, channels=16, head_blocks=1, strides=(8, 16, 32))


@pytest.fixture(scope="module")
def annotations(tmp_path_factory):
    return write_coco(tmp_path_factory.mktemp("data"), 24)


def trainer(folder, annotations, **changes):
    settings = DetectorSettings(
        **({"size": 64, "batch": 8, "epochs": 2, "learning_rate": 0.02} | changes)
    )
    records = read_coco(annotations)
    paddle.seed(3)
    return Trainer(DetectorTask(PicoDet(TINY), records[:18], records[18:], settings), folder)


def numbers(state):
    return {name: np.asarray(tensor) for name, tensor in state.items()}


def test_a_run_stopped_by_ctrl_c_goes_on_as_if_it_had_not(
    tmp_path, annotations, monkeypatch, capsys
):
    whole = trainer(tmp_path / "whole", annotations)
    whole.run()

    stopped = trainer(tmp_path / "stopped", annotations)
    steps = []

    def pressed_within_the_third(batch, epoch):
        steps.append(epoch)
        if len(steps) == 3:
            signal.raise_signal(signal.SIGINT)
        return losses(batch, epoch)

    losses = stopped.task.losses
    monkeypatch.setattr(stopped.task, "losses", pressed_within_the_third)
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    assert "Stopped after step 1 of epoch 2. The same command goes on" in capsys.readouterr().out
    resumed = trainer(tmp_path / "stopped", annotations)
    assert (resumed.epoch, resumed.step) == (1, 1)
    resumed.run()

    for ours, theirs in (
        (whole.task.network.state_dict(), resumed.task.network.state_dict()),
        (whole.ema.state, resumed.ema.state),
    ):
        expected = numbers(theirs)
        for name, tensor in numbers(ours).items():
            assert np.allclose(tensor, expected[name], atol=1e-5), name
    logs = [
        [json.loads(line) for line in (tmp_path / run / LOG).read_text().splitlines()]
        for run in ("whole", "stopped")
    ]
    assert [entry["epoch"] for entry in logs[1]] == [1, 2]
    assert logs[0][1]["losses"] == pytest.approx(logs[1][1]["losses"], rel=1e-3)


def test_a_finished_run_is_not_run_again(tmp_path, annotations):
    best = trainer(tmp_path, annotations, epochs=1).run()
    before = (tmp_path / LAST).stat().st_mtime_ns
    assert trainer(tmp_path, annotations, epochs=1).run() == best
    assert (tmp_path / LAST).stat().st_mtime_ns == before


def test_a_run_goes_on_only_with_its_own_settings(tmp_path, annotations):
    trainer(tmp_path, annotations, epochs=1).run()
    with pytest.raises(ModelError, match=r"was begun with size 64, batch 8"):
        trainer(tmp_path, annotations, epochs=1, size=96, batch=4)
    trainer(tmp_path, annotations, epochs=1, threads=1)


def test_a_run_goes_on_only_with_its_own_data(tmp_path, annotations):
    trainer(tmp_path / "run", annotations, epochs=1).run()
    moved = shutil.copytree(annotations.parent, tmp_path / "moved") / annotations.name
    trainer(tmp_path / "run", moved, epochs=1)
    content = json.loads(moved.read_text())
    content["annotations"][0]["bbox"][2] += 3
    moved.write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"was begun with train 18 images, checksum \w{8}: "):
        trainer(tmp_path / "run", moved, epochs=1)


def test_a_run_of_an_earlier_release_is_said_to_be_one(tmp_path, annotations):
    trainer(tmp_path, annotations, epochs=1).run()
    state = paddle.load(str(tmp_path / LAST))
    del state["architecture"]["train"]
    write_state(state, tmp_path / LAST)
    with pytest.raises(ModelError, match="was begun by an earlier release") as raised:
        trainer(tmp_path, annotations, epochs=1)
    assert f"in another folder; with --weights {tmp_path / BEST} " in str(raised.value)


def test_cutouts_are_bodies_enough_to_train_on_but_not_to_validate_with(annotations):
    records = read_coco(annotations)
    bare = [replace(record, boxes=np.zeros((0, 4), np.float32)) for record in records]
    settings = DetectorSettings(size=64, batch=8, epochs=1, learning_rate=0.02)
    network, cutouts = PicoDet(TINY), [np.full((9, 9, 4), 255, np.uint8)]
    DetectorTask(network, bare[:18], records[18:], settings, cutouts)
    with pytest.raises(ModelError, match="18 images to train on have no box"):
        DetectorTask(network, bare[:18], records[18:], settings)
    with pytest.raises(ModelError, match="6 images to validate with have no box"):
        DetectorTask(network, records[:18], bare[18:], settings, cutouts)


def test_too_few_images_are_refused(tmp_path, annotations):
    with pytest.raises(ModelError, match="18 images to train on"):
        trainer(tmp_path, annotations, batch=32)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, annotations):
    broken = trainer(tmp_path, annotations)
    broken.task.network.head.sides[0].bias.set_value(np.full(32, np.nan, np.float32))
    with pytest.raises(ModelError, match=r"not finite any more at step 0: .* another folder$"):
        broken.run()


def test_a_loss_that_is_not_finite_later_leaves_weights_to_go_on_from(tmp_path, annotations):
    broken = trainer(tmp_path, annotations)
    losses = broken.task.losses
    broken.task.losses = lambda batch, epoch: (
        losses(batch, epoch) if epoch == 0 else {"giou": paddle.to_tensor(float("nan"))}
    )
    with pytest.raises(ModelError, match="not finite any more at step 2") as raised:
        broken.run()
    assert f"--weights {tmp_path / BEST} " in str(raised.value)
    detector_from(read_weights(tmp_path / BEST))


def test_static_assignment_is_for_the_first_epochs(tmp_path, annotations, monkeypatch):
    used = []
    for name in ("atss", "simota"):
        real = getattr(criterion, name)
        monkeypatch.setattr(
            criterion, name, lambda *a, name=name, real=real: (used.append(name), real(*a))[1]
        )
    trainer(tmp_path, annotations, static_epochs=1).run()
    # Two batches of eight an epoch.
    assert used == ["atss"] * 16 + ["simota"] * 16


def command(*arguments):
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command_trains_a_pack_and_trains_it_further(tmp_path, annotations, pack_folder):
    tuned = tmp_path / "tuned"
    common = ["--data", annotations, "--batch", 8, "--epochs", 1]
    result = command(
        *common,
        *("--from", pack_folder, "--run", tmp_path / "run", "--to", tuned),
        *("--architecture", "pp_lcnet:0.25:16", "--size", 64, "--learning-rate", 0.02),
    )
    assert result.exit_code == 0, result.output
    pack = Pack.load(tuned)
    assert pack.detector.input_size == (64, 64)
    data = f"{annotations.parent.name}/{annotations.name}"
    assert f"from pp_lcnet:0.25:16 on {data}: 1 epochs" in pack.detector.origin
    assert str(tmp_path) not in pack.detector.origin
    assert (pack.detector.interpolation, pack.detector.score_threshold) == ("linear", 0.2)
    assert pack.embedder == Pack.load(pack_folder).embedder
    detector = Detector(pack, threads=2)
    detector.detect(np.zeros((50, 80, 3), np.uint8))
    detector.close()

    result = command(*common, "--from", tuned, "--run", tmp_path / "further", "--to", tuned)
    assert result.exit_code == 0, result.output
    again = Pack.load(tuned)
    assert again.detector.sha256 != pack.detector.sha256
    assert again.detector.input_size == (64, 64)
    assert "from tuned on" in again.detector.origin
    assert architecture_of(read_weights(tmp_path / "further" / BEST)).channels == 16


@pytest.fixture
def tuned(tmp_path, pack_folder):
    """A pack whose detector this project exported, with settings that are nobody's defaults."""
    paddle.seed(3)
    source = Pack.load(pack_folder)
    served = {"score_threshold": 0.515, "interpolation": "area"}
    licence = {"licence": "Apache-2.0", "origin": "random numbers"}
    folder = tmp_path / "tuned"
    pack = install_detector(PicoDet(TINY), source, folder, size=(64, 64), **served, **licence)
    detector = pack.detector.model_copy(update={"max_results": 3})
    manifest = pack.manifest.model_copy(update={"detector": detector})
    return Pack.write(folder, manifest)


@pytest.mark.parametrize(("options", "threshold"), [((), 0.515), (("--score-threshold", 0.4), 0.4)])
def test_training_further_keeps_what_the_pack_serves_with(
    tmp_path, annotations, tuned, options, threshold
):
    result = command(
        *("--data", annotations, "--batch", 8, "--epochs", 1, *options),
        *("--from", tuned.folder, "--run", tmp_path / "run", "--to", tmp_path / "further"),
    )
    assert result.exit_code == 0, result.output
    served = Pack.load(tmp_path / "further").detector
    assert (served.interpolation, served.max_results) == ("area", 3)
    assert served.score_threshold == threshold


def test_architectures_are_read_or_refused():
    assert parsed("efficientnet_lite:0:96") == Architecture("efficientnet_lite", 0, 96)
    assert parsed("efficientnet_lite:0:64:12").blocks == 12
    for text in ("resnet:1:96", "pp_lcnet", "pp_lcnet:1:x", "efficientnet_lite:0:64:12:1"):
        with pytest.raises(ModelError, match="is no architecture"):
            parsed(text)


@pytest.mark.parametrize(
    ("to", "options", "told"),
    [
        ("My Pack", (), "cannot be a pack's name"),
        ("embedded", (), "comes with TillSight"),
        ("tuned", ("--score-threshold", 1.5), "score_threshold 1.5"),
    ],
)
def test_wrong_options_are_told_before_training(tmp_path, annotations, tuned, to, options, told):
    result = command(
        *("--data", annotations, "--batch", 8, "--epochs", 1, *options),
        *("--from", tuned.folder, "--run", tmp_path / "run", "--to", tmp_path / to),
    )
    assert isinstance(result.exception, ModelError)
    assert told in str(result.exception)
    assert not (tmp_path / "run").exists()
    assert Pack.load(tuned.folder) == tuned


def test_boxes_that_are_not_used_are_told(tmp_path, tuned):
    data = write_coco(tmp_path / "data", 24)
    content = json.loads(data.read_text())
    options = ("--data", data, "--from", tuned.folder, "--batch", 8, "--epochs", 1)
    content["annotations"][0]["bbox"] = [float("nan"), 0, 10, 10]
    content["annotations"][1]["bbox"] = [90, 90, 10, 10]
    data.write_text(json.dumps(content))
    result = command(*options, "--run", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "2 boxes are not used" in result.output

    for annotation in content["annotations"]:
        annotation["bbox"][2] = -5
    data.write_text(json.dumps(content))
    result = command(*options, "--run", tmp_path / "none", "--to", tmp_path / "none-learnt")
    assert "24 boxes are not used" in result.output
    assert isinstance(result.exception, ModelError)
    assert "images to train on have no box that is used" in str(result.exception)
    assert not (tmp_path / "none-learnt").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--threads", 0),
        ("--seed", -1),
        ("--size", 0),
        ("--size", 100),
        ("--learning-rate", "nan"),
        ("--learning-rate", 0),
        ("--learning-rate", -1),
        ("--learning-rate", 1e9),
    ],
)
def test_numbers_out_of_range_are_told(tmp_path, annotations, pack_folder, option, value):
    result = command(
        *("--data", annotations, "--from", pack_folder, "--run", tmp_path / "run", option, value)
    )
    assert result.exit_code == 2
    assert option in result.output
