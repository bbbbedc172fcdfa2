"""What this code is, as one digest: a container image says with it which sources it holds. Imports nothing else."""

import hashlib
from pathlib import Path

SKIPPED = "__pycache__"


def sources_digest() -> str:
    """sha256 over name and content of every file below `components/`."""
    folder = Path(__file__).parent
    hasher = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and SKIPPED not in path.parts):
        content = path.read_bytes()
        hasher.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)
    return hasher.hexdigest()
