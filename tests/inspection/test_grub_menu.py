"""Names of entries and versions of loader entries."""

from __future__ import annotations

import shutil
import subprocess
from itertools import pairwise

import pytest

from imgpatch.inspection.grub_menu import MenuItem, chosen, is_number, names, split_path
from imgpatch.inspection.loader_entries import compared, compared_versions, expanded


def items(*titles: str) -> tuple[MenuItem, ...]:
    return tuple(MenuItem(title, title, "/g") for title in titles)


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("a>b>c", ("a", "b>c")),
        ("a>>b", ("a>b", "")),
        ("a>>>b", ("a>", "b")),
        ("", ("", "")),
        ("a", ("a", "")),
    ],
)
def test_paths_are_cut_at_single_signs(path: str, parts: tuple[str, str]) -> None:
    assert split_path(path) == parts


def test_upstream_takes_leading_digits_for_a_number_and_red_hat_an_id_first() -> None:
    menu = items("x", "y", "1abc")
    assert chosen(menu, "1abc", by_id_first=False) == (1,)
    assert chosen(menu, "1abc", by_id_first=True) == (2,)
    assert names(menu, by_id_first=False) == ("x", "y", "2")
    assert names(menu, by_id_first=True) == ("x", "y", "1abc")
    assert is_number("1abc")
    assert not is_number("abc1")


def test_an_endless_default_is_a_place_beyond_the_menu() -> None:
    assert chosen(items("x", "y"), "9" * 10_000, by_id_first=False) == (0,)
    assert chosen(items("x", "y"), "1>" * 10_000, by_id_first=False) == (1,)
    assert chosen((), "0", by_id_first=False) == ()


VERSIONS = ["1.0~rc1", "1.0", "1.0.a", "1.0.1", "1.0.10", "1.1", "2", "2a", "2.0"]


def test_versions_are_ordered_as_rpm_orders_them() -> None:
    for older, newer in pairwise(VERSIONS):
        assert compared_versions(older, newer) == -1, (older, newer)
        assert compared_versions(newer, older) == 1
    assert compared_versions("1.01", "1.1") == 0
    assert compared_versions("1-0", "1.0") == 0


@pytest.mark.skipif(shutil.which("rpm") is None, reason="needs rpm")
def test_rpm_agrees() -> None:
    for older, newer in pairwise(VERSIONS):
        lua = f'print(rpm.vercmp("{older}", "{newer}"))'
        result = subprocess.run(
            ["rpm", "--eval", f"%{{lua:{lua}}}"], capture_output=True, text=True, check=True
        )
        assert result.stdout.strip() == "-1", (older, newer)


def test_ids_are_compared_by_name_version_and_release() -> None:
    assert compared("m-4.18.0-305.el8", "m-4.18.0-80.el8") == 1
    assert compared("m-0-rescue", "m-4.18.0-80.el8") == -1
    assert compared("n-1-1", "m-2-1") == 1


def test_variables_of_loader_entries() -> None:
    assert expanded("$kernelopts quiet $none", {"kernelopts": "root=x"}) == "root=x quiet "
