"""One import failure, or a close family of them, a module."""
