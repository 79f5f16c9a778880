"""Learning a shop: what is kept out, what is refused, and the pack that is written."""

import numpy as np
import paddle
import pytest
import typer
from typer.testing import CliRunner

from models.embedder import Embedder
from models.errors import ModelError
from models.nets.efficientnet_lite import EfficientNetLite, StagesLinear
from models.pack import Pack
from models.thresholds import MatchThreshold
from models.training.embedding import shop as shop_module
from models.training.embedding.pictures import by_product
from models.training.embedding.retrieval import Answer
from models.training.embedding.shop import Found, Split, learn, main, refusal, splits, tried
from models.training.export_embedder import install_embedder
from tests.models.training.embedding.shops import SIDE, write_shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    return folder, write_shop(folder, products=20, shots=4)


@pytest.fixture
def lite_pack(tmp_path, pack_folder):
    """A pack with a small input and an embedder of random numbers that this project exported."""
    paddle.seed(8)
    return install_embedder(
        StagesLinear(EfficientNetLite(), 512),
        Pack.load(pack_folder),
        tmp_path / "lite",
        threshold=MatchThreshold(0.5, 0.1),
        ambiguous_margin=0.02,
        licence="Apache-2.0",
        origin="random numbers.",
        size=(SIDE, SIDE),
        interpolation="area",
    )


def test_each_product_is_kept_out_once_and_photographs_of_the_others_each_time(shop):
    pictures = shop[1]
    parts = splits(pictures, seed=0)
    strangers = []
    for part in parts:
        assert sorted([*part.learnt, *part.images, *part.products]) == list(range(80))
        kept = by_product([pictures[place] for place in part.products])
        known = by_product([pictures[place] for place in part.learnt])
        assert {name: len(own) for name, own in kept.items()} == dict.fromkeys(kept, 4)
        assert not kept.keys() & known.keys()
        assert by_product([pictures[place] for place in part.images]).keys() == known.keys()
        assert len(part.images) == 16
        strangers += kept
    assert sorted(strangers) == sorted(by_product(pictures))
    assert splits(pictures, seed=0) == parts
    assert splits(pictures, seed=1) != parts


def test_the_threshold_moves_as_what_strangers_score_does():
    def found(scores):
        strangers = [Answer(0, 0, 1.0, 0, 1.0, 1, float(score)) for score in scores]
        return Found(images=[], products=strangers)

    before, after = found(np.linspace(0, 0.4, 25)), found(np.linspace(0.1, 0.5, 25))
    known = MatchThreshold(0.6, 0.15)
    assert shop_module._moved(known, before, after) == MatchThreshold(0.7, 0.15)
    assert shop_module._moved(MatchThreshold(0.95, 0.15), before, after).highest == 1


def test_too_few_products_cannot_show_what_was_gained(shop):
    few = [p for p in shop[1] if p.product < "product-09"]
    with pytest.raises(ModelError, match="9 products have two photographs or more; 10 are needed"):
        splits(few, seed=0)


def test_strangers_are_looked_for_among_all_but_their_own_image(shop):
    pictures = shop[1]
    parts = splits(pictures, seed=0)
    names = sorted(by_product(pictures))
    vectors = np.eye(20, dtype=np.float32)[[names.index(p.product) for p in pictures]][:, None]
    found = tried(pictures, vectors, parts, [None] * 5)
    assert [len(found.images), len(found.products)] == [80, 80]
    assert all(answer.place == 0 for answer in [*found.images, *found.products])
    # A stranger's own image alone would be perfect: shuffled, hardly any other finds its product.
    shuffled = vectors[np.random.default_rng(0).permutation(80)]
    by_chance = tried(pictures, shuffled, parts, [None] * 5).products
    assert np.mean([answer.place == 0 for answer in by_chance]) < 0.5
    # Each part is asked after its own map.
    maps = [np.eye(20, dtype=np.float32) for _ in parts]
    maps[3] = np.ones_like(maps[3])
    assert tried(pictures, vectors, parts, maps).mean_ap < 1 == found.mean_ap


def answers(*places):
    return [Answer(i, place, 1 / (place + 1), 0, 0.5, 1, 0.4) for i, place in enumerate(places)]


