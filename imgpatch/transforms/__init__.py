"""The transforms, in the order in which they run; each reads what the ones before it leave."""

from __future__ import annotations

from imgpatch.plan import Transform
from imgpatch.transforms import (
    bridge_macs,
    cloud_init,
    crypttab,
    dhclient,
    dhcpcd,
    disk_mentions,
    fallback_loader,
    fstab,
    grub,
    ifcfg,
    ifupdown,
    initramfs,
    initramfs_network,
    kernel_command_line,
    lvm_devices,
    module_refusals,
    mount_units,
    netplan,
    networkd,
    networkmanager,
    networkmanager_conf,
    nic_mentions,
    nic_names,
    old_network,
    resolv_conf,
    resume_device,
    ssm_agent,
    wicked,
)
from imgpatch.transforms.windows import (
    advice,
    answer_file,
    boot_drivers,
    boot_menu,
    boot_mode,
    class_filters,
    drivers,
    ems,
)
from imgpatch.transforms.windows import fallback_loader as windows_fallback_loader
from imgpatch.transforms.windows import network as windows_network

TRANSFORMS: tuple[Transform, ...] = (
    crypttab,
    mount_units,
    fstab,  # after those that read how it named disks before
    lvm_devices,
    resume_device,
    disk_mentions,
    nic_names,
    ifupdown,
    networkd,
    netplan,
    cloud_init,
    networkmanager,
    networkmanager_conf,
    ifcfg,
    wicked,
    dhclient,
    dhcpcd,
    bridge_macs,
    resolv_conf,
    old_network,
    initramfs_network,
    nic_mentions,
    kernel_command_line,
    grub,
    fallback_loader,
    ssm_agent,
    boot_drivers,
    class_filters,  # after it: a driver that was disabled may be needed now
    windows_network,
    advice,
    drivers,
    ems,
    answer_file,
    windows_fallback_loader,
    boot_menu,
    boot_mode,
    module_refusals,
    initramfs,  # last, since an initramfs holds copies of files that others change
)
