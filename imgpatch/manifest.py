"""What was done to a guest, kept in the guest, so that it can be undone from the image alone."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imgpatch.errors import FormatError
from imgpatch.guest import Guest

MANIFEST_PATH = "/var/lib/imgpatch/manifest.json"
WINDOWS_MANIFEST_PATH = "/C:/ProgramData/imgpatch/manifest.json"
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Row:
    """One changed file.

    Attributes:
        kept: path of the original, None where there was no file before.
        before: sha256 of the original, None where there was no file.
        after: sha256 of what was written, None where the file was taken away.
        rules: why, as ids of the documents.
        flags: lsattr(1) flags the original had.
    """

    path: str
    kept: str | None
    before: str | None
    after: str | None
    rules: tuple[str, ...]
    flags: str = ""


@dataclass(frozen=True, slots=True)
class DirectoryTimes:
    """The times of a folder before anything in it was touched, in nanoseconds since 1970."""

    path: str
    atime: int
    mtime: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """Rows in the order of the plan; created directories outermost first."""

    rows: tuple[Row, ...] = ()
    directories: tuple[DirectoryTimes, ...] = ()
    created_directories: tuple[str, ...] = ()
    edition: str = ""
    digest: str = ""

    def row(self, path: str) -> Row | None:
        return next((row for row in self.rows if row.path == path), None)

    def with_row(self, row: Row) -> Manifest:
        """Replaces the row of the same path, or adds it."""
        rows = tuple(row if r.path == row.path else r for r in self.rows)
        if self.row(row.path) is None:
            rows = (*rows, row)
        return Manifest(rows, self.directories, self.created_directories, self.edition, self.digest)

    def to_bytes(self) -> bytes:
        document = {
            "schema": SCHEMA,
            "edition": self.edition,
            "plan": self.digest,
            "files": [
                {
                    "path": _encode(row.path),
                    "kept": None if row.kept is None else _encode(row.kept),
                    "before": row.before,
                    "after": row.after,
                    "rules": list(row.rules),
                    "flags": row.flags,
                }
                for row in self.rows
            ],
            "directories": [
                {"path": _encode(d.path), "atime": d.atime, "mtime": d.mtime} for d in self.directories
            ],
            "created_directories": [_encode(path) for path in self.created_directories],
        }
        return (json.dumps(document, indent=1) + "\n").encode()

    @classmethod
    def read(cls, guest: Guest) -> Manifest:
        """The manifest of a guest; an empty one where imgpatch has changed nothing.

        Raises:
            FormatError: it is damaged, or of a schema this version does not know.
        """
        path = manifest_path(guest)
        data = guest.read(path)
        if data is None:
            return cls()
        try:
            return _from_document(json.loads(data))
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(
                f"{path}: not a manifest of schema {SCHEMA} ({error!r})",
                hint="it was written by another version, or changed since; restore it from a backup",
            ) from error


def manifest_path(guest: Guest) -> str:
    """Where the manifest of such a guest stands, or would."""
    return guest.resolve(WINDOWS_MANIFEST_PATH) if "/C:" in guest.storage.mounts else MANIFEST_PATH


def sha256(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()


def _from_document(document: Mapping[str, Any]) -> Manifest:
    if document["schema"] != SCHEMA:
        raise ValueError(f"schema {document['schema']}")
    return Manifest(
        rows=tuple(
            Row(
                path=_decode(f["path"]),
                kept=None if f["kept"] is None else _decode(f["kept"]),
                before=f["before"],
                after=f["after"],
                rules=tuple(f["rules"]),
                flags=f["flags"],
            )
            for f in document["files"]
        ),
        directories=tuple(
            DirectoryTimes(_decode(d["path"]), int(d["atime"]), int(d["mtime"]))
            for d in document["directories"]
        ),
        created_directories=tuple(_decode(path) for path in document["created_directories"]),
        edition=document["edition"],
        digest=document["plan"],
    )


def _encode(path: str) -> str | dict[str, str]:
    """A path as text, or as base64 where it is not UTF-8."""
    data = path.encode("utf-8", "surrogateescape")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _decode(value: str | Mapping[str, str]) -> str:
    if isinstance(value, str):
        return value
    return base64.b64decode(value["base64"]).decode("utf-8", "surrogateescape")
