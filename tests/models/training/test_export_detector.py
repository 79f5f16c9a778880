import numpy as np
import paddle
import pytest

from models.detector import Detector
from models.errors import ModelError
from models.nets.pico_head import grid
from models.nets.picodet import Architecture, PicoDet
from models.pack import Pack
from models.session import Session
from models.training.detection.weights import architecture_of, detector_from, read_exported
from models.training.export_detector import export_detector, install_detector
from models.training.installation import replacing
from models.training.normalisation import normalisation_of

SIZE = (96, 128)
ORIGIN = {"licence": "Apache-2.0", "origin": "random numbers"}


def lively_detector(architecture=None):
    """Random weights, scaled so that scores and boxes differ from cell to cell."""
    paddle.seed(5)
    network = PicoDet(architecture or Architecture(scale=0.25, channels=16, head_blocks=1))
    network.eval()
    scores, sides = network(paddle.to_tensor(pixels(1)))
    for score, side in zip(network.head.scores, network.head.sides, strict=True):
        score.weight.set_value(score.weight / scores.std())
        score.bias.set_value(paddle.to_tensor([-1.0]))
        side.weight.set_value(side.weight * 2 / sides.std())
    return network


def iou(a, b):
    width, height = (np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).clip(0)
    areas = np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])
    return width * height / (areas - width * height)


def nms(boxes, scores):
    """Greedy NMS as the contract says it: rows (score, x1, y1, x2, y2), best first."""
    kept = []
    for index in np.argsort(-scores)[:1000]:
        if scores[index] > 0.025 and all(iou(boxes[index], boxes[other]) <= 0.6 for other in kept):
            kept.append(index)
    return np.column_stack([scores[kept], boxes[kept]])[:100]


def expected(network, images, scale_factors):
    """What the dygraph network and NumPy give for each image."""
    height, width = images.shape[2:]
    centers, strides = map(paddle.to_tensor, grid(height, width, network.architecture.strides))
    with paddle.no_grad():
        logits, sides = network(paddle.to_tensor(images))
        boxes = network.head.boxes(sides, centers, strides).numpy()
    scores = 1 / (1 + np.exp(-logits.numpy()))
    y_x = scale_factors[:, None, [1, 0, 1, 0]]
    return [nms(b, s) for b, s in zip(boxes / y_x, scores, strict=True)]


def pixels(batch):
    rng = np.random.default_rng(3)
    return rng.normal(size=(batch, 3, *SIZE)).astype(np.float32)


@pytest.fixture(scope="module")
def picodet(tmp_path_factory):
    folder = tmp_path_factory.mktemp("picodet")
    network = lively_detector()
    export_detector(network, folder, SIZE)
    return network, folder / "detector.json", folder / "detector.pdiparams"


def test_the_export_equals_the_network_and_numpy_nms(picodet):
    network, model, params = picodet
    session = Session(model, params, threads=2)
    assert set(session.inputs) == {"image", "scale_factor"}
    images = pixels(2)
    scale_factors = np.array([[1, 1], [0.5, 0.25]], np.float32)
    found, counts = session.run({"image": images, "scale_factor": scale_factors})
    assert found.dtype == np.float32
    assert counts.dtype == np.int32
    assert set(found[:, 0]) == {0}
    wanted = expected(network, images, scale_factors)
    assert counts.tolist() == [len(rows) for rows in wanted]
    assert min(counts) > 20
    for rows, want in zip(np.split(found[:, 1:], counts[:1]), wanted, strict=True):
        rows = rows[np.argsort(-rows[:, 0])]
        assert np.allclose(rows[:, 0], want[:, 0], atol=1e-4)
        assert np.allclose(rows[:, 1:], want[:, 1:], atol=0.02)


def test_an_exported_detector_can_be_trained_further(picodet):
    network, model, _ = picodet
    weights = read_exported(model)
    assert architecture_of(weights) == network.architecture
    again = detector_from(weights)
    images = paddle.to_tensor(pixels(1))
    for ours, theirs in zip(network(images), again(images), strict=True):
        assert np.array_equal(ours.numpy(), theirs.numpy())


