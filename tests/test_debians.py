"""The real guests: what there is, what an ordinary run boots, and how the cache knows them."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

from fixtures.debians import GUESTS, ORDINARY, TRIED_THOROUGHLY
from fixtures.networks import NETWORKS

SUITES = ("bullseye", "bookworm", "trixie")
TOOLS = ("initramfs-tools", "dracut")


def test_there_is_each_release_with_each_tool_and_network_once() -> None:
    combinations = [(each.recipe.suite, each.recipe.tool, each.network) for each in GUESTS]
    assert sorted(combinations) == sorted(itertools.product(SUITES, TOOLS, NETWORKS))
    assert len({each.name for each in GUESTS}) == len(GUESTS)


def test_an_ordinary_run_boots_each_release_and_each_network_with_each_tool() -> None:
    """Of few builds, so not each release with each tool: `scripts/test --all-boots` does that."""
    assert set(TRIED_THOROUGHLY) <= set(ORDINARY)
    assert {g.recipe.suite for g in ORDINARY} == set(SUITES)
    assert {(g.network, g.recipe.tool) for g in ORDINARY} == set(itertools.product(NETWORKS, TOOLS))
    assert {g.recipe.firmware for g in ORDINARY} == {"bios", "uefi"}


def test_every_process_finds_the_same_guests_in_the_cache() -> None:
    """Python gives a set another order in each."""
    program = "from fixtures import build, debians; print([build.folder(each) for each in debians.GUESTS])"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for seed in "12"
    }
    assert len(outputs) == 1
