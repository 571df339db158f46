"""The transforms, in the order in which they run; each reads what the ones before it leave."""

from __future__ import annotations

from imgpatch.plan import Transform
from imgpatch.transforms import fstab

TRANSFORMS: tuple[Transform, ...] = (fstab,)
