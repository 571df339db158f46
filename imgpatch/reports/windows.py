"""What was found in a Windows guest, as text for people."""

from __future__ import annotations

from collections.abc import Iterator

from imgpatch.inspection.windows import Windows
from imgpatch.inspection.windows.addresses import NetworkInterface
from imgpatch.inspection.windows.boot_drivers import Service
from imgpatch.inspection.windows.boot_menu import BootMenu

_STARTS = {0: "starts at boot", 1: "started by the kernel", 2: "started later", 3: "started when asked for"}
_ROLES = {"WinNT": "workstation", "ServerNT": "server", "LanmanNT": "domain controller"}
_LANGUAGES = {0x409: "US English"}


def sections(windows: Windows) -> list[tuple[str, list[str]]]:
    """Sections in the order in which a machine comes up."""
    return [
        ("Windows", list(_system(windows))),
        (
            "Boot configuration",
            [line for menu in windows.boot_menus for line in _menu(menu)] or ["none found"],
        ),
        ("Drivers", list(_drivers(windows))),
        ("Network", [_interface(found) for found in windows.interfaces] or ["no interface known"]),
        ("State", list(_state(windows))),
    ]


def _system(windows: Windows) -> Iterator[str]:
    release = windows.release
    edition = " ".join(
        filter(None, (release.edition, f"({release.installation})" if release.installation else ""))
    )
    yield f"product:       {release.product}"
    if edition:
        yield f"edition:       {edition}"
    yield f"role:          {_ROLES.get(release.role, release.role or 'unknown')}"
    yield f"language:      {_language(release.language)}"
    yield f"host name:     {windows.host_name or 'none'}"
    current, *others = windows.control_sets
    yield f"control sets:  {', '.join((f'{current} (current)', *others))}"
    for hive in windows.hives:
        if hive.unfinished:
            yield f"{hive.path}: {hive.unfinished}"
    for path in windows.damaged_stores:
        yield f"{path}: damaged; the machine starts from another"


def _language(number: int | None) -> str:
    return "unknown" if number is None else f"{_LANGUAGES.get(number, '')} ({number:#06x})".strip()


def _menu(menu: BootMenu) -> Iterator[str]:
    yield menu.path
    timeout = "unknown" if menu.timeout is None else f"{menu.timeout} s"
    yield f"  entries:  {', '.join(menu.entries) or 'none'}"
    yield f"  timeout:  {timeout}"
    yield f"  EMS:      {'on' if menu.ems else 'off'}"
    if menu.switches:
        yield f"  also on:  {', '.join(menu.switches)}"


def _drivers(windows: Windows) -> Iterator[str]:
    for need in (*windows.needs, *windows.network_drivers):
        yield f"{need.family}, {need.purpose}"
        yield from (f"  {service.name:<12}{_service(service)}" for service in need.found)
        if not need.found:
            yield f"  none of {', '.join(need.services)}"


def _service(service: Service) -> str:
    words = [_STARTS.get(-1 if service.start is None else service.start, "disabled")]
    if service.overridden:
        words.append("kept from it by StartOverride")
    if service.present is False:
        words.append("its file is missing")
    return ", ".join(words)


def _interface(found: NetworkInterface) -> str:
    name = found.name or found.guid
    rows = (("gateway", found.gateways), ("name servers", found.name_servers))
    extra = [f"{what} {', '.join(values)}" for what, values in rows if values]
    kind = (
        f"static address {', '.join(found.addresses)}"
        if found.static
        else ("DHCP" if found.dhcp else "no address")
    )
    return f"{name}: {', '.join((kind, *extra))}"


def _state(windows: Windows) -> Iterator[str]:
    setup = windows.setup
    remote = {None: "unknown", True: "on", False: "off"}[setup.remote_desktop]
    rows = (
        ("set-up", "sysprepped, not started since" if setup.sysprepped else setup.image_state or "unknown"),
        (".NET", ", ".join(setup.dotnet) or "none found"),
        ("pending", ", ".join(setup.pending) or "nothing"),
        ("page files", ", ".join(setup.page_files) or "none"),
        ("Remote Desktop", remote),
        ("autologon", "on" if setup.autologon else "off"),
        ("clock", "universal time" if setup.utc else "local time"),
        ("Fast Startup", "on" if setup.fast_startup else "off"),
        ("hibernated", "yes" if setup.hibernated else "no"),
        ("Hyper-V role", "installed" if setup.hyper_v else "not installed"),
    )
    yield from (f"{name + ':':<16}{value}" for name, value in rows)
    if setup.domain_database:
        yield f"{'directory:':<16}{setup.domain_database}"
