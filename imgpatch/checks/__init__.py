"""The checks, in the order in which the service comes upon what they find.

That order is told by messages people got: the container, then partitions and volumes, the system's files,
one GRUB configuration, its default kernel, that kernel against the list, its initramfs, the test boot.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from imgpatch.checks import (
    boot_drivers,
    boot_firmware,
    btrfs_subvolumes,
    containers,
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
from imgpatch.edition import Edition
from imgpatch.finding import Check, Container, Finding, Machine, Operation, Severity

CHECKS: tuple[Check, ...] = (
    containers,
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
    return in_order(
        f for check in checks if check.applies(machine.inspection) for f in check.findings(machine)
    )


def of_files(files: Sequence[Container], edition: Edition, operation: Operation) -> tuple[Finding, ...]:
    """What disk files alone show, in the same order."""
    found = (containers.of_files(files, edition, operation), disk_files.of_files(files, edition, operation))
    return in_order(itertools.chain(*found))


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The most decisive first; those of one severity stay as they come."""
    order = list(Severity)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))


def predicted(findings: Sequence[Finding]) -> Finding | None:
    """What the import would fail with; None: nothing that would make it fail was found."""
    return next((finding for finding in findings if finding.severity is Severity.FAILS), None)
