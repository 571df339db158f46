"""What the guest's modprobe.d keeps from loading is loaded on EC2."""

from __future__ import annotations

from imgpatch.guest import Guest
from imgpatch.plan import Plan, make_plan
from imgpatch.transforms import module_refusals
from tests.inspection.kernel_trees import tree
from tests.transforms.test_initramfs import after, context_of, guest_of, warnings

CONF = "/etc/modprobe.d/hardening.conf"


def plan_of(guest: Guest) -> Plan:
    return make_plan(guest, [module_refusals], context_of(guest))


def test_refusals_of_the_drivers_are_remarked_and_others_stay() -> None:
    text = b"install cramfs /bin/true\ninstall nvme /bin/true\nblacklist xen-netfront"
    plan = plan_of(guest_of(tree("6.1") | {CONF: text}))
    assert after(plan, CONF) == b"install cramfs /bin/true\n#install nvme /bin/true\n#blacklist xen-netfront"
    [change] = plan.changes
    assert [reason.text.partition(" keeps")[0] for reason in change.reasons] == [
        "line 2: install nvme /bin/true",
        "line 3: blacklist xen-netfront",
    ]


def test_the_one_file_of_red_hat_5() -> None:
    plan = plan_of(
        guest_of(tree("6.1") | {"/etc/modprobe.conf": b"alias eth0 ena\ninstall ena /bin/false\n"})
    )
    assert after(plan, "/etc/modprobe.conf") == b"alias eth0 ena\n#install ena /bin/false\n"


def test_a_file_of_a_package_is_named_once() -> None:
    files = tree("6.1") | {"/usr/lib/modprobe.d/dist.conf": b"# x\nblacklist nvme\n"}
    plan = plan_of(guest_of(files, {"/lib/modprobe.d": "/usr/lib/modprobe.d"}))
    assert plan.changes == ()
    [text] = warnings(plan)
    assert text.startswith("/usr/lib/modprobe.d/dist.conf line 2: blacklist nvme")


def test_what_no_kernel_has_as_a_module_may_be_refused() -> None:
    plan = plan_of(guest_of(tree("6.1", without=("ena",)) | {CONF: b"blacklist ena\nblacklist floppy\n"}))
    assert plan.is_empty


def test_a_folder_in_modprobe_d_is_passed_over() -> None:
    assert plan_of(guest_of(tree("6.1") | {"/etc/modprobe.d/old/x.conf": b"blacklist nvme\n"})).is_empty
