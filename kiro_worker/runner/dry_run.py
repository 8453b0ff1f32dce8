"""``--dry-run``: what a build of this branch would do and what would stop it, found out by the build's own steps as far
as they only read. No lock is taken, no agent and no test is started, nothing is written but into a temporary folder.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from kiro_worker.config.parameter import load_configuration, parse_configuration
from kiro_worker.config.secrets import load_git_credentials, load_github_token
from kiro_worker.errors import BuildStopped, ConfigurationError, ConfigurationInvalid, KiroWorkerError, with_remedy
from kiro_worker.lock.owner import owner_is_running
from kiro_worker.lock.table import LockTable
from kiro_worker.models import GitCredentials
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.agent.adapters import configured_agent
from kiro_worker.runner.agent.loop import materialize
from kiro_worker.runner.clients import Clients
from kiro_worker.runner.gate.test_command import detected_command, with_report_options
from kiro_worker.runner.github import job_of_branch, labelling_of
from kiro_worker.runner.pipeline import stop_for, tasks_text
from kiro_worker.runner.report.log import Redaction
from kiro_worker.runner.repository.checkout import CHECKPOINTS, check_out, require_unmoved_branch
from kiro_worker.runner.repository.checkpoint import Checkpoint
from kiro_worker.runner.repository.git import GitFailed
from kiro_worker.runner.sandbox.output import plain
from kiro_worker.runner.sandbox.processes import scrubbed_environment
from kiro_worker.runner.trust.guard import Guard
from kiro_worker.spec import pending_leaf_tasks, reset

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kiro_worker.config.model import Configuration
    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.request import BuildRequest

DEFAULT_VARIABLE: Final = "GITHUB_TOKEN"
_RUN: Final = "runs/<the build's id>/<the build's number>/"
_WIDTH: Final = 12


class WrongUsage(Exception):
    """What was asked for cannot be asked for like this."""


@dataclass(frozen=True)
class Options:
    """``environment`` or ``config`` say where the configuration is; the variables name where secrets are, in place of
    Secrets Manager.
    """

    branch: str
    environment: str = ""
    config: Path | None = None
    repository: str = ""
    token_variable: str = ""
    password_variable: str = ""
    as_json: bool = False


@dataclass(frozen=True)
class Blocker:
    """By what name a build would end before its work is done, why, and what mends it."""

    outcome: Outcome
    reason: str
    remedy: str = ""
    details: str = ""


@dataclass
class Plan:
    """What is known so far. ``lines`` are for people, a name and a sentence each; ``facts`` the same for programs."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    stops: list[Blocker] = field(default_factory=list)

    def note(self, name: str, sentence: str, fact: Any = None) -> None:
        self.lines.append((name, sentence))
        if fact is not None:
            self.facts[name] = fact

    def stop(self, stop: BuildStopped) -> None:
        self.stops.append(Blocker(stop.outcome, stop.reason, stop.remedy, stop.details))

    def text(self) -> str:
        lines = [f"{name:<{_WIDTH}}{sentence}" for name, sentence in self.lines]
        for stop in self.stops:
            lines.append(with_remedy(f"\nwould stop: {stop.outcome}: {stop.reason}", stop.remedy))
            lines += [stop.details] if stop.details else []
        return "\n".join([*lines, *([] if self.stops else ["\nwould go"])])

    def document(self) -> dict[str, Any]:
        """``{"wouldGo", "stops": [{"outcome", "reason", "remedy", "details"}], …}`` and what is in ``facts``."""
        return {"wouldGo": not self.stops, "stops": [asdict(stop) for stop in self.stops], **self.facts}


def dry_run(options: Options, parent: Mapping[str, str]) -> int:
    """Print the plan: 0 when the build would go, 1 when something would stop it, 2 when the options do not do."""
    plan, redaction = Plan(), Redaction()
    with tempfile.TemporaryDirectory(prefix="kiro-worker-dry-run-") as folder:
        try:
            source = _Source.of(options, parent)
            _Dry(plan, source, redaction, parent, Path(folder)).run(options)
        except WrongUsage as error:
            print(error, file=sys.stderr)
            return 2
        except (BuildStopped, KiroWorkerError, GitFailed) as error:
            plan.stop(stop_for(error))
        except (BotoCoreError, ClientError) as error:
            remedy = "check the AWS credentials and the region of this shell, or go without AWS: --config FILE"
            plan.stop(BuildStopped(Outcome.WORKER_FAILED, f"AWS does not answer: {error}", remedy))
    # Titles and names are the repository's: what they say to a terminal is taken out, as of an agent's output.
    print(redaction(json.dumps(plan.document(), indent=2) if options.as_json else plain(plan.text())))
    return 1 if plan.stops else 0


