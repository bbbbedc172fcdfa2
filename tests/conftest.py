"""What all tests share: one thread for each of the workers and the processes they start, and property tests without
deadlines, which only measure how busy a machine is."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")   # before torch is imported; two pools on two cores fight for them

from hypothesis import settings

settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")
