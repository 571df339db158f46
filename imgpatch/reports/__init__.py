"""Plans and inspections as text and as JSON."""
