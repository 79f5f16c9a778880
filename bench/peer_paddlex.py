"""PaddleX's PP-ShiTuV2 pipeline as `bench.peers` measures it: run by the Python of its environment.

    PYTHON bench/peer_paddlex.py MODELS REFERENCES --threads 2

MODELS holds `det` and `rec`, each an exported model with its `inference.yml`; REFERENCES is a list
of reference images with their products. Answers each line of standard input, the most boxes and the
path of a photograph, with a line of JSON: milliseconds, boxes, products.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

from paddlex import create_pipeline
from paddlex.inference import PaddlePredictorOption

# So low that there are always as many boxes as are asked for.
DETECTION_THRESHOLD = 0.03


class Features:
    """Its feature model; 3.7.2 gives rows [1, D] where its own index takes [D]."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __call__(self, images: list[Any]) -> Iterator[dict[str, Any]]:
        for result in self._model(images):
            result["feature"] = result["feature"].reshape(-1)
            yield result

    predict = __call__


class Capped:
    """Its detector; it knows a threshold but no most, so what it gives is cut to the best."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.most = 1

    def __call__(self, *args: Any, **kwargs: Any) -> Iterator[dict[str, Any]]:
        for result in self._model(*args, **kwargs):
            best = sorted(result["boxes"], key=lambda box: -box["score"])
            result["boxes"] = best[: self.most]
            yield result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", type=Path)
    parser.add_argument("references", type=Path)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    config = {
        "pipeline_name": "PP-ShiTuV2",
        "index": None,
        "det_threshold": DETECTION_THRESHOLD,
        "rec_threshold": -1.0,
        "rec_topk": 5,
        "SubModules": {
            "Detection": {
                "module_name": "text_detection",
                "model_name": "PP-ShiTuV2_det",
                "model_dir": str(options.models / "det"),
                "batch_size": 1,
            },
            "Recognition": {
                "module_name": "text_recognition",
                "model_name": "PP-ShiTuV2_rec",
                "model_dir": str(options.models / "rec"),
                "batch_size": 1,
            },
        },
    }
    option = PaddlePredictorOption(run_mode="mkldnn", cpu_threads=options.threads)
    pipeline = create_pipeline(config=config, device="cpu", pp_option=option)
    pipeline.det_model = capped = Capped(pipeline.det_model)
    pipeline.rec_model = Features(pipeline.rec_model)
    references = json.loads(options.references.read_text(encoding="utf-8"))
    index = pipeline.build_index(
        [path for path, _ in references], [product for _, product in references], index_type="Flat"
    )
    print("ready", flush=True)
    for line in sys.stdin:
        most, _, path = line.strip().partition(" ")
        capped.most = int(most)
        start = perf_counter()
        (result,) = pipeline.predict(path, index=index)
        elapsed = (perf_counter() - start) * 1000
        found = [(box["labels"][0], box["coordinate"]) for box in result["boxes"]]
        print(json.dumps({"ms": elapsed, "boxes": len(found), "products": [p for p, _ in found]}))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
