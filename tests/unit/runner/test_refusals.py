"""What the real agents print when their service does not work, as recorded by ``tests/integration``, is recognized."""

from __future__ import annotations

from pathlib import Path

import pytest

from kiro_worker.outcomes import FaultOwner, Outcome
from kiro_worker.runner.agent.adapters import ADAPTERS, PreparedAgent
from kiro_worker.runner.agent.adapters.refusal import Cause, Refusal, refusal
from kiro_worker.runner.agent.unavailable import unavailable

NOW = 1_800_000_000
SAMPLES = {path.stem: path for path in (Path(__file__).parent / "agent_output").glob("*.txt")}
REFUSED = [name for name in SAMPLES if name.rsplit("-", 1)[1] in tuple(Cause)]


def lines_of(sample: str) -> list[str]:
    return SAMPLES[sample].read_text().splitlines()


@pytest.mark.parametrize("sample", REFUSED)
def test_recorded_refusal_has_its_cause(sample: str) -> None:
    agent, cause = sample.split("-")[0], sample.rsplit("-", 1)[1]

    found = ADAPTERS[agent].read_refusal(lines_of(sample))

    assert found is not None
    assert (found.cause, bool(found.said)) == (cause, True)


def test_every_agent_has_every_sample() -> None:
    for agent in ("claude", "codex", "gemini"):
        assert {name.rsplit("-", 1)[1] for name in SAMPLES if name.startswith(agent)} == {*Cause, "help", "works"}


@pytest.mark.parametrize("sample", [name for name in SAMPLES if name.endswith("-works")])
def test_recorded_success_is_no_refusal(sample: str) -> None:
    adapter = ADAPTERS[sample.split("-")[0]]

    usage = adapter.read_usage(lines_of(sample))

    assert adapter.read_refusal(lines_of(sample)) is None
    assert usage.cost
    assert not usage.failed


@pytest.mark.parametrize("sample", REFUSED)
def test_quoted_refusal_is_none(sample: str) -> None:
    """A spec or a program that prints a refusal reaches the output only inside a text of the agent."""
    agent = sample.split("-")[0]
    quoted = "\n".join(lines_of(sample)).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    success = {
        "claude": f'{{"type":"result","is_error":false,"total_cost_usd":0.5,"result":"{quoted}"}}',
        "codex": f'{{"type":"item.completed","item":{{"type":"agent_message","text":"{quoted}"}}}}\n'
        '{"type":"turn.completed","usage":{"input_tokens":1,"output_tokens":1}}',
        "gemini": f'{{"response":"{quoted}","stats":{{"models":{{"m":{{"tokens":{{"total":42}}}}}}}}}}',
    }[agent]

    assert ADAPTERS[agent].read_refusal(success.splitlines()) is None


@pytest.mark.parametrize(
    ("message", "status", "cause"),
    [
        ("exceeded retry limit, last status: 401 Unauthorized", 401, Cause.KEY),
        ("You've hit your usage limit. Try again in 2 hours 5 minutes.", 0, Cause.PLAN),
        ("Claude AI usage limit reached|1800003600", 429, Cause.PLAN),
        ("You have exhausted your daily quota on this model.", 429, Cause.PLAN),
        ("Resource has been exhausted (e.g. check quota).", 429, Cause.BUSY),
        ("The model `x` does not exist or you do not have access to it.", 404, Cause.MODEL),
        ("upstream said no", 403, Cause.KEY),
        ("upstream said no", 502, Cause.BUSY),
    ],
)
def test_words_decide_before_status(message: str, status: int, cause: Cause) -> None:
    found = refusal(message, status)

    assert found is not None
    assert found.cause is cause


@pytest.mark.parametrize(("message", "status"), [("the tests fail", 0), ("invalid request", 400), ("", 200)])
def test_other_errors_are_no_refusal(message: str, status: int) -> None:
    assert refusal(message, status) is None


@pytest.mark.parametrize(
    ("message", "until"),
    [
        ("Claude AI usage limit reached|1800003600", NOW + 3600),
        ("You've hit your usage limit. Try again in 2 hours 5 minutes.", NOW + 7500),
        ("You have exhausted your capacity on this model. Your quota will reset after 5h3m2s.", NOW + 18_182),
        ("You've hit your usage limit. Try again in 6 days 3 hours.", NOW + 86_400),
        ("Claude AI usage limit reached|1700000000", 0),
        ("Quota exceeded. Check your plan and billing details.", 0),
        (f"Quota exceeded. Try again in {'9' * 400} days.", 0),
        (f"Quota exceeded. Try again in 1 day {'9' * 400} s.", NOW + 86_400),
    ],
    ids=["epoch", "words", "letters", "at most a day", "in the past", "not named", "no number", "partly a number"],
)
def test_named_reset_is_kept(message: str, until: int) -> None:
    found = refusal(message)
    assert found

    stop = unavailable(PreparedAgent(ADAPTERS["claude"], 60), found, "", NOW)

    assert stop.retry_after == until
    assert (" UTC" in stop.reason) is bool(until)


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("name", ADAPTERS)
def test_every_refusal_has_reason_and_fix(name: str, cause: Cause) -> None:
    stop = unavailable(PreparedAgent(ADAPTERS[name], 60), Refusal(cause, "as it said"), "the last lines")

    assert stop.outcome is Outcome.AGENT_UNAVAILABLE
    assert stop.owner is FaultOwner.INSTALLATION
    assert "(as it said)" in stop.reason
    assert stop.remedy.endswith("then redrive the execution")
    assert stop.details == "the last lines"


@pytest.mark.parametrize(
    ("chosen", "found", "owner"),
    [
        ({"name"}, Refusal(Cause.KEY), FaultOwner.REPOSITORY),
        ({"name"}, Refusal(Cause.PLAN), FaultOwner.REPOSITORY),
        ({"name"}, Refusal(Cause.NETWORK), FaultOwner.INSTALLATION),
        ({"model"}, Refusal(Cause.MODEL), FaultOwner.REPOSITORY),
        ({"model"}, Refusal(Cause.PLAN, "the daily quota on this model"), FaultOwner.REPOSITORY),
        ({"model"}, Refusal(Cause.PLAN, "the monthly usage limit"), FaultOwner.INSTALLATION),
        ({"model"}, Refusal(Cause.KEY), FaultOwner.INSTALLATION),
        (set(), Refusal(Cause.MODEL), FaultOwner.INSTALLATION),
    ],
)
def test_choice_of_repository_is_its_own_failure(chosen: set[str], found: Refusal, owner: FaultOwner) -> None:
    agent = PreparedAgent(ADAPTERS["claude"], 60, chosen_by_repository=frozenset(chosen))

    stop = unavailable(agent, found, "")

    assert stop.owner is owner
    assert (".kiro-worker.yml" in stop.remedy) is (owner is FaultOwner.REPOSITORY)
