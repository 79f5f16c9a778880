"""A shipped network back in one that trains: its batch norms, folded at export, unfolded again.

Exports keep a convolution and what its batch norm did to it as one weight and one bias
(`models.training.export.fold_batch_norms`). Any batch norm that undoes the folding gives the same
answers; which one decides how the network goes on learning.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from models.training.recipes.twin import ConvNorm, LiteConvNorm, Twin

LEAST_SCALE = 0.02  # of a published batch norm; dividing by less would make its weights huge


@torch.no_grad()  # type: ignore[untyped-decorator]
def unfold(twin: Twin, folded: dict[str, Tensor], samples: Iterable[Tensor]) -> None:
    """Set `twin` to the folded weights.

    Args:
        twin: holds the published trunk, whose statistics the trunk keeps. Those of neck and head
            become what the samples show there, as if training had just ended.
        folded: by the network's names; every convolution has a bias.
        samples: batches of inputs, float32 [N, 3, H, W].
    """
    for name, module in twin.named_modules():
        if isinstance(module, LiteConvNorm | ConvNorm):
            weight, bias = folded[f"{name}.conv.weight"], folded[f"{name}.conv.bias"]
            if isinstance(module, LiteConvNorm):
                _as_published(module, weight, bias)
            else:
                module.conv.weight.copy_(weight)
                _set(module.bn, torch.zeros_like(bias), torch.ones_like(bias), bias)
    for name, parameter in twin.head.named_parameters(prefix="head"):
        if name in folded:
            parameter.copy_(folded[name])
    _measure(twin, samples)


def _as_published(module: LiteConvNorm, weight: Tensor, bias: Tensor) -> None:
    bn = module.bn
    scale = bn.weight / (bn.running_var + bn.eps).sqrt()
    tiny = scale.abs() < LEAST_SCALE
    bn.weight[tiny] = (bn.running_var[tiny] + bn.eps).sqrt()
    scale = torch.where(tiny, 1.0, scale)
    module.conv.weight.copy_(weight / scale[:, None, None, None])
    bn.bias.copy_(bias + bn.running_mean * scale)


def _set(bn: nn.BatchNorm2d, mean: Tensor, variance: Tensor, bias: Tensor) -> None:
    """Statistics, and a norm that takes x to x + `bias` with them."""
    bn.running_mean.copy_(mean)
    bn.running_var.copy_(variance)
    bn.weight.copy_((variance + bn.eps).sqrt())
    bn.bias.copy_(bias + mean)


def _measure(twin: Twin, samples: Iterable[Tensor]) -> None:
    """Statistics of neck and head from what the samples show there; answers stay as they are."""
    norms = [m.bn for m in twin.modules() if isinstance(m, ConvNorm)]
    sums = {bn: [torch.zeros(bn.num_features, dtype=torch.float64) for _ in "12"] for bn in norms}
    counts = dict.fromkeys(norms, 0)

    def count_in(bn: nn.BatchNorm2d, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].double()
        counts[bn] += x.numel() // x.shape[1]
        sums[bn][0] += x.sum((0, 2, 3))
        sums[bn][1] += (x * x).sum((0, 2, 3))

    hooks = [bn.register_forward_pre_hook(count_in) for bn in norms]
    twin.eval()
    for batch in samples:
        twin(batch)
    for hook in hooks:
        hook.remove()
    for bn in norms:
        mean, square = (total / counts[bn] for total in sums[bn])
        added = bn.bias - bn.running_mean  # by the norm as it is: its scale is 1
        _set(bn, mean.float(), (square - mean * mean).clamp(min=0).float(), added)
