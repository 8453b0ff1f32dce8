"""The adapters' rules: which command is run, with which key, and how usage is read from output."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from kiro_worker.config.settings import REPOSITORY_FILE, AgentSettings
from kiro_worker.models import Lease
from kiro_worker.runner.agent.adapters import ADAPTERS, configured_agent
from kiro_worker.runner.agent.adapters.refusal import Cause
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


def test_command_can_name_model() -> None:
    named = AgentSettings(name="command", command=("tool", "--model={model}", "{branch}"), model="{branch}")

    agent = configured_agent(named, REQUEST, load_key=str)

    assert agent.argv == ("tool", "--model={branch}", "feature/x")


def test_command_gets_key_under_configured_name() -> None:
    configured = AgentSettings(name="command", command=("kiro",), key_variable="TOOL_KEY")

    agent = configured_agent(configured, REQUEST, load_key=lambda: "the-key")

    assert agent.variables == {"TOOL_KEY": "the-key"}
    assert agent.argv == ("kiro",), "a command that is called like a known agent is none"


@pytest.mark.parametrize(
    ("keys", "arguments"),
    [
        ({}, "--v2 --trust-all-tools"),
        ({"harness": "v3"}, "--v3 --trust-all-tools"),
        ({"model": "m", "arguments": ["--effort", "high"]}, "--v2 --trust-all-tools --model m --effort high"),
        ({"name": "claude", "model": "opus"}, "--model opus"),
        ({"name": "gemini", "arguments": ["-d"]}, "-d"),
        ({"name": "codex", "model": "m", "arguments": ["-c", "x=1"]}, "--model m -c x=1 -"),
    ],
)
def test_settings_become_arguments(keys: dict[str, Any], arguments: str) -> None:
    agent = configured_agent(settings(agent={"name": "kiro", **keys}).agent, REQUEST, load_key=str)

    assert " ".join(agent.argv[len(agent.adapter.argv) :]) == arguments


@pytest.mark.parametrize(
    ("origins", "chosen"),
    [
        ({"agent.name": ".kiro-worker.yml", "agent.model": ".kiro-worker.yml"}, {"name", "model"}),
        ({"agent.name": "repositoryDefaults", "agent.model": ".kiro-worker.yml"}, {"model"}),
        ({"agent.timeoutMinutes": ".kiro-worker.yml"}, set()),
        ({}, set()),
    ],
)
def test_choices_of_repository_are_known(origins: dict[str, str], chosen: set[str]) -> None:
    assert configured_agent(AgentSettings(), REQUEST, str, origins).chosen_by_repository == chosen


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


def test_tokens_of_gemini_are_counted_once() -> None:
    models = {"m": {"api": {"totalRequests": 2}, "tokens": {"total": 84}, "roles": {"main": ROLE, "router": ROLE}}}
    output = json.dumps({"response": "OK", "stats": {"models": models, "tools": {"totalCalls": 0}}}, indent=2)

    assert ADAPTERS["gemini"].read_usage(output.splitlines()).cost == 84


ROLE = {"totalRequests": 1, "totalLatencyMs": 9, "tokens": {"input": 40, "total": 42}}


@pytest.mark.parametrize("name", ADAPTERS)
def test_unrelated_output_reports_no_cost(name: str) -> None:
    lines: Sequence[str] = ["hello"]

    assert ADAPTERS[name].read_usage(lines).cost is None


REJECTED = "Access denied: The bearer token included in the request is invalid."


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        ([REJECTED], Cause.KEY),
        (["", f"error: {REJECTED}", " "], Cause.KEY),
        (["▰▱ Thinking...", "The monthly usage limit has been reached. Upgrade."], Cause.PLAN),
        (["You have reached the limit for overages"], Cause.PLAN),
        (["Kiro rate limit reached", "Try again later"], Cause.BUSY),
    ],
)
def test_kiro_refusal_is_recognized(lines: list[str], cause: Cause) -> None:
    refusal = ADAPTERS["kiro"].read_refusal(lines)

    assert refusal is not None
    assert refusal.cause is cause


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


@pytest.mark.parametrize(
    ("name", "is_withheld"),
    [
        *((name, True) for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "NODE_OPTIONS", "NODE_EXTRA_CA_CERTS")),
        *((name, True) for name in ("ANTHROPIC_BASE_URL", "OPENAI_BASE_URL", "GOOGLE_GEMINI_BASE_URL", "CODEX_HOME")),
        *((name, True) for name in ("CLAUDE_CODE_USE_BEDROCK", "XDG_CONFIG_HOME", "SSL_CERT_FILE")),
        *((name, False) for name in ("TZ", "DATABASE_URL", "PORT", "NODE_ENV", "PYTHONPATH", "MY_HTTPS_PROXY")),
    ],
)
def test_repository_does_not_choose_the_agents_connection(name: str, is_withheld: bool) -> None:
    """Its file could send the installation's key elsewhere, or make the agent look broken for all repositories."""
    agent = AgentSettings(name="claude")

    of_file = configured_agent(agent, REQUEST, str, {f"environment.{name}": REPOSITORY_FILE, "agent.name": "x"})
    of_parameter = configured_agent(agent, REQUEST, str, {f"environment.{name}": "repositoryDefaults"})

    assert of_file.withheld == (frozenset({name}) if is_withheld else frozenset())
    assert of_parameter.withheld == frozenset()
