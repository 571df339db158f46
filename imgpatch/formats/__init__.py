"""One file format a module: lossless, text or bytes in and the same out, knowing nothing of guests."""