def test_a_foreign_export_cannot(pack_folder):
    with pytest.raises(ModelError, match="no PicoDet of this project"):
        read_exported(pack_folder / "detector.json")
    with pytest.raises(ModelError, match="not of this project's exports"):
        read_exported(pack_folder / "detector.pdmodel")


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(scale=1.5, channels=24, strides=(16, 32, 64), head_blocks=2),
        Architecture(scale=0.25, channels=16, strides=(8, 16, 32), shared_towers=False),
        Architecture("efficientnet_lite", 1, channels=16, strides=(16, 32)),
        Architecture("efficientnet_lite", 0, channels=16, blocks=12),
    ],
)
def test_weights_tell_their_architecture(architecture):
    network = PicoDet(architecture)
    assert architecture_of({k: v.numpy() for k, v in network.state_dict().items()}) == architecture


@pytest.mark.parametrize(
    "missing",
    ["head.scores.0", "neck.lateral.", "backbone.", "backbone.stem.", "backbone.stages.4."],
)
def test_weights_of_which_a_part_is_missing_are_refused(missing):
    whole = PicoDet(Architecture(scale=0.25, channels=16, head_blocks=1)).state_dict()
    part = {name: v.numpy() for name, v in whole.items() if not name.startswith(missing)}
    with pytest.raises(ModelError, match=r"not a PicoDet's|do not fit"):
        detector_from(part)


@pytest.mark.parametrize("backbone", ["pp_lcnet", "efficientnet_lite"])
def test_a_pack_serves_what_the_network_sees(tmp_path, pack_folder, backbone):
    scale = 0.25 if backbone == "pp_lcnet" else 0
    network = lively_detector(Architecture(backbone, scale, channels=16, head_blocks=1))
    install_detector(
        network,
        Pack.load(pack_folder),
        tmp_path / "served",
        size=SIZE,
        score_threshold=0.3,
        **ORIGIN,
    )
    pack = Pack.load(tmp_path / "served")
    assert pack.name == "served"
    assert pack.embedder == Pack.load(pack_folder).embedder
    # At the input's own size no pixel is resampled; nor where each is there twice.
    image = np.random.default_rng(8).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    wide = np.repeat(image, 2, axis=1)
    detector = Detector(pack, threads=2)
    try:
        found, _ = detector.detect(image, max_results=100)
        found_wide, _ = detector.detect(wide, max_results=100)
    finally:
        detector.close()
    batch = normalisation_of(network.architecture).apply(image[None])
    (rows,) = expected(network, batch, np.ones((1, 2), np.float32))
    rows = rows[rows[:, 0] >= 0.3]
    corners = rows[:, 1:].clip(0, [SIZE[1], SIZE[0], SIZE[1], SIZE[0]])
    assert len(rows) > 5
    assert np.allclose([d.score for d in found], rows[:, 0], atol=1e-3)
    boxes = np.array([[d.box.x1, d.box.y1, d.box.x2, d.box.y2] for d in found])
    assert np.allclose(boxes, corners, atol=0.1)
    # Twice the width, the same content: every box twice as wide, in pixels of this image.
    doubled = np.array([[d.box.x1, d.box.y1, d.box.x2, d.box.y2] for d in found_wide])
    assert np.allclose(doubled, corners * [2, 1, 2, 1], atol=0.2)


def test_installing_into_the_same_pack_replaces_the_detector(pack_folder):
    before = Pack.load(pack_folder)
    with replacing(pack_folder) as folder:
        install_detector(
            lively_detector(), before, folder, size=SIZE, score_threshold=0.3, **ORIGIN
        )
    after = Pack.load(pack_folder)
    assert after.detector.input_size == SIZE
    assert after.embedder == before.embedder
    assert {path.name for path in pack_folder.iterdir()} == {
        "pack.toml",
        *after.detector.sha256,
        *after.embedder.sha256,
    }
