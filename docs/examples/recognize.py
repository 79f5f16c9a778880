"""TILLSIGHT_URL=http://127.0.0.1:8000 TILLSIGHT_KEY=tillsight_… python recognize.py photo.jpg."""

import os
import sys
from pathlib import Path

from tillsight.client import Client, TillSightError

with Client(os.environ["TILLSIGHT_URL"], key=os.environ["TILLSIGHT_KEY"]) as tillsight:
    try:
        answer = tillsight.recognize(Path(sys.argv[1]))
    except TillSightError as error:
        sys.exit(f"{error.code}: {error.detail}")
for result in answer["results"]:
    product = result["product"]
    print(result["outcome"], product["name"] if product else "-", result["score"])
