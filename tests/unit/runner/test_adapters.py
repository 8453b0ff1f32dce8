"""The adapters' rules: which command is run, with which key, and how usage is read from output."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kiro_worker.config.settings import AgentSettings
from kiro_worker.models import Lease
from kiro_worker.runner.agent.adapters import ADAPTERS, configured_agent
from kiro_worker.runner.request import BuildRequest
from tests.support.settings import settings

REQUEST = BuildRequest("acme/shop", "feature/x", "0" * 40, ".kiro/specs/feature-x", 1, Lease("k", "o", 1, 0))


def test_command_can_name_branch_and_spec() -> None:
    configuration = AgentSettings(name="command", command=("tool", "--on={branch}", "{spec_path}/tasks.md", "{else}"))

    agent = configured_agent(configuration, REQUEST, load_key=lambda: pytest.fail("a command has no key"))

    assert agent.adapter.argv == ("tool", "--on=feature/x", ".kiro/specs/feature-x/tasks.md", "{else}")
    assert agent.variables == {}


def test_command_is_named_without_its_folder() -> None:
    configuration = AgentSettings(name="command", command=("/opt/tools/bin/tool", "--go"))

    assert configured_agent(configuration, REQUEST, load_key=str).adapter.name == "tool"


@pytest.mark.parametrize("name", ADAPTERS)
def test_key_is_passed_in_its_variable_only(name: str) -> None:
    agent = configured_agent(settings(agent=name).agent, REQUEST, load_key=lambda: "the-key")

    assert agent.variables == {agent.adapter.key_variable: "the-key"}
    assert "the-key" not in " ".join(agent.adapter.argv)
    assert "the-key" not in repr(agent)


def test_kiro_key_has_its_documented_variable() -> None:
    agent = configured_agent(AgentSettings(), REQUEST, load_key=lambda: "the-key")

    assert agent.variables == {"KIRO_API_KEY": "the-key"}


def test_quoted_cost_in_answer_is_ignored() -> None:
    quoted = r'{"result":"the field \"total_cost_usd\": 99 is a number","total_cost_usd":0.5,"duration_ms":1500}'

    usage = ADAPTERS["claude"].read_usage([quoted])

    assert (usage.cost, usage.seconds, usage.failed) == (0.5, 1.5, False)


@pytest.mark.parametrize("name", ADAPTERS)
def test_unrelated_output_reports_no_cost(name: str) -> None:
    lines: Sequence[str] = ["hello"]

    assert ADAPTERS[name].read_usage(lines).cost is None


REJECTED = "Access denied: The bearer token included in the request is invalid."


@pytest.mark.parametrize(
    ("lines", "remedy"),
    [
        ([REJECTED], "put-secret-value --secret-id kiro-worker-<env>-kiro-api-key"),
        (["", f"error: {REJECTED}", " "], "put-secret-value"),
        (
            ["▰▱ Thinking...", "The monthly usage limit has been reached. Upgrade."],
            "https://app.kiro.dev/account/usage",
        ),
        (["You have reached the limit for overages"], "https://app.kiro.dev/account/usage"),
        (["Kiro rate limit reached", "Try again later"], "wait"),
    ],
)
def test_kiro_refusal_is_recognized(lines: list[str], remedy: str) -> None:
    refusal = ADAPTERS["kiro"].read_refusal(lines)

    assert refusal is not None
    assert remedy in refusal.remedy


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["I am done!"],
        [REJECTED, "▸ Credits: 0.01 • Time: 1s"],
        ["▸ Credits: 0.01 • Time: 1s", REJECTED],
        [f"The spec says: {REJECTED}"],
        ["It tests that the rate limit reached is reported"],
        [REJECTED, *["the model goes on"] * 5],
    ],
)
def test_other_output_is_no_refusal(lines: list[str]) -> None:
    assert ADAPTERS["kiro"].read_refusal(lines) is None


def test_only_known_texts_are_refusals() -> None:
    command = AgentSettings(name="command", command=("tool",))
    others = [adapter for name, adapter in ADAPTERS.items() if name != "kiro"]

    for adapter in [*others, configured_agent(command, REQUEST, load_key=str).adapter]:
        assert adapter.read_refusal([REJECTED]) is None
