"""Changing images in place with a redo log: killed at any instant, they end wholly old or wholly new."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from imgpatch.images import qemu
from imgpatch.images.container import Image


class Recovered(StrEnum):
    FINISHED = "finished"
    DISCARDED = "discarded"


class InPlace:
    """`with InPlace(images) as change: write into change.overlays; change.commit()`; else it is discarded."""

    overlays: tuple[Image, ...]

    def __init__(self, images: Sequence[Image]) -> None:
        self.images = tuple(images)

    def __enter__(self) -> Self:
        raise NotImplementedError

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        raise NotImplementedError

    def commit(self, progress: qemu.Progress | None = None) -> None:
        """Merges the overlays into the images; from its first instant the change will be finished."""
        raise NotImplementedError


def recover(paths: Sequence[Path]) -> Recovered | None:
    """Finishes or discards what a killed run left at any of these images; None: nothing was left."""
    raise NotImplementedError
