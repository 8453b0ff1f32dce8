"""A spec in the form in which Kiro writes it, for one function and its test."""

from __future__ import annotations

from typing import Final

_REQUIREMENTS: Final = """\
# Requirements Document

## Introduction

Callers of {project} limit a number to a range, each in their own way. This feature adds one function for it.

## Glossary

- **Range**: the numbers from a lower to an upper bound, both included

## Requirements

### Requirement 1: Limit a number

**User Story:** As a developer, I want to limit a number to a range, so that I do not write the comparison again.

#### Acceptance Criteria

1. WHEN a number is in the Range, THE function SHALL return it unchanged
2. WHEN a number is outside the Range, THE function SHALL return the nearest bound
"""
_DESIGN: Final = """\
# Design Document

## Overview

One pure function, `confine`, in `{source}`. It has no state and needs no dependency.

## Components and Interfaces

`confine(value, low, high)` compares `value` with both bounds.

## Correctness Properties

### Property 1: The result is in the range

*For any* number and *any* range, the result is at least the lower and at most the upper bound.

**Validates: Requirements 1.1, 1.2**

## Testing Strategy

Unit tests in `{test}`, run with the project's own tests.
"""
_TASKS: Final = """\
# Implementation Plan: limit a number

## Overview

The function first, then its test.

## Tasks

- [ ] 1. Limit a number to a range
  - [ ] 1.1 Add `confine` to `{source}`
    - Return the number if it is in the range, and the nearest bound if it is not
    - _Requirements: 1.1, 1.2_
  - [ ] 1.2 Test it in `{test}`
    - **Property 1: The result is in the range**
    - **Validates: Requirements 1.1, 1.2**

- [ ] 2. Checkpoint - Ensure all tests pass
  - Ensure all tests pass, ask the user if questions arise.

## Notes

- Each task names the requirements that it implements.
"""


def spec_files(folder: str, project: str, source: str, test: str) -> dict[str, str]:
    """The three files of the spec in ``folder``. ``source`` and ``test`` are the files that the tasks name."""
    texts = {"requirements.md": _REQUIREMENTS, "design.md": _DESIGN, "tasks.md": _TASKS}
    return {f"{folder}/{name}": text.format(project=project, source=source, test=test) for name, text in texts.items()}
