from __future__ import annotations

from kiro_worker.config.model import Configuration
from tools.configuration_reference import table


def test_every_key_is_in_table_once() -> None:
    rows = table().splitlines()

    for field in Configuration.model_fields.values():
        assert sum(row.startswith(f"| `{field.alias}` |") for row in rows) == 1
    assert {row.replace("\\|", "").count(" | ") for row in rows[2:]} == {3}


def test_agent_keys_follow_agent() -> None:
    keys = [row.split("`")[1] for row in table().splitlines()[2:]]

    agent = keys.index("agent")
    assert keys[agent + 1] == "agent.name"
    assert sorted(key for key in keys if key.startswith("agent.")) == sorted(keys[agent + 1 : agent + 7])


def test_types_and_defaults_match_model() -> None:
    rows = table()

    assert "| `projectNumber` | integer 1 to 999999 | required |" in rows
    assert '| `lockScope` | `"environment"`, `"repository"`, `"branch"` | `"environment"` |' in rows
    assert "| `coverageThreshold` | number 0 to 100 or `null` | `80.0` |" in rows
    assert "| `agent.timeoutMinutes` | number above 0, at most 480 | `45` |" in rows
