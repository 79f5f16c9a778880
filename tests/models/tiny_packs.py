"""Packs put together from the tiny networks."""

import shutil
from pathlib import Path

from models.pack import Pack, PackManifest, sha256_of
from tests.models.tiny_networks import DETECTOR_SIDE, DIMENSION, EMBEDDER_SIDE

LEGACY = Path(__file__).parents[1] / "data" / "legacy"

NETWORK = {
    "scale": 1 / 255,
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
    "licence": "Apache-2.0",
    "origin": "made for this test",
}


def write_pack(
    folder: Path,
    source: Path,
    *,
    detector: str = "detector",
    embedder: str = "embedder",
    detector_fields: dict | None = None,
    embedder_fields: dict | None = None,
) -> Path:
    """A pack called like `folder` with two networks of `source`, by their file stems."""
    folder.mkdir()
    manifest = PackManifest.model_validate(
        {
            "name": folder.name,
            "version": "1.0.0",
            "description": "tiny networks",
            "detector": NETWORK
            | _files(source, detector, folder)
            | {
                "input_size": [DETECTOR_SIDE, DETECTOR_SIDE],
                "interpolation": "cubic",
                "score_threshold": 0.6,
                "max_results": 5,
            }
            | (detector_fields or {}),
            "embedder": NETWORK
            | _files(source, embedder, folder)
            | {
                "input_size": [EMBEDDER_SIDE, EMBEDDER_SIDE],
                "interpolation": "linear",
                "dimension": DIMENSION,
                "match_threshold": 0.5,
                "ambiguous_margin": 0.02,
            }
            | (embedder_fields or {}),
        }
    )
    return Pack.write(folder, manifest).folder


def model_files(source: Path, stem: str) -> tuple[Path, Path]:
    """Model and params of a network in either format."""
    new, legacy = source / f"{stem}.json", source / f"{stem}.pdmodel"
    return (new if new.exists() else legacy), source / f"{stem}.pdiparams"


def _files(source: Path, stem: str, folder: Path) -> dict:
    copies = [Path(shutil.copy(path, folder)) for path in model_files(source, stem)]
    return {
        "model": copies[0].name,
        "params": copies[1].name,
        "sha256": {path.name: sha256_of(path) for path in copies},
    }
