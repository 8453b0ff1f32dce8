"""The agents that the worker knows: one adapter each. What is run, where its key goes, and what of its output says that
a turn took place and what it cost.

``kiro`` is the Kiro CLI without a terminal. Its harness is named because the default differs between ways to start it
and between versions. It is V2: what a headless run that names none uses, the one whose exit codes and trailer have been
observed, not bound to a recent Linux, and unlike V3 it does not rewrite a workspace's agent files as it starts, which
would end up in the commit.

All of them may use their tools without asking, for nobody could answer: what they can reach is bounded by the user they
run as and by what they are given, not by their own dialogues.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kiro_worker.config.model import AgentConfiguration
    from kiro_worker.runner.request import BuildRequest


@dataclass(frozen=True)
class Spent:
    """What the agent says about its turn; ``None`` where it does not. ``failed`` when it says that it failed."""

    credits: float | None = None
    seconds: float | None = None
    failed: bool = False


@dataclass(frozen=True)
class Adapter:
    """``unit`` is what ``maxCredits`` counts; ``leaves_trailer`` that a turn which took place always says what it
    cost.
    """

    argv: tuple[str, ...]
    key_variable: str
    unit: str
    read: Callable[[Sequence[str]], Spent]
    to_install: str
    leaves_trailer: bool = True


@dataclass(frozen=True)
class Agent:
    """An adapter made ready for this build: what is run, with which variables of its own, and how its output is
    read.
    """

    name: str
    argv: tuple[str, ...]
    timeout_seconds: float
    own_variables: Mapping[str, str]
    to_install: str
    leaves_trailer: bool
    unit: str
    read: Callable[[Sequence[str]], Spent]


_TRAILER: Final = re.compile(r"Credits:\s*(?P<credits>\d+(?:\.\d+)?)\s*•\s*Time:\s*(?P<time>[\dhms. ]+)")
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([hms])")
_SECONDS: Final = {"h": 3600, "m": 60, "s": 1}


def kiro_spent(lines: Sequence[str]) -> Spent:
    """Credits and seconds of every turn's trailer together: ``▸ Credits: 0.01 • Time: 1m 5s``."""
    trailers = [match for line in lines if (match := _TRAILER.search(line))]
    if not trailers:
        return Spent()
    credits_spent = sum(float(trailer["credits"]) for trailer in trailers)
    seconds = sum(
        float(number) * _SECONDS[unit] for trailer in trailers for number, unit in _DURATION.findall(trailer["time"])
    )
    return Spent(round(credits_spent, 6), seconds)


# The fields are looked for one by one and not by parsing the whole: a long answer is one line of JSON, and of an
# overlong line the log's pieces are all there is. Inside an answer the quotes of such a field would be escaped.
_NUMBER: Final = r"\s*:\s*(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
_CLAUDE_COST: Final = re.compile(r'(?<!\\)"total_cost_usd"' + _NUMBER)
_CLAUDE_TIME: Final = re.compile(r'(?<!\\)"duration_ms"' + _NUMBER)
_CLAUDE_FAILED: Final = re.compile(r'(?<!\\)"is_error"\s*:\s*true')
_CODEX_USAGE: Final = re.compile(r'(?<!\\)"type"\s*:\s*"turn\.completed"')
_CODEX_TOKENS: Final = re.compile(r'(?<!\\)"(?:input_tokens|output_tokens)"' + _NUMBER)
_CODEX_FAILED: Final = re.compile(r'(?<!\\)"type"\s*:\s*"turn\.failed"')
_GEMINI_TOKENS: Final = re.compile(r'(?<!\\)"tokens"\s*:\s*\{[^{}]*?"total"' + _NUMBER)


def claude_spent(lines: Sequence[str]) -> Spent:
    """Of the one JSON object that ``--output-format json`` prints: ``total_cost_usd``, ``duration_ms``,
    ``is_error``.
    """
    text = "\n".join(lines)
    costs, times = _CLAUDE_COST.findall(text), _CLAUDE_TIME.findall(text)
    return Spent(
        float(costs[-1]) if costs else None,
        float(times[-1]) / 1000 if times else None,
        failed=_CLAUDE_FAILED.search(text) is not None,
    )


def codex_spent(lines: Sequence[str]) -> Spent:
    """Of the events that ``--json`` prints, a line each: the tokens of every ``turn.completed``."""
    usages = [line for line in lines if _CODEX_USAGE.search(line)]
    tokens = sum(float(count) for line in usages for count in _CODEX_TOKENS.findall(line))
    return Spent(tokens if usages else None, failed=any(_CODEX_FAILED.search(line) for line in lines))


def gemini_spent(lines: Sequence[str]) -> Spent:
    """Of the JSON object that ``--output-format json`` prints: the tokens of every model in its ``stats``."""
    totals = _GEMINI_TOKENS.findall("\n".join(lines))
    return Spent(sum(float(total) for total in totals) if totals else None)


ADAPTERS: Final[Mapping[str, Adapter]] = {
    "kiro": Adapter(
        ("kiro-cli", "chat", "--no-interactive", "--v2", "--trust-all-tools"),
        "KIRO_API_KEY",
        "credits",
        kiro_spent,
        "set KIRO_CLI_URL and KIRO_CLI_SHA256 of the CodeBuild project: make deploy with --context kiroCliUrl=…"
        " --context kiroCliSha256=…",
    ),
    "claude": Adapter(
        ("claude", "-p", "--output-format", "json", "--dangerously-skip-permissions"),
        "ANTHROPIC_API_KEY",
        "USD",
        claude_spent,
        "install Claude Code in the build image: npm install --global @anthropic-ai/claude-code",
    ),
    "codex": Adapter(
        ("codex", "exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "-"),
        "CODEX_API_KEY",
        "tokens",
        codex_spent,
        "install the Codex CLI in the build image: npm install --global @openai/codex",
    ),
    # What -p says is appended to what is read from the standard input.
    "gemini": Adapter(
        ("gemini", "-p", "Do what is asked for above.", "--output-format", "json", "--approval-mode", "yolo"),
        "GEMINI_API_KEY",
        "tokens",
        gemini_spent,
        "install the Gemini CLI in the build image: npm install --global @google/gemini-cli",
    ),
}


def configured_agent(configuration: AgentConfiguration, request: BuildRequest, load_key: Callable[[], str]) -> Agent:
    """The agent of the configuration. ``load_key`` is called for an agent that has a key, and then its errors pass."""
    timeout_seconds = configuration.timeout_minutes * 60.0
    if adapter := ADAPTERS.get(configuration.name):
        # Without a key such a program waits for somebody to log in: its absence must show here.
        variables = {adapter.key_variable: load_key()}
        return Agent(
            configuration.name,
            adapter.argv,
            timeout_seconds,
            variables,
            adapter.to_install,
            adapter.leaves_trailer,
            adapter.unit,
            adapter.read,
        )
    if not configuration.command:
        raise BuildStopped(Outcome.AGENT_FAILED, 'the configuration has "agent" without a "command"')
    argv = tuple(
        word.replace("{branch}", request.branch).replace("{spec_path}", request.spec_path)
        for word in configuration.command
    )
    remedy = f"install {argv[0]} in the build image, or correct agent.command in the configuration parameter"
    # A command of one's own may say what it cost in the Kiro CLI's way; it need not.
    return Agent(argv[0], argv, timeout_seconds, {}, remedy, leaves_trailer=False, unit="credits", read=kiro_spent)
