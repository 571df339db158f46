"""The operating system by its release files."""

from __future__ import annotations

import pytest

from imgpatch.guest import Guest, MemoryTree
from imgpatch.inspection.system import inspect_system
from imgpatch.storage import Storage

ENTERPRISE = "SUSE Linux Enterprise Server 11 (x86_64)\nVERSION = 11\n"


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        (
            "SuSE-release",
            f"{ENTERPRISE}PATCHLEVEL = 3\n",
            ("sles", "11.3", "SUSE Linux Enterprise Server 11 SP3"),
        ),
        ("SuSE-release", f"{ENTERPRISE}PATCHLEVEL = 0\n", ("sles", "11", "SUSE Linux Enterprise Server 11")),
        ("SuSE-release", "openSUSE 11.4 (x86_64)\nVERSION = 11.4\n", ("opensuse", "11.4", "openSUSE 11.4")),
        ("SuSE-release", "\n", ("linux", "", "unknown Linux")),
        ("debian_version", "6.0.8\n", ("debian", "6.0.8", "Debian GNU/Linux 6.0.8")),
        (
            "redhat-release",
            "CentOS release 5.11 (Final)\n",
            ("centos", "5.11", "CentOS release 5.11 (Final)"),
        ),
    ],
)
def test_before_there_was_an_os_release(path: str, text: str, expected: tuple[str, str, str]) -> None:
    system = inspect_system(Guest(MemoryTree({f"/etc/{path}": text.encode()}), Storage()))
    assert (system.id, system.version, system.name) == expected