@dataclass(frozen=True)
class _Source:
    """Where this dry run reads from. ``locks`` is ``None`` without AWS."""

    configuration: Configuration
    load_token: Callable[[], str]
    load_git_credentials: Callable[[], GitCredentials]
    locks: LockTable | None
    bucket: str

    @classmethod
    def of(cls, options: Options, parent: Mapping[str, str]) -> _Source:
        if options.config:
            return cls.without_aws(options, options.config, parent)
        return cls.on_aws(options, parent)

    @classmethod
    def without_aws(cls, options: Options, file: Path, parent: Mapping[str, str]) -> _Source:
        token = _variable(parent, options.token_variable or DEFAULT_VARIABLE)
        password = _variable(parent, options.password_variable) if options.password_variable else token
        return cls(_configuration_in(file), lambda: token, lambda: GitCredentials("git", password), None, "")

    @classmethod
    def on_aws(cls, options: Options, parent: Mapping[str, str]) -> _Source:
        """By the names that the deployment gives everything."""
        clients, prefix = Clients(), f"kiro-worker-{options.environment}"
        is_running = owner_is_running(clients("stepfunctions"), lambda: clients("codebuild"))
        secrets = clients("secretsmanager")
        token, password = (
            _variable(parent, name) if name else "" for name in (options.token_variable, options.password_variable)
        )
        return cls(
            load_configuration(clients("ssm"), f"/kiro-worker/{options.environment}/github-project-config"),
            lambda: token or load_github_token(secrets, f"{prefix}-github-token"),
            lambda: (
                GitCredentials("git", password)
                if password
                else load_git_credentials(secrets, f"{prefix}-git-credentials")
            ),
            LockTable(clients("dynamodb"), f"{prefix}-locks", 0, is_running),
            f"{prefix}-artifacts-{clients('sts').get_caller_identity()['Account']}-{clients('ssm').meta.region_name}",
        )


