"""Parallel and inline Map states of which a redrive repeats no more than it must: branches and iterations that
succeeded keep their output, those that failed or were aborted go on from their own failed state.
"""

from __future__ import annotations

import datetime
from typing import Any

from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.program.program import Program
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.inline_iteration_component import (
    InlineIterationComponent,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.iteration_worker import IterationWorker
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.job import Job, JobClosed, JobPool
from moto.stepfunctions.parser.asl.component.state.exec.state_map.max_concurrency import DEFAULT_MAX_CONCURRENCY_VALUE
from moto.stepfunctions.parser.asl.component.state.exec.state_parallel.branch_worker import BranchWorker
from moto.stepfunctions.parser.asl.component.state.exec.state_parallel.branches_decl import (
    BranchesDecl,
    BranchWorkerPool,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task import StateTask
from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task_activitiy import StateTaskActivity
from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task_lambda import StateTaskLambda
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails

from kiro_local.aws.progress import Progress, arguments_of
from kiro_local.aws.replacements import Replacements

_ORIGINAL_FRAME = Environment.as_inner_frame_of.__func__
_ORIGINAL_JOB = IterationWorker._eval_job


def install(replacements: Replacements) -> None:
    """Replaces ``Environment.as_inner_frame_of`` (a frame knows the progress of the program it belongs to),
    ``Program.eval`` (the program of a branch or an iteration remembers how far it came; the state machine's own is
    run by its Drive), ``BranchesDecl._eval_body``, ``InlineIterationComponent._eval_body`` and
    ``IterationWorker._eval_job`` (what is done is not run again, and what a failure leaves at work is stopped: moto
    lets iterations run on), ``_eval_parameters`` of Tasks (their Arguments are remembered), and
    ``CustomErrorName.__init__``: a branch may fail with ``States.TaskFailed``, and moto refuses to pass that on.
    """
    replacements.set(Environment, "as_inner_frame_of", classmethod(_frame))
    replacements.set(Environment, "progress", None)
    replacements.set(Program, "eval", _eval_program)
    replacements.set(BranchesDecl, "_eval_body", _eval_branches)
    replacements.set(InlineIterationComponent, "_eval_body", _eval_iterations)
    replacements.set(IterationWorker, "_eval_job", _eval_job)
    replacements.set(CustomErrorName, "__init__", ErrorName.__init__)
    for task in (StateTask, StateTaskLambda, StateTaskActivity):
        replacements.set(task, "_eval_parameters", _remembering(task._eval_parameters))


def _frame(cls: type[Environment], env: Environment, *args: Any, **kwargs: Any) -> Environment:
    frame = _ORIGINAL_FRAME(cls, env, *args, **kwargs)
    frame.progress = env.progress
    return frame


def _eval_program(self: Program, env: Environment) -> None:
    branch: Progress = vars(env).pop("branch", None) or Progress()
    branch.prepare(self, env)
    branch.walk(self, env)


def _eval_branches(self: BranchesDecl, env: Environment) -> None:
    document = env.stack.pop()
    env.progress.begin_branches()
    branches = [env.progress.branch(index) for index in range(len(self.programs))]
    open_branches = [
        (branch, program) for branch, program in zip(branches, self.programs, strict=True) if not branch.done
    ]
    pool = BranchWorkerPool(workers_num=len(open_branches))
    workers = []
    for branch, program in open_branches:
        frame = env.open_inner_frame()
        frame.states.reset(input_value=document)
        frame.branch = branch
        workers.append(BranchWorker(branch_worker_comm=pool, program=program, env=frame))
    for worker in workers:
        worker.start()
    if workers:
        pool.wait()
    failure = pool.get_exit_event_details()
    for worker in workers:
        if failure is not None:
            worker.stop(stop_date=datetime.datetime.now(datetime.UTC), cause=None, error=None)
        env.close_frame(worker.env)
    if failure is not None:
        raise FailureEventException(_failure(env, failure))
    env.stack.append([branch.output for branch in branches])


def _failure(env: Environment, details: Any) -> FailureEvent:
    return FailureEvent(
        env=env,
        error_name=CustomErrorName(details.get("error")),
        event_type=HistoryEventType.ExecutionFailed,
        event_details=EventDetails(executionFailedEventDetails=details),
    )


def _eval_iterations(self: InlineIterationComponent, env: Environment) -> None:
    given = env.stack.pop()
    env.progress.begin_branches()
    pool = JobPool(job_program=self._get_iteration_program(), job_inputs=given.input_items)
    for job in list(pool._open_jobs):
        iteration = env.progress.branch(job.job_index)
        if iteration.done:
            pool._open_jobs.remove(job)
            pool._closed_jobs.add(JobClosed(job_index=job.job_index, job_output=iteration.output))
    unlimited = given.max_concurrency == DEFAULT_MAX_CONCURRENCY_VALUE
    for _ in range(len(pool._open_jobs) if unlimited else given.max_concurrency):
        self._launch_worker(env=env, eval_input=given, job_pool=pool)
    pool.await_jobs()
    failure = pool.get_worker_exception()
    if failure is not None:
        for frame in list(env._frames):
            frame.set_stop(stop_date=datetime.datetime.now(datetime.UTC), cause=None, error=None)
        raise failure
    env.stack.append([closed.job_output for closed in pool.get_closed_jobs()])


def _eval_job(self: IterationWorker, env: Environment, job: Job) -> None:
    env.branch = self._env.progress.branch(job.job_index)
    _ORIGINAL_JOB(self, env, job)


def _remembering(original: Any) -> Any:
    def evaluate(self: StateTask, env: Environment) -> Any:
        return arguments_of(env.progress, lambda: original(self, env))

    return evaluate
