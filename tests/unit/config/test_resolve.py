"""The effective settings: which source decides, what bounds it, and where each value came from."""

from __future__ import annotations

from typing import Any

import pytest

from kiro_worker.config.model import Configuration
from kiro_worker.config.repository_file import parse_repository_file
from kiro_worker.config.resolve import daily_limit, resolve
from kiro_worker.config.settings import Settings, settings_document
from kiro_worker.errors import ConfigurationInvalid, WorkItemInvalid

REQUIRED = {"organization": "acme", "repository": "shop", "projectNumber": 1, "targetStatusColumn": "Ready"}


def resolved(
    file: str | None = None,
    *,
    defaults: dict[str, Any] | None = None,
    own: dict[str, Any] | None = None,
    limits: dict[str, Any] | None = None,
) -> Settings:
    document = REQUIRED | {"repositoryDefaults": defaults or {}, "limits": limits or {}}
    document["repositorySettings"] = {"Acme/Shop": own} if own else {}
    parsed = None if file is None else parse_repository_file(file)
    return resolve(Configuration.model_validate(document), "acme/shop", parsed)


def test_without_any_source_defaults_apply() -> None:
    settings = resolved()

    assert settings == Settings()
    assert (settings.checks[0].test, settings.checks[0].setup, settings.baseline) == (None, None, "known")


def test_sources_decide_in_order() -> None:
    defaults = {
        "test": "default",
        "setup": "default",
        "baseline": "off",
        "coverage": {"threshold": 50, "mode": "changed"},
    }
    settings = resolved(
        "test: file\nsetup: file\ncoverage: {threshold: 60}\n", defaults=defaults, own={"test": ["own"]}
    )

    [check] = settings.checks
    assert check.test == ("own",)
    assert check.setup == ("sh", "-eu", "-c", "file")
    assert (check.coverage.threshold, check.coverage.mode, check.coverage.is_default) == (60, "changed", False)
    assert settings.baseline == "off"
    assert settings.origins == {
        "test": "repositorySettings.Acme/Shop",
        "setup": ".kiro-worker.yml",
        "coverage.threshold": ".kiro-worker.yml",
        "coverage.mode": "repositoryDefaults",
        "baseline": "repositoryDefaults",
    }


def test_settings_of_other_repository_do_not_apply() -> None:
    configuration = Configuration.model_validate(REQUIRED | {"repositorySettings": {"acme/other": {"test": "x"}}})

    assert resolve(configuration, "acme/shop").checks[0].test is None


def test_variables_are_merged_by_name() -> None:
    settings = resolved(
        "environment: {A: file, B: file}",
        defaults={"environment": {"A": "default", "C": "default"}},
        own={"environment": {"B": "own"}},
    )

    assert settings.environment == {"A": "file", "B": "own", "C": "default"}
    assert settings.origins["environment.C"] == "repositoryDefaults"


def test_null_turns_coverage_off_and_is_no_value_elsewhere() -> None:
    settings = resolved(
        "test: null\ncoverage: {threshold: null, mode: null}\n", defaults={"test": "x", "coverage": {"mode": "changed"}}
    )

    [check] = settings.checks
    assert check.test == ("sh", "-eu", "-c", "x")
    assert (check.coverage.threshold, check.coverage.mode, check.coverage.is_default) == (None, "changed", False)


def test_empty_setup_is_a_choice() -> None:
    assert resolved("setup: []", defaults={"setup": "install"}).checks[0].setup == ()


def test_checks_inherit_what_they_leave_out() -> None:
    file = """
coverage: {threshold: 70}
checks:
  - {name: api, directory: services/api, test: go test ./..., coverage: {mode: changed}}
  - {name: web, directory: web, setup: [], coverage: {threshold: null}}
"""
    api, web = resolved(file, defaults={"setup": "install", "requireReport": True}).checks

    assert (api.name, api.directory, api.setup) == ("api", "services/api", ("sh", "-eu", "-c", "install"))
    assert (api.coverage.threshold, api.coverage.mode) == (70, "changed")
    assert (web.setup, web.test, web.coverage.threshold, web.require_report) == ((), None, None, True)


def test_higher_source_replaces_checks() -> None:
    [check] = resolved("checks: [{name: a}, {name: b}]", own={"test": "only this"}).checks

    assert (check.name, check.test) == ("", ("sh", "-eu", "-c", "only this"))


def test_checks_replace_command_of_lower_source() -> None:
    names = [check.name for check in resolved("checks: [{name: a}, {name: b}]", defaults={"test": "x"}).checks]

    assert names == ["a", "b"]


