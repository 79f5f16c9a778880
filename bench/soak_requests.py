"""What the soaks send: photographs with known answers, requests that misbehave, new products."""

import asyncio
import json
from collections.abc import Sequence

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from bench.photographs import QUALITY, SCENES
from bench.serve import HOST, Connection, agrees, post

VIEWS = 6  # of each scene
VIEW_PART = 0.7  # of a scene's sides
SLOW_SECONDS, SLOW_PIECES = 5.0, 25
CANCELLED_WITHIN = 0.5  # seconds
TAUGHT_SIDE, TAUGHT_BLOCKS = 160, 5  # pixels; blocks of colour a side
# Rounding differs with the size of a batch.
SAME_VECTOR = 0.999


class Truth:
    """Photographs, and what the service says of each while nobody else asks."""

    def __init__(self, photographs: Sequence[bytes], answers: dict[str, list[bytes]]) -> None:
        self.photographs = photographs
        self._answers = answers
        self._vectors = [vector_of(answer) for answer in answers["embed"]]

    @classmethod
    async def told(cls, port: int) -> "Truth":
        photographs = views()
        connection = Connection(port)
        answers = {
            kind: [(await connection.ask(post(f"/{kind}", photo)))[1] for photo in photographs]
            for kind in ("recognize", "detect", "embed")
        }
        connection.close()
        return cls(photographs, answers)

    def agrees(self, kind: str, number: int, answer: bytes) -> bool:
        """Whether an answer is that of its photograph."""
        if kind == "recognize":
            return agrees(answer, self._answers[kind][number])
        if kind == "embed":
            return float(vector_of(answer) @ self._vectors[number]) > SAME_VECTOR
        told, expected = (
            json.loads(a)["detections"] for a in (answer, self._answers[kind][number])
        )
        return len(told) == len(expected) and all(
            abs(a["box"][side] - b["box"][side]) <= 1
            for a, b in zip(told, expected, strict=True)
            for side in a["box"]
        )


def views() -> list[bytes]:
    """Windows of the sample scenes as JPEGs: many photographs that show different things."""
    made: list[bytes] = []
    for path in sorted(SCENES.glob("*.jpg")):
        scene = simplejpeg.decode_jpeg(path.read_bytes(), "RGB")
        height, width = (int(side * VIEW_PART) for side in scene.shape[:2])
        room = scene.shape[0] - height, scene.shape[1] - width
        rng = np.random.default_rng(len(made))
        for _ in range(VIEWS):
            y, x = (int(rng.integers(side)) for side in room)
            window = np.ascontiguousarray(scene[y : y + height, x : x + width])
            made.append(simplejpeg.encode_jpeg(window, QUALITY, "RGB", "420"))
    return made


def novelty(rng: np.random.Generator) -> bytes:
    """A JPEG of blocks of colour that nobody has seen before."""
    blocks = rng.integers(0, 256, (TAUGHT_BLOCKS, TAUGHT_BLOCKS, 3), dtype=np.uint8)
    pixels = cv2.resize(blocks, (TAUGHT_SIDE, TAUGHT_SIDE), interpolation=cv2.INTER_NEAREST)
    jpeg: bytes = simplejpeg.encode_jpeg(pixels, QUALITY, "RGB", "420")
    return jpeg


def vector_of(answer: bytes) -> NDArray[np.float32]:
    return np.asarray(json.loads(answer)["embeddings"][0]["vector"], np.float32)


async def trickled(port: int, request: bytes) -> int:
    """The status of the answer to a request that takes its time."""
    reader, writer = await asyncio.open_connection(HOST, port)
    step = len(request) // SLOW_PIECES + 1
    for start in range(0, len(request), step):
        writer.write(request[start : start + step])
        await asyncio.sleep(SLOW_SECONDS / SLOW_PIECES)
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return int(head.split(b" ", 2)[1])


async def cancelled(port: int, request: bytes, rng: np.random.Generator) -> None:
    """Half of a request or all of it, and away."""
    _, writer = await asyncio.open_connection(HOST, port)
    writer.write(request[: len(request) // int(rng.integers(1, 3))])
    await asyncio.sleep(float(rng.uniform(0, CANCELLED_WITHIN)))
    writer.close()


def broken(photograph: bytes, rng: np.random.Generator) -> bytes:
    """A request that must be refused: no image, half of one, or a form that is none."""
    return (
        post("/recognize", rng.bytes(10_000)),
        post("/recognize", photograph[: len(photograph) // 2]),
        post("/recognize", photograph, "multipart/form-data; boundary=x"),
    )[int(rng.integers(3))]
