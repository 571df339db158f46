"""Which format a result is written in, and what its file name says of that.

Formats have the user's names here; the one place where these become QEMU's is `QEMU_NAMES`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from imgpatch.errors import RefusedError, UsageError
from imgpatch.images.disk import Image

CHOICES = ("raw", "qcow2", "vmdk", "vhd", "vhdx", "ova")
"""What a result can be written as, whatever the image was."""

QEMU_NAMES: Mapping[str, str] = {
    "raw": "raw",
    "qcow2": "qcow2",
    "vmdk": "vmdk",
    "vhd": "vpc",
    "vhdx": "vhdx",
    "vdi": "vdi",
}
OVA = "ova"

_USER_NAMES = {qemu: name for name, qemu in QEMU_NAMES.items()}
_SUFFIXES = {
    ".raw": "raw",
    ".qcow2": "qcow2",
    ".qcow": "qcow2",
    ".vmdk": "vmdk",
    ".vhd": "vhd",
    ".vhdx": "vhdx",
    ".vdi": "vdi",
    ".ova": OVA,
}
"""What these suffixes say; `.img`, `.disk` and all others say nothing."""

_NEVER_WRITTEN = frozenset({".ovf", ".iso", ".gz", ".xz", ".zst", ".bz2", ".lz4", ".zip", ".7z", ".tar"})
_GIB = 1 << 30
_LIMITS = {
    "vhd": 2040 * _GIB,  # Hyper-V and QEMU end there
    "vhdx": 64 << 40,
    "vmdk": 16 << 40,  # grain tables of more are read by nobody here, and EBS ends there too
    OVA: 16 << 40,
}


def user_name(image_format: str) -> str:
    """The user's name for what QEMU calls `vpc` and the like."""
    return _USER_NAMES[image_format]


def output_formats(images: Sequence[Image], wanted: str | None) -> tuple[str, ...]:
    """The format of each output: one an image, or one OVA for them all.

    Args:
        images: the disks of the machine.
        wanted: what the user asked for; None: the input's own.

    Raises:
        UsageError: an own format is wanted, and the images have none in common with a whole file.
        RefusedError: a disk is larger than its format can be.
    """
    members = [image for image in images if image.member is not None]
    if wanted is None and members and len({image.path for image in images}) > 1:
        raise UsageError(
            "disks from an OVA and others besides: no format holds them as they are",
            hint=f"say what to write with --output-format {'|'.join(CHOICES)}",
        )
    own = wanted is None and not members
    formats = tuple(user_name(image.format) if own else wanted or OVA for image in images)
    for image, name in zip(images, formats, strict=True):
        if image.size > _LIMITS.get(name, image.size):
            raise RefusedError(
                f"{image.name}: a disk of {image.size} bytes, and {_LIMITS[name]} are the most in a {name}",
                hint="choose another one with --output-format, raw for example",
            )
    return (OVA,) if OVA in formats else formats


def check_count(images: Sequence[Image], formats: Sequence[str], outputs: Sequence[Path]) -> None:
    """Raises UsageError unless there is an output for each file that will be written."""
    if len(outputs) == len(formats):
        return
    if OVA in formats:
        raise UsageError(
            f"one OVA holds the whole machine, and {len(outputs)} outputs are given",
            hint="give --output once; with --output-format raw or another, once for each disk",
        )
    names = ", ".join(image.name for image in images)
    raise UsageError(
        f"{len(images)} disks and {len(outputs)} outputs",
        hint=f"give --output once for each disk, in this order: {names}; or one with --output-format ova",
    )


def check_suffix(output: Path, written: str, *, chosen: bool) -> None:
    """Raises UsageError where a name says that the file holds something else than it would.

    Args:
        output: the file to be.
        written: its format.
        chosen: whether the user asked for that format.
    """
    suffix = output.suffix.lower()
    said = _SUFFIXES.get(suffix, suffix if suffix in _NEVER_WRITTEN else written)
    if said == written:
        return
    fitting = output.with_suffix(f".{written}").name
    hint = f"name it {fitting}"
    if said in CHOICES:
        hint += f", or write --output-format {said}"
    reason = "as --output-format says" if chosen else "which is the input's own format"
    raise UsageError(
        f"{output}: the name says {said.lstrip('.')}, and {written} would be written, {reason}", hint=hint
    )


def notes(images: Sequence[Image], formats: Sequence[str]) -> Iterator[str]:
    """What of an image is not kept as it is, to be told."""
    for image, written in zip(images, formats, strict=False):
        if (image.format, written) == ("vmdk", "vmdk") and image.variety != "streamOptimized":
            yield (
                f"{image.name} is a VMDK of the kind {image.variety}; the output is stream-optimized, "
                "since VM Import/Export takes no other (R-02)"
            )
        elif (image.format, image.variety, written) == ("vhdx", "fixed", "vhdx"):
            yield f"{image.name} is a fixed VHDX; the output is dynamic"


def convert_options(image: Image, written: str) -> tuple[str, ...]:
    """What qemu-img is told about a new file, besides its format.

    Args:
        image: the source: a fixed disk stays a fixed one.
        written: what becomes of it.
    """
    fixed = image.variety in ("fixed", "static") and user_name(image.format) == written
    if written == "vhd":
        # Without force_size the disk would get the size that cylinders, heads and sectors can say.
        return ("-o", f"force_size=on,subformat={'fixed' if fixed else 'dynamic'}")
    if written == "vdi" and fixed:
        return ("-o", "static=on")
    return ()
