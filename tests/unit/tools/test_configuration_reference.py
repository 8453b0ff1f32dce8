from __future__ import annotations

from kiro_worker.config.model import Configuration
from tools.configuration_reference import file_table, table


def test_every_key_is_in_table_once() -> None:
    rows = table().splitlines()

    for field in Configuration.model_fields.values():
        assert sum(row.startswith(f"| `{field.alias}` |") for row in rows) == 1
    assert {row.replace("\\|", "").count(" | ") for row in rows[2:]} == {3}


def test_keys_of_object_follow_it() -> None:
    keys = [row.split("`")[1] for row in file_table().splitlines()[2:]]

    agent = keys.index("agent")
    assert keys[agent + 1 : agent + 3] == ["agent.name", "agent.model"]
    assert "checks[].coverage.threshold" in keys
    assert "agent.harness" in keys
    [budget] = [row for row in file_table().splitlines() if "maxCreditsPerDay" in row]
    assert budget.endswith("**In the parameter only** |")


def test_types_and_defaults_match_model() -> None:
    rows = table()

    assert "| `projectNumber` | integer 1 to 999999 | required |" in rows
    assert '| `lockScope` | `"environment"`, `"repository"`, `"branch"` | `"environment"` |' in rows
    assert "| `requireMergeable` | boolean | `true` |" in rows
    assert "| `agent.timeoutMinutes` | number above 0, at most 480 |  |" in file_table()
