"""Where a stage trains: the first GPU if there is one, else the CPU; and how fast that device can be at best."""

from __future__ import annotations

import torch

# dense bf16 FLOP/s from the vendors' data sheets, by a part of the name that the driver gives
PEAK_FLOPS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "B200": 2250e12, "L40S": 362e12, "H20": 148e12}


def pick_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def peak_flops(device: torch.device) -> float | None:
    """Dense bf16 FLOP/s of a GPU we know, None for any other device."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAK_FLOPS.items() if part in name), None)
