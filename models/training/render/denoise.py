"""Removes path tracing noise but keeps label art: filters the light, not the picture.

Edge-avoiding a-trous wavelets (Dammertz et al., High Performance Graphics 2010) on the radiance
divided by the surface colour, guided by the surface normals. Two paths a pixel then look like
forty, and print stays as sharp as the samples drew it.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]
_FLOOR = np.float32(0.03)
_LEVELS = 4
# One dimension of the 3 x 3 B-spline kernel.
_KERNEL = {-1: 0.5, 0: 1.0, 1: 0.5}


def denoise(light: Picture, albedo: Picture, normals: Picture) -> Picture:
    """The light without its noise. All [H,W,3]: linear RGB twice, normals in 0..1."""
    colour = albedo + _FLOOR
    shade = light / colour
    # A single path that met a lamp by chance must not become a blot, nor may a pixel on an
    # outline, whose few samples of light and of colour fell on different sides of it.
    calm = np.stack([cv2.medianBlur(np.ascontiguousarray(c), 5) for c in np.moveaxis(shade, 2, 0)])
    typical = np.moveaxis(calm, 0, 2)
    shade = np.clip(shade, np.float32(0.6) * typical, 3 * typical + np.float32(0.15))
    for level in range(_LEVELS):
        shade = _smooth(shade, normals, 2**level, 0.9 * 0.6**level)
    return np.asarray(shade * colour, dtype=np.float32)


def _smooth(shade: Picture, normals: Picture, step: int, contrast: float) -> Picture:
    """One level: neighbours step pixels away, weighted by normal and by log brightness."""
    tone = cv2.GaussianBlur(np.log(shade.mean(axis=2) + 0.02), (0, 0), 0.8)
    wide = ((step, step), (step, step), (0, 0))
    far_shade = np.pad(shade, wide, mode="edge")
    far_tone = np.pad(tone, step, mode="edge")
    far_normals = np.pad(normals, wide, mode="edge")
    height, width = tone.shape
    total = np.zeros_like(shade)
    weights = np.zeros_like(tone)
    for down, share_down in _KERNEL.items():
        for right, share_right in _KERNEL.items():
            there = np.s_[
                step * (1 + down) : step * (1 + down) + height,
                step * (1 + right) : step * (1 + right) + width,
            ]
            turn = far_normals[there] - normals
            bend = np.einsum("hwc,hwc->hw", turn, turn)
            change = (far_tone[there] - tone) / np.float32(contrast)
            weight = np.float32(share_down * share_right) * np.exp(
                -bend * np.float32(48) - change * change
            )
            total += far_shade[there] * weight[..., None]
            weights += weight
    return np.asarray(total / weights[..., None], dtype=np.float32)
