"""dhclient.conf: what would go over DHCP's answer goes, and interfaces follow their names."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch.formats import dhclient
from tests.networks import INTERFACES, after, guest, plan

PATH = "/etc/dhcp/dhclient.conf"
LAN = {INTERFACES: "auto ens1\niface ens1 inet dhcp\n"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("supersede domain-name-servers 10.0.0.2;\n", "#supersede domain-name-servers 10.0.0.2;\n"),
        ("  supersede domain-name-servers 10.0.0.2,\n\t10.0.0.3; # why\n", None),
        ("supersede domain-name-servers 10.0.0.2, 8.8.8.8;\n", ""),
        ("prepend domain-name-servers 127.0.0.1;\n", ""),
        ("supersede routers 10.0.0.1;\n", "#supersede routers 10.0.0.1;\n"),
        ('supersede domain-name "example.org";\n', ""),
        ("#supersede domain-name-servers 10.0.0.2;\n", ""),
        ("timeout 60; supersede routers 10.0.0.1; retry 60;\n", "timeout 60;  retry 60;\n"),
        (
            'interface "ens1" {\n  supersede routers 10.0.0.1;\n  send host-name "a;b";\n}\n',
            'interface "eth0" {\n#  supersede routers 10.0.0.1;\n  send host-name "a;b";\n}\n',
        ),
        ('lease {\n interface "ens1";\n}\n', 'lease {\n interface "eth0";\n}\n'),
        ("supersede domain-name-servers 10.0.0.2", ""),
    ],
)
def test_one_file(text: str, expected: str | None) -> None:
    wanted = "".join(f"#{line}\n" for line in text.split("\n")[:-1]) if expected is None else expected or text
    assert after({PATH: text, **LAN}, PATH) == wanted


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.text(alphabet='a "#;{},\n\\', max_size=40))
def test_any_text_has_its_statements_where_they_say(text: str) -> None:
    for statement in dhclient.parse(text):
        assert all(text[word.start : word.end] == word.text for word in statement.words)
        assert text[statement.end - 1] in ";{"
        gone = dhclient.edited(text, dhclient.commented_out(text, statement))
        assert len(dhclient.parse(gone)) < len(dhclient.parse(text)) or text[statement.end - 1] == "{"


def test_a_reason_names_line_and_rule() -> None:
    (change,) = (
        c for c in plan(guest({PATH: "\nsupersede routers 10.0.0.1;\n", **LAN})).changes if c.path == PATH
    )
    assert [(r.rule, r.text[:15]) for r in change.reasons] == [("M-07", "line 2: superse")]
