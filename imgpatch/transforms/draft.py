"""Several changes of one transform on top of each other; not a transform."""

from __future__ import annotations

from collections.abc import Iterator

from imgpatch.guest import Guest
from imgpatch.plan import Edit, Reason, planned


class Draft:
    """The guest as the transform leaves it so far."""

    def __init__(self, guest: Guest) -> None:
        self._before = guest
        self._after: dict[str, bytes | None] = {}
        self._reasons: dict[str, tuple[Reason, ...]] = {}

    @property
    def guest(self) -> Guest:
        return planned(self._before, self._after)

    def put(self, path: str, after: bytes | str, reason: Reason) -> None:
        """New contents of a file, on top of what was put before."""
        real = self._before.resolve(path)
        data = after.encode("utf-8", "surrogateescape") if isinstance(after, str) else after
        if self.guest.read(real) != data:
            self._after[real] = data
            self._reasons[real] = (*self._reasons.get(real, ()), reason)

    def copy(self) -> Draft:
        """One to try something on."""
        other = Draft(self._before)
        other._after = dict(self._after)
        other._reasons = dict(self._reasons)
        return other

    def adopt(self, other: Draft) -> None:
        """Takes over what was tried."""
        self._after = dict(other._after)
        self._reasons = dict(other._reasons)

    def edits(self) -> Iterator[Edit]:
        """One edit a file that has become another."""
        for path, after in self._after.items():
            if after != self._before.read(path):
                yield Edit(path, after, self._reasons[path])
