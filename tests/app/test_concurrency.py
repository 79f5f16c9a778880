"""Many clients at once over a real socket: every answer belongs to its image."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from tests.app import pictures
from tests.app.processes import running_service

PRODUCTS = 12
ROUNDS = 3


@pytest.mark.parametrize("engine", ["paddle-fp32", "openvino-fp32"])
def test_answers_belong_to_their_images(tmp_path: Path, engine: str) -> None:
    settings = {"engine": engine, "sample_gallery": False, "log_level": "warning"}
    with running_service(tmp_path / "data", **settings) as service:
        for seed in range(PRODUCTS):
            path = f"/gallery/products/p{seed}"
            service.client.put(path, json={"name": f"p{seed}"})
            service.client.post(f"{path}/images", files={"image": pictures.jpeg(seed)})

        def ask(seed: int) -> list[str]:
            with httpx2.Client(base_url=service.url, timeout=60, trust_env=False) as client:
                answers = [
                    client.post(f"/recognize?detect={detect}", files={"image": pictures.jpeg(seed)})
                    for detect in ("false", "true", "false")[:ROUNDS]
                ]
            return [
                answer.json()["results"][0]["candidates"][0]["product_id"] for answer in answers
            ]

        with ThreadPoolExecutor(PRODUCTS) as pool:
            seen = list(pool.map(ask, range(PRODUCTS)))
        assert seen == [[f"p{seed}"] * ROUNDS for seed in range(PRODUCTS)]
