import subprocess
import sys

PASSES = """
import resource
from pathlib import Path
from statistics import median

import numpy as np

from models.embedder import Embedder
from models.pack import Pack


def faults_of_a_pass():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    embedder.embed(crops)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


embedder = Embedder(Pack.load(Path("models/packs/embedded")), threads=1)
crops = [np.zeros((224, 224, 3), np.uint8)] * 6
print(int(median([faults_of_a_pass() for _ in range(30)])))
embedder.close()
"""

GROWTH = """
import resource
from pathlib import Path

import numpy as np

from models.embedder import Embedder
from models.pack import Pack


def resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


embedder = Embedder(Pack.load(Path("models/packs/embedded")), threads=1)
before = resident()
for size in (6, 5, 4, 3, 2, 1, 6):
    embedder.embed([np.zeros((224, 224, 3), np.uint8)] * size)
print(resident() - before)
embedder.close()
"""


def test_a_warm_network_takes_no_fresh_pages_from_the_kernel():
    # In a process of its own: threads of this one have arenas already. The maps of six crops alone
    # are more than 7,000 pages. The heap finds its size within some dozen passes, sooner or later
    # as its pieces happen to lie: hence the median.
    assert int(printed(PASSES)) < 200


def test_every_size_of_batch_has_its_memory_from_the_start():
    # Some 190 MB came with the sizes that were new; what is left is what the heap rearranges.
    assert float(printed(GROWTH)) < 100


def printed(program):
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