def test_only_what_is_better_and_nowhere_worse_is_let_through():
    before = Found(answers(0, 1, 1), answers(0, 1))
    assert refusal(before, Found(answers(0, 0, 1), answers(0, 1))) is None
    assert refusal(before, Found(answers(0, 1, 1), answers(0, 0))) is None
    assert "nothing that was kept out" in refusal(before, before)
    worse = refusal(before, Found(answers(0, 0, 0), answers(1, 1)))
    assert worse == "recall@1 on kept-out products fell from 0.500 to 0.000"
    deeper = refusal(before, Found(answers(0, 0, 0), answers(0, 2)))
    assert deeper == "mAP on kept-out products fell from 0.750 to 0.667"
    assert "images fell" in refusal(before, Found(answers(1, 1, 1), answers(0, 0)))


def test_the_best_of_what_is_let_through_is_taken_and_learnt_from_all(shop, monkeypatch):
    pictures = shop[1]
    found = {
        0.2: Found(answers(0, 0), answers(0, 1, 1)),  # best, but strangers are found worse
        0.35: Found(answers(0, 1), answers(0, 1, 0)),
        0.5: Found(answers(0, 0), answers(0, 1, 0)),
        0.65: Found(answers(0, 1), answers(0, 1, 0)),
        0.8: Found(answers(1, 1), answers(0, 0, 0)),
    }
    before = Found(answers(0, 1), answers(0, 2, 0))
    fitted = []

    def fit(vectors, products, shrinkage):
        fitted.append((len(vectors), shrinkage))
        return shrinkage

    monkeypatch.setattr(shop_module, "fit_map", fit)
    monkeypatch.setattr(shop_module, "tried", lambda *asked: found[asked[-1][0]])
    parts = [Split(list(range(70)), list(range(70, 75)), list(range(75, 80)))]
    views = [np.zeros((2, 4), np.float32)] * 80
    learnt = learn(pictures, np.zeros((80, 1, 4), np.float32), views, parts, before)
    assert (learnt.by, learnt.found) == (0.5, found[0.5])
    assert fitted[-1] == (160, 0.5)
    assert fitted[0] == (140, 0.2)


def run(*arguments):
    app = typer.Typer()
    app.command()(main)
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(argument) for argument in arguments])


def test_a_shop_is_learnt_into_a_pack(tmp_path, shop, lite_pack):
    folder, pictures = shop
    to = tmp_path / "packs" / "my-shop"
    done = run("--data", folder, "--from", lite_pack.folder, "--to", to, "--threads", 1)
    assert done.exit_code == 0, done.output + str(done.exception)
    assert "→" in done.stdout
    pack = Pack.load(to)
    assert pack.name == "my-shop"
    assert pack.detector == lite_pack.detector
    assert pack.embedder.fingerprint != lite_pack.embedder.fingerprint
    assert pack.embedder.input_size == (SIDE, SIDE)
    assert "learnt 80 photographs of a gallery" in pack.embedder.origin
    assert list(to.parent.iterdir()) == [to]
    embedder = Embedder(pack, threads=1)
    vectors, _ = embedder.embed([pictures[0].load()])
    embedder.close()
    assert vectors.shape == (1, 512)


def test_what_does_not_help_leaves_nothing(tmp_path, shop, lite_pack, monkeypatch):
    # A map that forgets all but one direction.
    forgetful = np.zeros((512, 512), np.float32)
    forgetful[0, 0] = 1
    monkeypatch.setattr(shop_module, "fit_map", lambda *_: forgetful)
    to = tmp_path / "my-shop"
    done = run("--data", shop[0], "--from", lite_pack.folder, "--to", to, "--threads", 1)
    assert isinstance(done.exception, ModelError)
    assert str(done.exception).startswith("No pack was written: recall@1 on kept-out")
    assert "lite stays the better one here" in str(done.exception)
    assert not to.exists()


def test_what_cannot_be_learnt_is_refused_before_the_work(tmp_path, shop, pack_folder, lite_pack):
    for source, to, reason in (
        (pack_folder, tmp_path / "my-shop", "cannot be trained further"),
        (lite_pack.folder, lite_pack.folder, "exists already"),
        (lite_pack.folder, tmp_path / "My Shop", "cannot be a pack's name"),
    ):
        done = run("--data", shop[0], "--from", source, "--to", to)
        assert isinstance(done.exception, ModelError)
        assert reason in str(done.exception)
    assert not (tmp_path / "my-shop").exists()
