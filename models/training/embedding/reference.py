"""The reference's checkpoints of PP-LCNetV2, renamed for our networks.

`general_PPLCNetV2_base_pretrained_v1.0.pdparams` is PP-ShiTuV2's feature extractor as PaddleClas
trained it; `PPLCNetV2_{small,base,large}[_ssld]_pretrained.pdparams` are ImageNet classifiers. The
names in `REFERENCE_NAMES` are read off its published source.
"""

import re
from collections.abc import Iterable

from models.errors import ModelError
from models.nets.pp_lcnet_v2 import PPLCNetV2ShiTu
from models.training.state_dict import Weights, load_weights

# Patterns in the reference's names → ours, all applied, in this order. What no row touches is
# called the same: convolution and norm inside a ConvNorm, tensors inside a norm, the classifier's
# last layer.
REFERENCE_NAMES = (
    # Where a part is. `last_conv` of the feature extractor, under `backbone`, is another layer
    # than the classifier's.
    (r"^backbone\.last_conv\.", "embedding."),
    (r"^last_conv\.", "hidden."),
    (r"^neck\.feat_bn\.", "neck."),
    (r"^(backbone\.)?(stem|stages)\.", r"trunk.\2."),
    # What it is, inside a block.
    (r"\.dw_conv_list\.", ".depthwise.branches."),
    (r"\.dw_conv\.(?=conv\.|bn\.)", ".depthwise."),
    (r"\.se\.conv1\.", ".squeeze.reduce."),
    (r"\.se\.conv2\.", ".squeeze.expand."),
    (r"\.pw_conv(_1)?\.", ".pointwise.0."),
    (r"\.pw_conv_2\.", ".pointwise.1."),
)

# Left out: the identity classifier of the reference's own 192,612 products, and the convolution
# that each row of branches would fold into, which holds its random start until it is served.
UNUSED = re.compile(r"^head\.fc\.|\.dw_conv\.(weight|bias)$")

# Exists at stride 1 only: in the feature extractor, not in a classifier.
_NEW_BRANCH = "trunk.stages.3.0.depthwise.branches.2."


def is_reference(names: Iterable[str]) -> bool:
    """Whether a state dict with these names was written by the reference."""
    return any(name.removeprefix("backbone.") == "stem.0.conv.weight" for name in names)


def our_name(reference: str) -> str:
    """Our name of one of the reference's tensors; names it does not know come back unchanged."""
    for pattern, ours in REFERENCE_NAMES:
        reference = re.sub(pattern, ours, reference)
    return reference


def our_weights(reference: Weights) -> Weights:
    """The reference's state dict under our names, without what is `UNUSED`."""
    return {our_name(name): of for name, of in reference.items() if not UNUSED.search(name)}


def load_trunk(network: PPLCNetV2ShiTu, classifier: Weights) -> None:
    """Start from an ImageNet classifier, its weights under our names.

    What only the classifier has is left over. What only the feature extractor has keeps its start:
    embedding, neck, and a branch of kernel 1 in the block whose stride is 1 here and 2 there.

    Raises:
        ModelError: tensors of the trunk are missing or of another shape.
    """
    ours = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    new = {
        name: tensor
        for name, tensor in ours.items()
        if not name.startswith("trunk.") or name.startswith(_NEW_BRANCH)
    }
    trunk = {name: of for name, of in classifier.items() if name.startswith("trunk.")}
    if new.keys() & trunk.keys():
        raise ModelError("These weights are a feature extractor's, not an ImageNet classifier's")
    load_weights(network, new | trunk)
