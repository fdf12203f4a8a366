"""Content digests of folders, so that what did not change is not done again."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

_IGNORED = {"__pycache__", ".DS_Store"}


def files(folder: Path) -> Iterator[Path]:
    """Yield the files below `folder`, or `folder` itself when it is a file, in a stable order."""
    if folder.is_file():
        yield folder
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name not in _IGNORED:
            yield from files(path)


def of(paths: Iterable[Path], *words: str) -> str:
    """Return the SHA-256 digest of the contents and names below `paths` and of `words`, in hex."""
    digest = hashlib.sha256("\0".join(words).encode())
    for root in paths:
        for file in files(root):
            digest.update(f"\0{file.relative_to(root.parent)}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()
