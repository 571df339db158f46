"""The checks, in the order in which the service comes upon what they find.

That order is told by messages people got: the container, then partitions and volumes, the system's files,
one GRUB configuration, its default kernel, that kernel against the list, its initramfs, the test boot.
"""

from __future__ import annotations

from collections.abc import Sequence

from imgpatch.checks import (
    boot_drivers,
    boot_firmware,
    btrfs_subvolumes,
    custom_kernel,
    default_kernel,
    dhcp_client,
    disk_files,
    encrypted_volumes,
    end_of_life,
    first_boot,
    free_space,
    fstab_devices,
    fstab_file,
    grub_files,
    initramfs_readable,
    network_names,
    partition_table,
    processor,
    removable_media,
    root_file_system,
    ssh_server,
    supported_kernel,
    system_files,
    vmware_tools,
    volume_groups,
    windows_first_boot,
    windows_release,
    windows_settings,
)
from imgpatch.finding import Check, Finding, Machine, Severity

CHECKS: tuple[Check, ...] = (
    disk_files,
    partition_table,
    volume_groups,
    encrypted_volumes,
    root_file_system,
    btrfs_subvolumes,
    system_files,
    windows_release,
    processor,
    fstab_file,
    grub_files,
    default_kernel,
    supported_kernel,
    initramfs_readable,
    free_space,
    boot_firmware,
    boot_drivers,
    fstab_devices,
    dhcp_client,
    network_names,
    custom_kernel,
    windows_first_boot,
    windows_settings,
    ssh_server,
    vmware_tools,
    removable_media,
    first_boot,
    end_of_life,
)


def run(machine: Machine, checks: Sequence[Check] = CHECKS) -> tuple[Finding, ...]:
    """Everything that is found, the most decisive first; of one severity in the order of the service."""
    found = [f for check in checks if check.applies(machine.inspection) for f in check.findings(machine)]
    order = list(Severity)
    return tuple(sorted(found, key=lambda finding: order.index(finding.severity)))


def predicted(findings: Sequence[Finding]) -> Finding | None:
    """What the import would fail with; None: nothing that would make it fail was found."""
    return next((finding for finding in findings if finding.severity is Severity.FAILS), None)
