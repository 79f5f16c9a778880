import subprocess
import sys

PASSES = """
import resource
from pathlib import Path

import numpy as np

from models.embedder import Embedder
from models.pack import Pack

embedder = Embedder(Pack.load(Path("models/packs/embedded")), threads=1)
crops = [np.zeros((224, 224, 3), np.uint8)] * 6
for _ in range(3):
    embedder.embed(crops)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    embedder.embed(crops)
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 5)
embedder.close()
"""


def test_a_warm_network_takes_no_fresh_pages_from_the_kernel():
    # In a process of its own: threads of this one have arenas already. The maps of six crops alone
    # are more than 7,000 pages.
    ran = subprocess.run([sys.executable, "-c", PASSES], capture_output=True, text=True, check=True)
    assert int(ran.stdout) < 200
