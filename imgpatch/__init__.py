"""Does to a disk image offline what AWS VM Import/Export does to it in the cloud."""
