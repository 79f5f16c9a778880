"""Faiss, imported so that users see neither its log lines nor its deprecation warnings."""

from __future__ import annotations

import importlib
import logging
import warnings
from typing import Any

logging.getLogger("faiss").setLevel(logging.WARNING)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    # Without its type stubs, which leave out half of what is used here.
    faiss: Any = importlib.import_module("faiss")