class _Dry:
    """The steps of the build's story, in its order, as far as they change nothing."""

    def __init__(
        self, plan: Plan, source: _Source, redaction: Redaction, parent: Mapping[str, str], folder: Path
    ) -> None:
        self._plan = plan
        self._source = source
        self._configuration = source.configuration
        self._redaction = redaction
        self._parent = parent
        self._folder = folder

    def run(self, options: Options) -> None:
        """Raises what stops everything that comes after it; what does not is only noted."""
        token = self._source.load_token()
        self._redaction.know(token)
        request = job_of_branch(self._configuration, token, options.branch, "build:dry-run", options.repository)
        self._plan.note(
            "job",
            f"{request.repository} {request.branch} at {request.commit[:12]}, pull request #{request.pull_request},"
            f" spec in {request.spec_path}",
            {
                "repository": request.repository,
                "branch": request.branch,
                "commit": request.commit,
                "pullRequest": request.pull_request,
                "specPath": request.spec_path,
            },
        )
        self._lock(request)
        checkout = self._check_out(request)
        guard = Guard(
            request,
            self._configuration,
            lambda label: labelling_of(self._configuration, token, request, label),
            lambda text: self._plan.note("guard", text),
        )
        self._guard(guard, checkout)
        start = self._start(guard, checkout)
        self._turns(request, tasks_text(checkout, request, start))
        self._tests(checkout, start)
        url = checkout.git.url
        checkpoint = f"{CHECKPOINTS}/{request.branch}"
        sentence = f"{request.branch} of {url}; until then each finished task to {checkpoint}"
        self._plan.note("push", sentence, {"url": url, "branch": request.branch, "checkpointBranch": checkpoint})
        place = f"s3://{self._source.bucket}/{_RUN}" if self._source.bucket else f"{_RUN} of the artifacts bucket"
        self._plan.note("artifacts", place, place)

    def _lock(self, request: BuildRequest) -> None:
        key, locks = request.lease.lock_key, self._source.locks
        if locks is None:
            self._plan.note("lock", f"{key}: not looked at, that takes AWS")
            return
        holder = locks.read(key)
        if not holder.owner:
            self._plan.note("lock", f"{key} is free", {"key": key, "owner": None})
            return
        fact = {"key": key, "owner": holder.owner, "since": holder.acquired_at}
        if not locks.is_active(holder):
            self._plan.note("lock", f"{key} would be taken over from {holder.owner}, which has ended", fact)
            return
        what = f"the lock {key} is held by {holder.owner} since {holder.acquired_at or 'an unknown time'}"
        self._plan.note("lock", f"{key} is held by {holder.owner}", fact)
        self._plan.stop(BuildStopped(Outcome.LOCK_LOST, what, "wait until it has ended, or stop it"))

    def _check_out(self, request: BuildRequest) -> Checkout:
        credentials = self._source.load_git_credentials()
        self._redaction.know(credentials.password, f"{credentials.username}:{credentials.password}")
        checkout = check_out(request, self._folder, self._configuration.git_url, credentials, self._parent)
        require_unmoved_branch(checkout)
        return checkout

    def _guard(self, guard: Guard, checkout: Checkout) -> None:
        try:
            let_through = guard.require_trusted(checkout)
        except BuildStopped as stop:
            self._plan.stop(stop)
            return
        if not let_through:
            what = f"what steers the agent is as on the default branch ({checkout.default[:12]})"
            self._plan.note("guard", what, {"different": []})
        else:
            self._plan.facts["guard"] = {"different": list(let_through)}

    def _start(self, guard: Guard, checkout: Checkout) -> str:
        """The commit at which the agent would begin; its files are laid out."""
        checkpoint = Checkpoint(checkout, lambda text: self._plan.note("checkpoint", text))
        start = checkpoint.resume().commit
        if start != checkout.commit:
            try:
                guard.require_trusted(checkout, start)
            except BuildStopped as stop:
                self._plan.note("checkpoint", f"is not used, and the work starts over: {stop.reason}")
                start = checkout.commit
        elif not checkpoint.commit:
            self._plan.note("checkpoint", "none: the agent would begin at the branch's head")
        self._plan.facts["checkpoint"] = {"commit": checkpoint.commit, "startsAt": start}
        if start != checkout.commit:
            materialize(checkout, start)
        return start

    def _turns(self, request: BuildRequest, text: str) -> None:
        configured = self._configuration.agent
        try:
            # Not the agent's key: what is not needed to tell is not read.
            agent = configured_agent(configured, request, lambda: "")
        except BuildStopped as stop:
            self._plan.stop(stop)
            return
        there = shutil.which(agent.argv[0], path=self._parent.get("PATH"))
        self._plan.note(
            "agent",
            f"{shlex.join(agent.argv)}, at most {configured.timeout_minutes} minutes a turn;"
            f" on this machine: {there or 'not installed'}",
            {"name": agent.name, "argv": list(agent.argv), "timeoutMinutes": configured.timeout_minutes},
        )
        names = [task.name for task in pending_leaf_tasks(reset(text))]
        turns = [names] if configured.mode == "all" and names else [[name] for name in names]
        self._plan.facts["turns"] = turns
        for number, turn in enumerate(turns, 1):
            self._plan.note(f"turn {number}", "; ".join(turn))
        if not turns:
            self._plan.note("turns", "none: no task is open, and the checkpoint's work would go to the gate")

    def _tests(self, checkout: Checkout, start: str) -> None:
        configuration, home = self._configuration, self._folder / "home"
        command = configuration.test_command or detected_command(checkout.folder)
        found = "configured" if configuration.test_command else f"found in the files of {start[:12]}"
        if not command:
            self._plan.stop(
                BuildStopped(
                    Outcome.TESTS_FAILED,
                    "no test command: none is configured, and the repository has none of the usual ones yet",
                    'set "testCommand" in the configuration parameter, e.g. "make test"',
                )
            )
            return
        if not configuration.test_command:
            home.mkdir()
            environment = scrubbed_environment(home, self._parent)
            # Asks the interpreter, outside of the checkout, whether a plug-in is there: no code of the branch runs.
            asked = with_report_options(command, checkout.folder, home, environment)
            command = tuple(word.replace(str(home), "$HOME") for word in asked)
        self._plan.note("tests", f"{shlex.join(command)} ({found})", {"command": list(command)})
        threshold, mode = configuration.coverage_threshold, configuration.coverage_mode
        of = "changed lines" if mode == "changed" else "lines"
        asked_of_it = "not asked for" if threshold is None else f"at least {threshold:g} % of the {of}"
        where = f", read from {configuration.coverage_report}" if configuration.coverage_report else ""
        self._plan.note(
            "coverage",
            asked_of_it + where,
            {"threshold": threshold, "mode": mode, "report": configuration.coverage_report},
        )


def _configuration_in(file: Path) -> Configuration:
    try:
        return parse_configuration(file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUsage(f"--config: {file} cannot be read: {error}") from None
    except ConfigurationError as error:
        # Not the command that puts a parameter: this is a file.
        raise ConfigurationInvalid(error.reason, f"correct {file}") from None


def _variable(parent: Mapping[str, str], name: str) -> str:
    value = parent.get(name, "").strip()
    if not value:
        raise WrongUsage(f"the environment variable {name} is not set: export {name}=…")
    return value
