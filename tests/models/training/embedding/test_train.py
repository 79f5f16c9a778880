"""Short runs of the real loop on made products."""

import json

import numpy as np
import paddle
import pytest
import typer
from typer.testing import CliRunner

from models.embedder import Embedder
from models.errors import ModelError
from models.nets.efficientnet_lite import EfficientNetLite, PooledLinear
from models.nets.pp_lcnet_v2 import PPLCNetV2ShiTu
from models.pack import PACKS, Pack
from models.session import Session
from models.thresholds import MatchThreshold
from models.training import trainer as trainer_module
from models.training.embedding.pictures import split
from models.training.embedding.train import main, parsed
from models.training.embedding.trainer import EmbedderSettings, EmbedderTask
from models.training.embedding.weights import read_exported
from models.training.export_embedder import install_embedder
from models.training.normalisation import EFFICIENTNET_LITE
from models.training.state_dict import read_state_dict
from models.training.trainer import BEST, LOG, Trainer
from tests.models.training.embedding.shops import SIDE, write_shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    return folder, write_shop(folder, products=10, shots=3)


def constant(views):
    """A teacher to whom everything is alike."""
    return np.ones((len(views), 1), np.float32)


def trainer(folder, pictures, teachers=(), **changes):
    settings = EmbedderSettings(
        **({"size": SIDE, "batch": 8, "epochs": 2, "learning_rate": 0.01, "threads": 1} | changes)
    )
    train, kept_out = split(pictures)
    paddle.seed(3)
    network = PooledLinear(EfficientNetLite(), 32)
    task = EmbedderTask(network, train, kept_out, settings, EFFICIENTNET_LITE, teachers)
    return Trainer(task, folder)


def numbers(state):
    return {name: np.asarray(tensor) for name, tensor in state.items()}


def test_a_run_killed_within_an_epoch_goes_on_as_if_it_had_not(tmp_path, shop, monkeypatch):
    whole = trainer(tmp_path / "whole", shop[1])
    assert whole.task.steps_an_epoch > 1
    whole.run()

    stopped = trainer(tmp_path / "stopped", shop[1])
    monkeypatch.setattr(trainer_module, "SAVE_SECONDS", 0)
    step = stopped._step
    dealt = []

    def until_killed(batch):
        if len(dealt) == whole.task.steps_an_epoch + 1:
            raise SystemExit
        dealt.append(batch.labels.tolist())
        return step(batch)

    monkeypatch.setattr(stopped, "_step", until_killed)
    with pytest.raises(SystemExit):
        stopped.run()
    resumed = trainer(tmp_path / "stopped", shop[1])
    assert (resumed.epoch, resumed.step) == (1, 1)
    # The sampler goes on with the batch that the whole run would have dealt.
    [following] = [b.labels.tolist() for b in resumed.task.batches(1, 1)][:1]
    assert following == [b.labels.tolist() for b in whole.task.batches(1, 0)][1]
    resumed.run()

    for ours, theirs in (
        (whole.task.network.state_dict(), resumed.task.network.state_dict()),
        (whole.ema.state, resumed.ema.state),
    ):
        expected = numbers(theirs)
        for name, tensor in numbers(ours).items():
            np.testing.assert_allclose(tensor, expected[name], atol=1e-5, err_msg=name)
    logs = [
        [json.loads(line) for line in (tmp_path / run / LOG).read_text().splitlines()]
        for run in ("whole", "stopped")
    ]
    assert [entry["epoch"] for entry in logs[1]] == [1, 2]
    assert logs[0][1]["losses"] == pytest.approx(logs[1][1]["losses"], rel=1e-3)
    assert logs[0][1]["recall_1"] == logs[1][1]["recall_1"]


def test_the_best_weights_are_the_embedder_alone(tmp_path, shop):
    run = trainer(tmp_path, shop[1], epochs=1)
    best = run.run()
    assert best.keys() == {"recall_1", "recall_5", "mean_ap"}
    assert all(0 <= value <= 1 for value in best.values())
    kept = read_state_dict(tmp_path / BEST)
    assert kept.keys() == run.task.network.embedder.state_dict().keys()


