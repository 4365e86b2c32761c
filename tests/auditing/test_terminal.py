"""What the terminal says about suspects."""

from __future__ import annotations

from spurcli.cli.audit_table import _reasons


def test_a_reason_is_printed_once_for_all_suspects_that_it_is_about(capsys):
    _reasons(
        [
            {"rank": 1, "status": "confirmed", "reason": ""},
            {"rank": 2, "status": "unconfirmed", "reason": "look at the samples"},
            {"rank": 3, "status": "not supported", "reason": "no effect"},
            {"rank": 4, "status": "unconfirmed", "reason": "look at the samples"},
        ]
    )
    said = capsys.readouterr().err.splitlines()
    assert said == ["Unconfirmed (2, 4): look at the samples", "Not supported (3): no effect"]
