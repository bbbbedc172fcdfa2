"""Remove what no task reads from an environment, and print what that saved: `trim.py /opt/mimo`.

Runs while an image is built. Patterns are of paths below site-packages. Licences and metadata always stay.
"""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

# Tests of other projects; headers and sources for building against them.
EVERYWHERE = (
    "**/tests",
    "**/test",
    "**/*_test.py",
    "**/include",
    "**/*.h",
    "**/*.hpp",
    "**/*.c",
    "**/*.cpp",
    "**/*.pyx",
    "**/*.pxd",
    "**/*.pxi",
    "**/*.pyi",
    "**/*.a",
)
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
    "torch/bin/protoc*",
    "torch/share",
)


def main() -> None:
    (packages,) = Path(sys.argv[1]).glob("lib/python3*/site-packages")
    before = size(packages)
    for path in list(unwanted(packages)):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    shared = link_copies(packages / "pyarrow")
    print(f"trimmed {before - size(packages)} MB of {before} MB, {shared} copies of libraries among them")


def unwanted(packages: Path) -> Iterator[Path]:
    """What is to be removed, each path once and none below another one."""
    seen: set[Path] = set()
    for pattern in (*EVERYWHERE, *BY_PACKAGE):
        for path in packages.glob(pattern):
            if ".dist-info" not in str(path) and not seen.intersection([path, *path.parents]):
                seen.add(path)
                yield path


def link_copies(folder: Path) -> int:
    """Wheels cannot hold links: they hold a library once for each of its names."""
    names: dict[bytes, Path] = {}
    copies = 0
    for path in sorted(folder.glob("lib*.so*")):
        first = names.setdefault(path.read_bytes(), path)
        if first is not path:
            path.unlink()
            path.symlink_to(first.name)
            copies += 1
    return copies


def size(folder: Path) -> int:
    """MB of the files below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*")) // 1_000_000


main()