def test_how_long_features_are_makes_no_difference(tmp_path, shop):
    """A pack's are normalised when it serves: by how steps turn them nobody can tell it."""
    vectors = []
    for length in (1.0, 0.001):
        settings = trainer(tmp_path / f"settings {length}", shop[1], epochs=1).task.settings
        paddle.seed(3)
        embedder = PooledLinear(EfficientNetLite(), 32)
        for parameter in embedder.fc.parameters():
            parameter.set_value(parameter * length)
        task = EmbedderTask(embedder, *split(shop[1]), settings, EFFICIENTNET_LITE)
        Trainer(task, tmp_path / str(length)).run()
        embedder.eval()
        vectors.append(task._vectors(embedder))
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-2)


def test_teachers_pull_towards_what_is_alike_to_them(tmp_path, shop):
    run = trainer(tmp_path, shop[1], [constant], distillation=2.0)
    run.task.network.eval()
    batch = next(run.task.batches(0, 0))
    features, _ = run.task.network(paddle.to_tensor(EFFICIENTNET_LITE.apply(batch.images)))
    losses = run.task.losses(batch, 0)
    assert losses.keys() == {"identity", "triplet", "teachers"}
    unit = features.numpy() / np.linalg.norm(features.numpy(), axis=1, keepdims=True)
    off = ~np.eye(8, dtype=bool)
    wanted = 2.0 * ((unit @ unit.T - 1)[off] ** 2).mean()
    assert float(losses["teachers"]) == pytest.approx(wanted, rel=1e-3)
    with pytest.raises(ModelError, match="come together"):
        trainer(tmp_path / "other", shop[1], distillation=2.0)


def test_photographs_that_cannot_validate_are_refused(tmp_path, shop):
    one_each = [pictures for pictures in shop[1] if pictures.path.name == "0.png"]
    with pytest.raises(ModelError, match="0 are in two photographs"):
        trainer(tmp_path, one_each)


def test_a_run_goes_on_only_with_its_own_photographs(tmp_path, shop):
    trainer(tmp_path, shop[1], epochs=1).run()
    train, kept_out = split(shop[1])
    for part, name in ((train, "train"), (kept_out, "validation")):
        fewer = [picture for picture in shop[1] if picture != part[-1]]
        with pytest.raises(ModelError, match=rf"was begun with {name} \d+ photographs, checksum"):
            trainer(tmp_path, fewer, epochs=1)


def test_too_few_products_for_a_batch_are_told_before_the_run_has_a_folder(tmp_path, shop):
    with pytest.raises(ModelError, match="identities are too few for batches of 16"):
        trainer(tmp_path / "run", shop[1], batch=64)
    assert not (tmp_path / "run").exists()


def command(*arguments):
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command_trains_a_pack_and_trains_it_further(tmp_path, shop, pack_folder):
    folder, _ = shop
    tuned = tmp_path / "tuned"
    common = ["--data", folder, "--batch", 8, "--epochs", 1, "--threads", 1]
    result = command(
        *common,
        *("--from", pack_folder, "--run", tmp_path / "run", "--to", tuned),
        *("--architecture", "efficientnet_lite:0", "--size", SIDE, "--learning-rate", 0.001),
        *("--teacher", pack_folder),
    )
    assert result.exit_code == 0, result.output
    pack = Pack.load(tuned)
    assert pack.embedder.input_size == (SIDE, SIDE)
    assert pack.detector == Pack.load(pack_folder).detector
    assert f"from efficientnet_lite:0 on {folder.name}, " in pack.embedder.origin
    assert str(tmp_path) not in pack.embedder.origin
    embedder = Embedder(pack, threads=1)
    vectors, _ = embedder.embed([np.zeros((50, 80, 3), np.uint8)])
    embedder.close()
    assert vectors.shape == (1, 512)

    # Steps so short that nothing can be lost on so few photographs.
    gently = ("--learning-rate", 1e-6)
    result = command(*common, *gently, "--from", tuned, "--run", tmp_path / "on", "--to", tuned)
    assert result.exit_code == 0, result.output
    again = Pack.load(tuned)
    assert again.embedder.sha256 != pack.embedder.sha256
    assert "from tuned on" in again.embedder.origin
    assert "trunk.stem.bn.weight" not in read_state_dict(tmp_path / "on" / BEST)


