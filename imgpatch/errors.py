"""Every way imgpatch stops, each with the exit code the command line gives it.

ImgpatchError
├── UsageError         2   what was asked for makes no sense
├── RefusedError       3   stopped before anything was written
│   ├── DamagedError       a disk file is not whole
│   ├── FormatError        a file is outside its format where that matters
│   ├── UnsupportedGuestError
│   └── StalePlanError
├── CommitError        4   stopped after something was written
└── VerifyError        5   what was written does not read back as planned
"""

from __future__ import annotations


class ImgpatchError(Exception):
    """A message says what, where, what was found and what was wanted; the hint says what to do.

    `rule` is the requirement of the documents that is not met (`R-41`), where it is one.
    """

    exit_code = 70

    def __init__(self, message: str, *, hint: str | None = None, rule: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        self.rule = rule


class UsageError(ImgpatchError):
    exit_code = 2


class RefusedError(ImgpatchError):
    """Stopped before anything was written."""

    exit_code = 3


class DamagedError(RefusedError):
    """A disk file is cut short, or is not what its own tables or its manifest say."""


class FormatError(RefusedError):
    """A file's contents are outside its format, where that cannot be passed over."""


class UnsupportedGuestError(RefusedError):
    """The image is sound, but what is in it is not something imgpatch can treat."""


class StalePlanError(RefusedError):
    """The guest is not what the plan was made from."""


class CommitError(ImgpatchError):
    """Stopped after something was written; the hint tells the way back."""

    exit_code = 4


class VerifyError(ImgpatchError):
    """What was written does not read back as planned."""

    exit_code = 5
