"""Backgrounds: textures of tables and walls, and the light of a room, all made by seed."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]
_SIZE = 768


def _noise(rng: np.random.Generator, columns: int, rows: int) -> Picture:
    """Smooth noise [_SIZE,_SIZE] in 0..1 with about columns x rows bumps."""
    coarse = rng.random((max(rows, 2), max(columns, 2)), dtype=np.float32)
    return np.clip(cv2.resize(coarse, (_SIZE, _SIZE), interpolation=cv2.INTER_CUBIC), 0, 1)


def _cloud(rng: np.random.Generator, start: int, octaves: int) -> Picture:
    layers = [_noise(rng, start * 2**i, start * 2**i) / 2**i for i in range(octaves)]
    total = np.sum(layers, axis=0, dtype=np.float32)
    return np.asarray((total - total.min()) / np.ptp(total), dtype=np.float32)


def _mix(a: NDArray[np.floating], b: NDArray[np.floating], share: Picture) -> Picture:
    blended = a + (b - a) * share[..., None]
    return np.asarray(blended, dtype=np.float32)


def _tint(rng: np.random.Generator) -> NDArray[np.float64]:
    """Gains of a faint colour, from cream to blue-grey, as plain materials have it."""
    warmth, green = rng.uniform(-0.03, 0.09), rng.uniform(-0.015, 0.015)
    return np.array([1 + warmth, 1 + green, 1 - warmth])


def _wood(rng: np.random.Generator) -> Picture:
    tone = np.array([0.62, 0.42, 0.26]) * rng.uniform(0.55, 1.35) + rng.uniform(-0.04, 0.1)
    grain = 0.6 * _noise(rng, 5, 150) + 0.4 * _noise(rng, 12, 380)
    rings = 0.5 + 0.5 * np.sin(_noise(rng, 3, 14) * 40)
    wood = _mix(tone * 0.62, tone * 1.12, 0.65 * grain + 0.35 * rings.astype(np.float32))
    planks = int(rng.integers(4, 8))
    for plank in range(planks):
        top, bottom = plank * _SIZE // planks, (plank + 1) * _SIZE // planks
        wood[top:bottom] = np.roll(wood[top:bottom], int(rng.integers(_SIZE)), axis=1)
        wood[top:bottom] *= rng.uniform(0.85, 1.12)
        wood[top : top + 2] *= 0.45
    return wood


def _stone(rng: np.random.Generator) -> Picture:
    veins = np.abs(_cloud(rng, 3, 6) - 0.5) * 2
    light = np.array([0.86, 0.85, 0.83]) * rng.uniform(0.3, 1.0)
    return _mix(light * rng.uniform(0.55, 0.85), light, np.clip(veins * 3.2, 0, 1))


def _concrete(rng: np.random.Generator) -> Picture:
    tone = np.array([0.6, 0.59, 0.56]) * rng.uniform(0.5, 1.2)
    return _mix(tone * 0.78, tone * 1.08, _cloud(rng, 4, 8))


def _laminate(rng: np.random.Generator) -> Picture:
    tone = rng.uniform(0.3, 0.9) * _tint(rng)
    grains = rng.random((_SIZE, _SIZE), dtype=np.float32)
    speckle = np.asarray(cv2.GaussianBlur(grains, (0, 0), 0.9), dtype=np.float32)
    return _mix(tone * 0.9, tone * 1.03, np.clip((speckle - 0.36) * 4, 0, 1))


def _cloth(rng: np.random.Generator) -> Picture:
    y, x = np.mgrid[0:_SIZE, 0:_SIZE].astype(np.float32)
    weave = 0.5 + 0.25 * (np.sin(x * 1.3) * np.sin(y * 1.3) + 0.5 * _cloud(rng, 6, 6))
    base = rng.uniform(0.35, 0.9) * (1 + rng.uniform(-0.2, 0.2, 3))
    cloth = _mix(base * 0.75, base * 1.08, np.clip(weave, 0, 1))
    if rng.random() < 0.5:
        period = _SIZE // int(rng.integers(4, 9))
        other = rng.uniform(0.1, 0.8, 3)
        for axis in (x, y):
            share = ((axis % period) < period * 0.45).astype(np.float32) * 0.45
            cloth = _mix(cloth, np.broadcast_to(other, cloth.shape) * weave[..., None] * 1.6, share)
    return cloth


def _tiles(rng: np.random.Generator) -> Picture:
    tone = rng.uniform(0.5, 0.92) * _tint(rng)
    tiles = _mix(tone * 0.93, tone, _cloud(rng, 4, 4))
    columns, rows = int(rng.integers(3, 7)), int(rng.integers(3, 9))
    for row in range(rows):
        for column in range(columns):
            cell = np.s_[
                row * _SIZE // rows : (row + 1) * _SIZE // rows,
                column * _SIZE // columns : (column + 1) * _SIZE // columns,
            ]
            tiles[cell] *= rng.uniform(0.92, 1.04)
            tiles[cell][:5] = tone * 0.72
            tiles[cell][:, :5] = tone * 0.72
    return tiles


def _paint(rng: np.random.Generator) -> Picture:
    tone = rng.uniform(0.4, 0.92) * _tint(rng)
    return _mix(tone * 0.95, tone, _cloud(rng, 3, 7))


_MAKERS: dict[str, Callable[[np.random.Generator], Picture]] = {
    "wood": _wood,
    "stone": _stone,
    "concrete": _concrete,
    "laminate": _laminate,
    "cloth": _cloth,
    "tiles": _tiles,
    "paint": _paint,
}
TABLES = ("wood", "stone", "concrete", "laminate", "cloth", "paint")
WALLS = ("paint", "tiles", "wood", "concrete", "paint")


def surface(kind: str, seed: int) -> NDArray[np.uint8]:
    """A texture of the kind, sRGB uint8 [768,768,3]; repeats mirrored without a visible edge."""
    made = _MAKERS[kind](np.random.default_rng([seed, 31]))
    return np.asarray(np.clip(made * 255, 0, 255), dtype=np.uint8)


def room_light(seed: int, contrast: float) -> Picture:
    """Light from all around, float32 [64,128,3] linear RGB, latitude by longitude, zenith first.

    A bright ceiling, darker floor and furniture, and one to three lamps or windows; contrast 0
    (overcast) to 1 (a bare lamp) decides how hard the shadows are.
    """
    rng = np.random.default_rng([seed, 32])
    height, width = 64, 128
    up = np.linspace(1, -1, height, dtype=np.float32)[:, None, None]
    warm = np.array([1.0, 0.93, 0.84]) if rng.random() < 0.5 else np.array([0.92, 0.97, 1.05])
    ceiling, floor = 0.75 * warm, 0.28 * np.array([1.0, 0.92, 0.82])
    light = floor + (ceiling - floor) * (0.5 + 0.5 * up)
    light = np.repeat(light, width, axis=1)
    clutter = cv2.resize(rng.random((9, 24), dtype=np.float32), (width, height))
    band = np.exp(-((up[..., 0] / 0.4) ** 2))
    light *= (1 - 0.75 * band * np.clip(clutter * 1.6 - 0.4, 0, 1))[..., None]
    glow = np.zeros_like(light)
    for lamp in range(int(rng.integers(1, 4))):
        row = int(rng.integers(4, 24))
        rows, columns = int(rng.integers(4, 9)), int(rng.integers(4, 13))
        # Column 64 lies behind the camera. The first lamp is the one a photographer would choose:
        # from the camera's side, not against it; others are weaker and anywhere.
        middle = rng.uniform(0.2, 0.8) if lamp == 0 else rng.uniform(0, 1)
        strength = 1.0 if lamp == 0 else rng.uniform(0.1, 0.4)
        patch = np.zeros((height, width), dtype=np.float32)
        patch[row : row + rows, :columns] = strength / (rows * columns)
        patch = np.roll(patch, int(middle * width) - columns // 2, axis=1)
        glow += patch[..., None] * (warm * rng.uniform(0.9, 1.1, 3))
    glow *= 1400 + 5600 * contrast
    return np.asarray(light + cv2.GaussianBlur(glow, (0, 0), 0.8), dtype=np.float32)
