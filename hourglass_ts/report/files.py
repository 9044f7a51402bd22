"""Writing a file whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_aside(path: str | Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the name `path` when the block ends, and is removed when it fails.

    It keeps the suffixes of `path`, by which writers choose a format or a compression.

    Example:
        >>> folder = getfixture("tmp_path")
        >>> with written_aside(folder / "a.txt") as aside:
        ...     _ = aside.write_text("whole")
        >>> [file.name for file in folder.iterdir()]
        ['a.txt']
    """
    path = Path(path)
    aside = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield aside
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