def test_what_finds_less_than_before_is_not_written(tmp_path, shop, pack_folder, monkeypatch):
    found = iter([0.9, 0.8])
    answers = {"recall_5": 1.0, "mean_ap": 1.0}
    monkeypatch.setattr(EmbedderTask, "evaluate", lambda *_: {"recall_1": next(found), **answers})
    lite = install_embedder(
        PooledLinear(EfficientNetLite(), 512),
        Pack.load(pack_folder),
        tmp_path / "lite",
        threshold=MatchThreshold(0.5),
        ambiguous_margin=0.02,
        licence="Apache-2.0",
        origin="random numbers.",
        size=(SIDE, SIDE),
        interpolation="area",
    )
    result = command(
        *("--data", shop[0], "--batch", 8, "--epochs", 1, "--threads", 1),
        *("--from", lite.folder, "--run", tmp_path / "run", "--to", lite.folder),
    )
    assert isinstance(result.exception, ModelError)
    assert "fell from 0.900 to 0.800" in str(result.exception)
    assert Pack.load(lite.folder).embedder == lite.embedder


def test_the_embedded_pack_can_be_trained_further():
    pack = Pack.load(PACKS / "embedded")
    model, params = (pack.folder / name for name in (pack.embedder.model, pack.embedder.params))
    network = read_exported(model)
    x = np.random.default_rng(3).normal(size=(1, 3, *pack.embedder.input_size)).astype(np.float32)
    [served] = Session(model, params, threads=1).run({"x": x})
    with paddle.no_grad():
        found = network(paddle.to_tensor(x)).numpy()
    np.testing.assert_allclose(found, served, atol=1e-4 * np.abs(served).max())


def test_packs_of_others_cannot_be_trained_further(pack_folder):
    with pytest.raises(ModelError, match="cannot be trained further"):
        read_exported(pack_folder / "embedder.json")


def test_architectures_are_read_or_refused():
    assert isinstance(parsed("pp_lcnet_v2:small"), PPLCNetV2ShiTu)
    assert isinstance(parsed("efficientnet_lite:1"), PooledLinear)
    for text in ("resnet:50", "pp_lcnet_v2", "pp_lcnet_v2:tiny", "efficientnet_lite:5"):
        with pytest.raises(ModelError, match="is no architecture"):
            parsed(text)


def test_wrong_options_are_told_before_training(tmp_path, shop, pack_folder):
    for to, options, told in (
        ("My Pack", (), "cannot be a pack's name"),
        ("mine", ("--licence", ""), "licence ''"),
    ):
        result = command(
            *("--data", shop[0], "--from", pack_folder, "--run", tmp_path / "run"),
            *("--to", tmp_path / to, "--architecture", "efficientnet_lite:0", *options),
        )
        assert isinstance(result.exception, ModelError)
        assert told in str(result.exception)
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--batch", 0),
        ("--batch", 9),
        ("--threads", 0),
        ("--seed", -1),
        ("--size", 0),
        ("--learning-rate", "nan"),
        ("--learning-rate", 0),
        ("--learning-rate", -1),
        ("--learning-rate", 1e9),
        ("--distillation", "inf"),
    ],
)
def test_numbers_out_of_range_are_told(tmp_path, shop, pack_folder, option, value):
    result = command(
        *("--data", shop[0], "--from", pack_folder, "--run", tmp_path / "run", option, value)
    )
    assert result.exit_code == 2
    assert option in result.output
