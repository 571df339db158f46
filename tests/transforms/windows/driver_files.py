"""Drivers as files: headers, imports and a signature's beginning, with no code; and the INF of one."""

from __future__ import annotations

import struct
from collections.abc import Sequence

MACHINES = {"i386": 0x14C, "x86_64": 0x8664}
SHA1, SHA256 = bytes.fromhex("06052b0e03021a"), bytes.fromhex("0609608648016503040201")
SECTION, ADDRESS = 0x400, 0x1000

INF = r'''; the driver of EC2's NVMe disks, in the form of one
[Version]
Signature   = "$Windows NT$"
Class       = SCSIAdapter
ClassGuid   = {4D36E97B-E325-11CE-BFC1-08002BE10318}
Provider    = %Maker%
CatalogFile = nvme.cat
DriverVer   = 01/02/2020,1.3.2.0
[Manufacturer]
%Maker% = Disks, NTx86, NTamd64, \
          NTamd64.6.2
[Disks.NTx86]
%Disk% = Old_Install, PCI\VEN_1D0F&DEV_8061
[Disks.NTamd64]
%Disk% = Old_Install, PCI\VEN_1D0F&DEV_8061
[Disks.NTamd64.6.2]
%Disk% = Disk_Install, PCI\VEN_1D0F&DEV_8061, PCI\VEN_1D0F&DEV_8061&REV_00
"A disk, of an instance" = Other_Install, PCI\VEN_1D0F&DEV_CD01
[Old_Install]
CopyFiles = @nvme.sys
[Old_Install.Services]
AddService = NvmeDisk, %ASSOCIATED%, Service_Install
[Disk_Install]
CopyFiles = @nvme.sys
[Disk_Install.NTamd64.Services]
AddService = NvmeDisk, 0x00000002, Service_Install, Event_Install ; and its log
[Disk_Install.NTamd64.HW]
AddReg = Interrupts
[Service_Install]
DisplayName    = %Disk%
ServiceType    = 1
StartType      = %BOOT%
ErrorControl   = 1
ServiceBinary  = %12%\nvme.sys
LoadOrderGroup = SCSI miniport
AddReg         = Parameters
[Parameters]
HKR, "Parameters\PnpInterface", "5", %REG_DWORD%, 0x00000001
HKR, "Parameters", "Names", 0x10000, "a;b", "c"
HKR, "Parameters", "Raw", 1, 0a, ff, 00, 01
[Interrupts]
HKR, "Interrupt Management",, 0x00000010
HKR, "Interrupt Management\MessageSignaledInterruptProperties", MSISupported, %REG_DWORD%, 1
[Strings]
Maker      = "A maker; of ""disks"""
Disk       = "NVMe disk"
ASSOCIATED = 0x2
BOOT       = 0
REG_DWORD  = 0x00010001
'''


def driver(
    architecture: str = "x86_64",
    imports: Sequence[str] = ("ntoskrnl.exe", "storport.sys"),
    signature: bytes | None = SHA256,
) -> bytes:
    """A driver that is linked to others and signed with a digest; None: not signed."""
    wide = architecture == "x86_64"
    table = 112 if wide else 96
    names = [name.encode() + b"\0" for name in imports]
    at = ADDRESS + 20 * (len(names) + 1)
    rows = b""
    for name in names:
        rows += struct.pack("<12xII", at, 0)
        at += len(name)
    body = rows + bytes(20) + b"".join(names)
    body = body.ljust(-(-len(body) // 512) * 512, b"\0")
    signed = b"" if signature is None else struct.pack("<IHH", 8 + 64, 0x200, 2) + signature.ljust(64, b"\0")
    directories = struct.pack("<8xII16xII", ADDRESS, len(rows) + 20, SECTION + len(body), len(signed))
    optional = struct.pack("<H", 0x20B if wide else 0x10B).ljust(table - 4, b"\0")
    optional += struct.pack("<I", 16) + directories.ljust(128, b"\0")
    coff = struct.pack("<4sHH12xHH", b"PE\0\0", MACHINES[architecture], 1, len(optional), 0x22)
    section = struct.pack("<8sIIII16x", b".rdata", len(body), ADDRESS, len(body), SECTION)
    dos = struct.pack("<2s58xI", b"MZ", 0x80).ljust(0x80, b"\0")
    return (dos + coff + optional + section).ljust(SECTION, b"\0") + body + signed