def test_check_of_file_cannot_override_parameter_of_repository() -> None:
    file = """
checks:
  - {name: a, requireReport: false, coverage: {threshold: 1, mode: changed}}
"""
    own = {"requireReport": True, "coverage": {"threshold": 90}}

    [check] = (settings := resolved(file, own=own)).checks

    assert (check.require_report, check.coverage.threshold, check.coverage.mode) == (True, 90, "changed")
    assert settings.origins["checks[0].coverage.mode"] == ".kiro-worker.yml"
    assert not {"checks[0].coverage.threshold", "checks[0].requireReport"} & set(settings.origins)


def test_check_of_defaults_does_not_override_file() -> None:
    defaults = {"checks": [{"name": "a", "coverage": {"threshold": 50, "mode": "changed"}}]}

    [check] = resolved("coverage: {threshold: 90}", defaults=defaults).checks

    assert (check.coverage.threshold, check.coverage.mode) == (90, "changed")


def test_settings_of_check_have_their_origins() -> None:
    file = """
coverage: {threshold: 70}
checks:
  - {name: api, directory: services/api, test: go test ./..., requireReport: true, coverage: {mode: changed}}
"""
    origins = resolved(file, defaults={"setup": "install"}).origins

    assert origins == {
        "coverage.threshold": ".kiro-worker.yml",
        "setup": "repositoryDefaults",
        "checks": ".kiro-worker.yml",
        **dict.fromkeys(
            (
                "checks[0].name",
                "checks[0].directory",
                "checks[0].test",
                "checks[0].requireReport",
                "checks[0].coverage.mode",
            ),
            ".kiro-worker.yml",
        ),
    }


def test_agent_of_file_does_not_inherit_what_parameter_says_about_its_own() -> None:
    own = {"agent": {"model": "sonnet", "arguments": ["--effort", "high"], "maxCredits": 5}}

    agent = resolved("agent: {name: codex}", own=own, limits={"agents": ["kiro", "codex"]}).agent

    assert (agent.name, agent.model, agent.arguments, agent.max_credits) == ("codex", None, (), 5)


def test_other_agent_does_not_inherit_what_was_for_the_first() -> None:
    defaults = {"agent": {"name": "kiro", "model": "sonnet", "harness": "v3", "timeoutMinutes": 10}}
    agent = resolved("agent: {name: codex}", defaults=defaults, limits={"agents": ["kiro", "codex"]}).agent

    assert (agent.name, agent.model, agent.harness, agent.timeout_minutes) == ("codex", None, None, 10)


@pytest.mark.parametrize(
    ("defaults", "own"),
    [
        ({"name": "claude"}, {"harness": "v3"}),
        ({"command": "tool"}, {"arguments": ["--fast"]}),
    ],
)
def test_key_that_agent_of_defaults_ignores_is_refused(defaults: dict[str, Any], own: dict[str, Any]) -> None:
    with pytest.raises(
        ConfigurationInvalid, match=r'"agent\.\w+" of repositorySettings.Acme/Shop: it would be ignored'
    ):
        resolved(defaults={"agent": defaults}, own={"agent": own})


def test_same_agent_keeps_the_rest() -> None:
    defaults = {"agent": {"command": "tool", "keyVariable": "TOOL_KEY"}}
    agent = resolved("agent: {name: command, maxCredits: 5}", defaults=defaults).agent

    assert (agent.command, agent.key_variable, agent.max_credits) == (("tool",), "TOOL_KEY", 5)


@pytest.mark.parametrize(
    ("file", "limits", "expected"),
    [
        ("agent: {name: codex}", {}, '"agent.name" of .kiro-worker.yml: the agent codex is not one of kiro'),
        ("agent: {name: kiro}", {"agents": []}, "the agent kiro is not one of none: no file may name an agent"),
        ("agent: {name: command}", {"agents": ["command"]}, "no command is configured"),
        ("agent: {maxCredits: 30}", {"credits": 20}, "30 is more than 20"),
        ("agent: {maxMinutes: 90}", {"minutes": 60}, "90 is more than 60"),
        ("build: {timeoutMinutes: 90}", {"minutes": 60}, '"limits.minutes"'),
        ("build: {computeType: LARGE}", {}, "LARGE is larger than MEDIUM"),
        ("build: {image: 'ubuntu:24.04'}", {}, "the image ubuntu:24.04 is not allowed"),
        ("build: {image: 'ubuntu:24.04'}", {"images": ["debian:13"]}, "(debian:13)"),
    ],
)
def test_file_is_bounded_by_limits(file: str, limits: dict[str, Any], expected: str) -> None:
    with pytest.raises(WorkItemInvalid) as caught:
        resolved(file, limits=limits)

    assert expected in caught.value.reason
    assert "raise the limit in the configuration parameter" in caught.value.remedy


