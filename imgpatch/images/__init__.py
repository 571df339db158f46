"""The host's side of a disk: containers, overlays, the libguestfs session, publishing a result."""
