"""From linear light to a photograph: exposure, white balance, tone curve and a camera's faults."""

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.render.scene import Develop


def develop(light: NDArray[np.float32], how: Develop, seed: int) -> NDArray[np.uint8]:
    """Linear RGB radiance [H,W,3] as an sRGB picture uint8 [H,W,3], JPEG artefacts included."""
    rng = np.random.default_rng([seed, 61])
    height, width = light.shape[:2]
    grey = light @ np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
    # Between metering for the middle greys and for the highlights, as cameras do.
    gain = np.sqrt(0.3 / max(grey.mean(), 1e-6) * 0.9 / max(np.percentile(grey, 96), 1e-6))
    exposed = light * gain * 2**how.stops * np.array([how.red, 1.0, how.blue], dtype=np.float32)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    corner = ((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2) * 2
    exposed *= (1 - how.vignette * corner)[..., None]
    # A shoulder: linear to 0.7, then ever slower towards 1.
    bright = np.maximum(exposed - 0.7, 0)
    toned = np.minimum(exposed, 0.7) + 0.3 * (1 - np.exp(-bright / 0.3))
    curved = np.where(toned <= 0.0031308, toned * 12.92, 1.055 * toned ** (1 / 2.4) - 0.055)
    blurred = cv2.GaussianBlur(curved.astype(np.float32), (0, 0), max(how.blur, 0.05))
    grain = rng.normal(0, how.noise / 255, (height, width, 1))
    grain = grain + rng.normal(0, 0.5 * how.noise / 255, (height, width, 3))
    picture = np.clip((blurred + grain) * 255 + 0.5, 0, 255).astype(np.uint8)
    _, data = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, how.quality]
    )
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), dtype=np.uint8)