def test_setup_gets_only_secrets_that_the_repository_names() -> None:
    known = {"NPM_TOKEN": "kiro-worker-test-tests-npm", "OTHER": "kiro-worker-test-tests-other"}
    configuration = Configuration.model_validate(REQUIRED | {"testSecrets": known})

    chosen = resolve(configuration, "acme/shop", parse_repository_file("secrets: [NPM_TOKEN]"))
    assert chosen.secrets == {"NPM_TOKEN": "kiro-worker-test-tests-npm"}
    assert resolve(configuration, "acme/shop").secrets == {}
    with pytest.raises(WorkItemInvalid, match="GEM_TOKEN is not one of NPM_TOKEN, OTHER"):
        resolve(configuration, "acme/shop", parse_repository_file("secrets: [GEM_TOKEN]"))


@pytest.mark.parametrize("name", ["kiro-worker-test-github-token", "kiro-worker-test-tests-", "other", "a/tests-x"])
def test_secret_of_setup_has_prefix(name: str) -> None:
    with pytest.raises(ValueError, match="testSecrets"):
        Configuration.model_validate(REQUIRED | {"testSecrets": {"NPM_TOKEN": name}})


def test_parameter_is_bounded_too() -> None:
    with pytest.raises(ConfigurationInvalid, match="XLARGE is larger than MEDIUM"):
        resolved(own={"build": {"computeType": "XLARGE"}})


def test_credits_limit_applies_without_own_limit() -> None:
    settings = resolved(limits={"credits": 20})

    assert settings.agent.max_credits == 20
    assert settings.origins["agent.maxCredits"] == "limits.credits"
    assert resolved("agent: {maxCredits: null}", limits={"credits": 20}).agent.max_credits == 20


@pytest.mark.parametrize(
    ("defaults", "own", "limit", "origin"),
    [
        ({}, {}, None, None),
        ({"maxCreditsPerDay": 10}, {}, 10, "repositoryDefaults"),
        ({}, {"maxCreditsPerDay": 0.5}, 0.5, "repositorySettings.Acme/Shop"),
        ({"maxCreditsPerDay": 10}, {"maxCreditsPerDay": 20}, 20, "repositorySettings.Acme/Shop"),
        ({"maxCreditsPerDay": 10}, {"test": "make"}, 10, "repositoryDefaults"),
        ({"maxCreditsPerDay": 10}, {"maxCreditsPerDay": None}, None, "repositorySettings.Acme/Shop"),
    ],
)
def test_parameter_alone_decides_daily_budget(
    defaults: dict[str, Any], own: dict[str, Any], limit: float | None, origin: str | None
) -> None:
    document = REQUIRED | {
        "maxCreditsPerDay": 500,
        "repositoryDefaults": defaults,
        "repositorySettings": {"Acme/Shop": own, "acme/api": {"maxCreditsPerDay": 7}},
    }
    configuration = Configuration.model_validate(document)

    assert daily_limit(configuration, "acme/SHOP") == limit
    assert daily_limit(configuration, "ACME/api") == 7
    assert daily_limit(configuration, "acme/other") == defaults.get("maxCreditsPerDay")
    settings = resolve(configuration, "acme/shop", parse_repository_file("test: make"))
    assert (settings.max_credits_per_day, settings.origins.get("maxCreditsPerDay")) == (limit, origin)


def test_daily_budget_is_known_when_other_settings_are_refused() -> None:
    document = REQUIRED | {"repositoryDefaults": {"maxCreditsPerDay": 10, "build": {"computeType": "XLARGE"}}}

    assert daily_limit(Configuration.model_validate(document), "acme/shop") == 10


def test_allowed_machine_is_used() -> None:
    file = "build: {image: 'ubuntu:24.04', computeType: LARGE, timeoutMinutes: 90}"
    build = resolved(file, limits={"images": ["ubuntu:24.04"], "computeType": "XLARGE", "minutes": 90}).build

    assert (build.image, build.compute_type, build.timeout_minutes) == ("ubuntu:24.04", "BUILD_GENERAL1_LARGE", 90)


def test_installation_may_name_any_image() -> None:
    assert resolved(own={"build": {"image": "ubuntu:24.04"}}).build.image == "ubuntu:24.04"


def test_document_has_names_of_the_json_form() -> None:
    document = settings_document(resolved("environment: {MY_VAR: x}\ncoverage: {threshold: 5}\n"))

    assert document["effective"]["environment"] == {"MY_VAR": "x"}
    assert document["effective"]["checks"][0]["requireReport"] is False
    assert document["origins"] == {"environment.MY_VAR": ".kiro-worker.yml", "coverage.threshold": ".kiro-worker.yml"}
