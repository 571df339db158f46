"""Laws of kernel lines, whatever stands in them: once is enough, and no other line changes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch.formats import cmdline, grubcfg
from imgpatch.storage import Disk, Storage
from imgpatch.transforms.kernel_arguments import Arguments
from imgpatch.transforms.kernel_lines import in_grub_cfg, in_menu_lst
from tests.transforms.grub_machines import ROOT, SWAP

LAW = settings(max_examples=150, derandomize=True, deadline=None)
STORAGE = Storage((Disk("gpt", 1),), (ROOT, SWAP), {"/": ROOT})
ADDED = ("net.ifnames=0", "biosdevname=0")
WORDS = st.sampled_from(
    [
        "root=/dev/sda2", "root=/dev/sdz9", "root=LABEL=/", "root=", "resume=/dev/sda3", "resume=/dev/sdb1",
        "resume=UUID=gone", "net.ifnames=1", "net.ifnames=0", "biosdevname", "rd.driver.blacklist=nvme,ena,x",
        "modprobe.blacklist=xen-blkfront", "blacklist=", "quiet", 'x="a b"', "$kernelopts", "${tuned_params}",
        "--", "a\\b", "console=ttyS0,115200n8", "=", "ro",
    ]
)  # fmt: skip
LINES = st.lists(st.tuples(st.sampled_from([" ", "  ", "\t"]), WORDS), max_size=8).map(
    lambda pairs: "".join(gap + word for gap, word in pairs)
)
GRUB_CFG = st.lists(
    st.one_of(
        LINES.map(lambda line: f"linux /vmlinuz-1{line}\n"),
        LINES.map(lambda line: f"menuentry 'A' {{\n\tlinuxefi /vmlinuz{line}\n\tinitrd /i\n}}\n"),
        LINES.map(lambda line: f"echo{line}\n"),
        st.sampled_from(
            ['set root="hd0,1"\n', "# linux /vmlinuz root=/dev/sda2\n", "fi\n", "}\n", "'", "\n"]
        ),
    ),
    max_size=6,
).map("".join)
MENU_LST = st.lists(
    st.one_of(
        LINES.map(lambda line: f"kernel /vmlinuz-1{line}\n"),
        LINES.map(lambda line: f"title A\n\tkernel (hd0,0)/vmlinuz{line}\n\tinitrd /i\n"),
        LINES.map(lambda line: f"# kopt={line}\n"),
        LINES.map(lambda line: f"title{line}\n"),
        st.sampled_from(
            ["root (hd0,1)\n", "#kernel /vmlinuz root=/dev/sda2\n", "module /i\n", "lock\n", "\n"]
        ),
    ),
    max_size=6,
).map("".join)


def arguments() -> Arguments:
    return Arguments(STORAGE, ADDED, drivers=("nvme", "xen-blkfront"))


@LAW
@given(LINES, st.booleans())
def test_a_line_is_settled_at_once_and_has_what_is_wanted(line: str, initrd: bool) -> None:
    done = arguments().line(line, initrd=initrd)
    assert arguments().line(done, initrd=initrd) == done
    words = cmdline.words(done)
    assert "$kernelopts" in words or set(ADDED) <= set(words)
    assert not any(word.startswith(("root=/dev/sda", "resume=/dev/sd")) for word in words)
    untouched = [word for word in cmdline.words(line) if word in ("quiet", "ro", 'x="a b"', "root=LABEL=/")]
    assert untouched == [word for word in words if word in untouched]


@LAW
@given(GRUB_CFG)
def test_grub_cfg_changes_in_its_kernel_lines_only(text: str) -> None:
    done = in_grub_cfg(text, arguments())
    assert in_grub_cfg(done, arguments()) == done
    pairs = list(zip(text.split("\n"), done.split("\n"), strict=True))
    assert all("linux" in old and not old.startswith(("#", "echo")) for old, new in pairs if old != new)
    before, after = grubcfg.parse(text), grubcfg.parse(done)
    assert len(before.problems) == len(after.problems)


@LAW
@given(MENU_LST)
def test_menu_lst_changes_in_its_kernel_lines_only(text: str) -> None:
    done = in_menu_lst(text, arguments())
    assert in_menu_lst(done, arguments()) == done
    pairs = list(zip(text.split("\n"), done.split("\n"), strict=True))
    assert all(old.lstrip().startswith(("kernel", "# kopt")) for old, new in pairs if old != new)
