"""Weights of a PicoDet on disk: its state dict, which also tells its architecture.

A pack's detector can be trained further: `models.training.export_detector` gives every parameter of
the program its name in the state dict, and `batch_norms` puts back what it folded.
"""

from pathlib import Path

from models.errors import ModelError
from models.nets import pp_lcnet
from models.nets.efficientnet_lite import SCALES, EfficientNetLite
from models.nets.picodet import Architecture, PicoDet
from models.training.convert import efficientnet_lite
from models.training.detection.reference import is_reference, our_name, our_weights
from models.training.export import fold_batch_norms
from models.training.state_dict import Weights, load_weights, read_program, read_state_dict

_ALL_STRIDES = (8, 16, 32, 64)
_PARTS = ("backbone.", "neck.", "head.")
_BLOCKS = "backbone.blocks."
_BATCH_NORM = "backbone.stem.bn.weight"


def read_weights(path: Path) -> Weights:
    """The state dict in a `.pdparams` file, ours or the reference's, under our names.

    Raises:
        ModelError: the file does not exist or is no state dict.
    """
    loaded = read_state_dict(path)
    return our_weights(loaded) if is_reference(loaded) else loaded


def read_exported(model: Path) -> Weights:
    """The parameters of a detector that this project exported (`.json` and `.pdiparams`).

    Raises:
        ModelError: the program is not one of ours.
    """
    weights = {
        name: tensor for name, tensor in read_program(model).items() if name.startswith(_PARTS)
    }
    if not weights:
        raise ModelError(f"{model} holds no PicoDet of this project: it cannot be trained further")
    return weights


def architecture_of(weights: Weights) -> Architecture:
    """The architecture that has these weights, told by names and shapes.

    Raises:
        ModelError: none has.
        KeyError, TypeError, ValueError: some that tell it are missing, or are single numbers.
    """
    levels = {int(name.split(".")[2]) for name in weights if name.startswith("head.scores.")}
    blocks = {
        int(name.split(".")[3]) for name in weights if name.startswith("head.score_towers.0.")
    }
    if not levels:
        raise ModelError("These weights are not a PicoDet's: they have no head")
    extra = any(name.startswith("neck.extra_input.") for name in weights)
    last = len(_ALL_STRIDES) if extra else len(_ALL_STRIDES) - 1
    lcnet = "backbone.stages.0.0.depthwise.conv.weight" in weights
    scale, kept = (_lcnet_scale(weights), None) if lcnet else _efficientnet_variant(weights)
    return Architecture(
        backbone="pp_lcnet" if lcnet else "efficientnet_lite",
        scale=scale,
        channels=len(weights["neck.lateral.0.conv.weight"]),
        strides=_ALL_STRIDES[last - len(levels) : last],
        head_blocks=len(blocks),
        shared_towers=not any(name.startswith("head.side_towers.") for name in weights),
        blocks=kept,
    )


def detector_from(weights: Weights) -> PicoDet:
    """The network with these weights, its batch norms folded or not, in evaluation mode.

    Raises:
        ModelError: they are no PicoDet's, or some are missing, left over or of another shape.
    """
    try:
        network = PicoDet(architecture_of(weights))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            "These weights are not a PicoDet's: some that tell its architecture are missing"
        ) from error
    if _BATCH_NORM not in weights:
        fold_batch_norms(network)
    load_weights(network, weights)
    network.eval()
    return network


def _lcnet_scale(weights: Weights) -> float:
    widths = (
        len(weights["backbone.stem.conv.weight"]),
        len(weights["backbone.stages.4.1.pointwise.conv.weight"]),
    )
    for scale in pp_lcnet.SCALES:
        unscaled = (pp_lcnet.STEM_CHANNELS, pp_lcnet.STAGES[-1].channels)
        if widths == tuple(pp_lcnet.scaled_channels(count, scale) for count in unscaled):
            return scale
    raise ModelError(f"No published PP-LCNet is {widths[0]} to {widths[1]} channels wide")


def _efficientnet_variant(weights: Weights) -> tuple[int, int | None]:
    """The number in the name, and how many blocks there are if not all."""
    # Of convolutions alone: batch norms may be folded.
    shapes = {
        name: list(tensor.shape)
        for name, tensor in weights.items()
        if name.startswith("backbone.") and name.endswith(".conv.weight")
    }
    blocks = 1 + max(int(name.split(".")[2]) for name in shapes if name.startswith(_BLOCKS))
    for variant in range(len(SCALES)):
        network = EfficientNetLite(variant)
        whole = {f"backbone.{name}": tensor.shape for name, tensor in network.state_dict().items()}
        if shapes.items() <= whole.items():
            return variant, None if blocks == len(network.blocks) else blocks
    raise ModelError(f"No EfficientNet-Lite begins with these {blocks} blocks")


def read_backbone(path: Path) -> Weights:
    """Backbone weights out of an ImageNet classifier, under the detector's names.

    Either PP-LCNet's published `.pdparams`, whose trunk is called as in the reference's detector,
    or EfficientNet-Lite's published `.pth`.

    Raises:
        ModelError: the file cannot be read.
    """
    if path.suffix == ".pth":
        trunk = efficientnet_lite(path).trunk.state_dict()
        return {f"backbone.{name}": tensor.numpy() for name, tensor in trunk.items()}
    return {our_name(f"backbone.{name}"): tensor for name, tensor in read_weights(path).items()}


def load_backbone(network: PicoDet, weights: Weights) -> None:
    """Set the backbone of `network`; what only the classifier had is left over.

    Raises:
        ModelError: tensors are missing or of another shape.
    """
    ours = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    known = {name: tensor for name, tensor in weights.items() if name in ours}
    others = {name: tensor for name, tensor in ours.items() if not name.startswith("backbone.")}
    load_weights(network, others | known)
