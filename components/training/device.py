"""Where a stage trains: the first GPU if there is one, else the CPU; and in which type weights are kept."""

from __future__ import annotations

import torch


def pick_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
