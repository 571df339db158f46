"""make_plan: transforms compose, only real changes count, and the digest says exactly what will be done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from imgpatch import edition
from imgpatch.guest import Guest, MemoryTree
from imgpatch.inspection import Inspection
from imgpatch.inspection.network import Network
from imgpatch.inspection.system import OperatingSystem
from imgpatch.plan import Change, Context, Edit, Note, NoteKind, Plan, Reason, make_plan
from imgpatch.storage import Storage

CONTEXT = Context(
    edition=edition.load(),
    inspection=Inspection(
        system=OperatingSystem("debian", (), "12", "Debian", "x86_64"),
        firmware="bios",
        bootloader=None,
        kernels=(),
        network=Network(stacks=(), nics=()),
    ),
)


@dataclass
class Append:
    """A transform that appends a word to a file."""

    path: str
    word: bytes
    concerned: bool = True
    __name__: str = field(default="append", init=False)

    def applies(self, inspection: Inspection) -> bool:
        return self.concerned

    def edits(self, guest: Guest, context: Context) -> Iterable[Edit | Note]:
        yield Note(NoteKind.DECISION, "imgpatch", f"appended {self.word!r}")
        yield Edit(
            self.path, (guest.read(self.path) or b"") + self.word, (Reason("M-02", repr(self.word)),), 0o600
        )


def test_each_transform_sees_what_the_ones_before_it_planned() -> None:
    guest = Guest(MemoryTree({"/real": b"0"}, links={"/link": "real"}), Storage())
    plan = make_plan(
        guest, [Append("/link", b"1"), Append("/real", b"2"), Append("/x", b"3", concerned=False)], CONTEXT
    )
    reasons = (Reason("M-02", "b'1'"), Reason("M-02", "b'2'"))
    assert plan.changes == (Change("/real", b"0", b"012", reasons, None),)
    assert [note.text for note in plan.notes] == ["appended b'1'", "appended b'2'"]
    assert guest.read("/real") == b"0"


def test_a_created_file_has_a_mode_and_an_existing_one_keeps_its_own() -> None:
    plan = make_plan(Guest(MemoryTree({}), Storage()), [Append("/new", b"1")], CONTEXT)
    assert plan.changes[0].before is None
    assert plan.changes[0].mode == 0o600


def test_what_ends_as_it_was_is_no_change() -> None:
    plan = make_plan(Guest(MemoryTree({"/a": b"0"}), Storage()), [Append("/a", b"")], CONTEXT)
    assert plan.changes == ()


def test_the_digest_follows_every_byte_and_nothing_else() -> None:
    reason = (Reason("M-03", "why"),)
    plan = Plan((Change("/a", b"0", b"1", reason),))
    assert (
        plan.digest == Plan((Change("/a", b"0", b"1", ()),), notes=(Note(NoteKind.WARNING, "x", "y"),)).digest
    )
    others = [
        Change("/b", b"0", b"1", reason),
        Change("/a", b"2", b"1", reason),
        Change("/a", b"0", b"2", reason),
        Change("/a", b"0", None, reason),
        Change("/a", None, b"1", reason, 0o600),
        Change("/a", None, b"1", reason, 0o644),
    ]
    assert len({plan.digest, *(Plan((c,)).digest for c in others)}) == 7
