"""What is changed in Windows guests: registry hives, the boot store, the answer file."""
