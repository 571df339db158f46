"""A qcow2 that holds only what is changed, and needs the untouched image beside it."""

from __future__ import annotations

import os
from pathlib import Path

from imgpatch.errors import VerifyError
from imgpatch.images import qemu
from imgpatch.images.disk import Image


def refer(image: Image, overlay: Path, output: Path) -> str:
    """Lets an overlay name its image as it is to be found from where the output stands; gives what to tell.

    A path can say neither where in an archive a disk begins nor which size of a VHD counts: there the
    reference stays the whole description that it is in every overlay of ours, with an absolute path.

    Args:
        image: that the overlay lies over.
        overlay: the file that will be the output.
        output: where it will stand.

    Raises:
        VerifyError: what was written is not what was wanted.
    """
    if image.member is not None or image.format == "vpc":
        how = f"it names {image.path} by that path, so that neither the folder nor the file can be renamed"
    else:
        name = os.path.relpath(image.path, os.path.realpath(output.parent))
        name = name if name.startswith("../") else f"./{name}"  # or a colon in it would mean a protocol
        qemu.run("rebase", "-q", "-u", "-f", "qcow2", "-b", name, "-F", image.format, overlay)
        found = qemu.run_json("info", "-f", "qcow2", str(overlay))
        reference = (found.get("backing-filename"), found.get("backing-filename-format"))
        place = output.parent / name
        if reference != (name, image.format) or not place.samefile(image.path):
            raise VerifyError(f"{output}: the reference to {image.path} does not read back")
        how = f"it finds it as {name} from its own folder"
    return (
        f"{output.name} holds only the changes, and is of no use without {image.name}, which must stay as it "
        f"is from now on: {how}"
    )
