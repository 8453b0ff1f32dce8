"""The GraphQL operations that find out whether a branch is ready to be built."""

from __future__ import annotations

from typing import Final

from gql import GraphQLRequest

from kiro_worker.config.settings import MISNAMED_FILE, REPOSITORY_FILE
from kiro_worker.github.queries import RATE_LIMIT

_DEFAULT_BRANCH = f"""
fragment DefaultBranch on Repository {{
  defaultBranchRef {{
    name
    target {{
      __typename
      oid
      ... on Commit {{
        file(path: "{REPOSITORY_FILE}") {{
          mode type object {{ __typename ... on Blob {{ byteSize isBinary isTruncated text }} }}
        }}
        misnamed: file(path: "{MISNAMED_FILE}") {{ mode type }}
      }}
    }}
  }}
}}
"""
_SPEC = """
fragment Spec on Repository {
  specFolder: object(expression: $specFolder) {
    __typename
    ... on Tree { entries { name mode type object { __typename ... on Blob { byteSize isBinary } } } }
  }
  tasks: object(expression: $tasks) { __typename ... on Blob { byteSize isBinary isTruncated text } }
}
"""

VALIDATE_WORK_ITEM: Final = GraphQLRequest(
    f"""
query ValidateWorkItem(
  $owner: String!, $name: String!, $branch: String!, $ref: String!, $specFolder: String!, $tasks: String!,
  $withMergeable: Boolean!
) {{
  repository(owner: $owner, name: $name) {{
    nameWithOwner
    isArchived
    isDisabled
    isLocked
    lockReason
    viewerPermission
    ...DefaultBranch
    ref(qualifiedName: $ref) {{
      name
      target {{ __typename oid }}
      refUpdateRule {{ pattern viewerCanPush requiresSignatures }}
      rules(first: 50) {{ nodes {{ type repositoryRuleset {{ name bypassActors(first: 1) {{ totalCount }} }} }} }}
    }}
    ...Spec
    pullRequests(headRefName: $branch, states: [OPEN], first: 20) {{
      nodes {{
        id number url isCrossRepository isDraft authorAssociation author {{ __typename login }} headRefOid baseRefName
        mergeable @include(if: $withMergeable)
      }}
    }}
    closedPullRequests: pullRequests(headRefName: $branch, states: [CLOSED, MERGED], last: 1) {{
      nodes {{ number state isCrossRepository }}
    }}
  }}
  {RATE_LIMIT}
}}
{_DEFAULT_BRANCH}
{_SPEC}"""
)
"""The branch and its rules, spec folder, tasks, open pull requests, the last closed one, and the repository's own file.

The file is read below the default branch's commit, so that both are of one state even if the branch moves meanwhile.
That is 53 requests in GitHub's formula: 1 point. The expressions start with ``refs/heads/`` because a bare name
resolves to a tag first.
"""

READ_REPOSITORY_FILE: Final = GraphQLRequest(
    f"""
query ReadRepositoryFile($owner: String!, $name: String!) {{
  repository(owner: $owner, name: $name) {{ nameWithOwner ...DefaultBranch }}
  {RATE_LIMIT}
}}
{_DEFAULT_BRANCH}"""
)
"""The repository's own file, for a person who asks what applies to the repository."""

RULES: Final = ("refUpdateRule", "rules")
"""The fields of ``VALIDATE_WORK_ITEM`` that a token may be forbidden to read."""

FIND_SPEC: Final = GraphQLRequest(
    f"""
query FindSpec($owner: String!, $name: String!, $onBranch: String!, $baseRef: String!, $onBase: String!) {{
  repository(owner: $owner, name: $name) {{
    onBranch: object(expression: $onBranch) {{ ...Names }}
    base: ref(qualifiedName: $baseRef) {{ name }}
    onBase: object(expression: $onBase) {{ ...Names }}
  }}
  {RATE_LIMIT}
}}
fragment Names on GitObject {{ __typename ... on Tree {{ entries {{ name mode type }} }} }}
"""
)
"""The folders below the root of the specs, on the branch and on the base of its pull request."""

READ_SPEC: Final = GraphQLRequest(
    f"""
query ReadSpec($owner: String!, $name: String!, $specFolder: String!, $tasks: String!) {{
  repository(owner: $owner, name: $name) {{ ...Spec }}
  {RATE_LIMIT}
}}
{_SPEC}"""
)
"""A spec folder that is not named after the branch."""

COMPARED_FILES: Final = 20
"""How many files ``COMPARE_FILES`` compares. One that compares fewer repeats a path."""

COMPARE_FILES: Final = GraphQLRequest(
    f"""
query CompareFiles(
  $owner: String!, $name: String!, $default: GitObjectID!, $commit: GitObjectID!,
  {", ".join(f"$path{number}: String!" for number in range(COMPARED_FILES))}
) {{
  repository(owner: $owner, name: $name) {{
    default: object(oid: $default) {{ __typename ...Files }}
    commit: object(oid: $commit) {{ __typename ...Files }}
  }}
  {RATE_LIMIT}
}}
fragment Files on Commit {{
  {" ".join(f"file{number}: file(path: $path{number}) {{ mode oid }}" for number in range(COMPARED_FILES))}
}}
"""
)
"""The versions of files in two commits."""

READ_MERGEABLE: Final = GraphQLRequest(
    f"""
query ReadMergeable($id: ID!) {{
  node(id: $id) {{ __typename ... on PullRequest {{ mergeable }} }}
  {RATE_LIMIT}
}}
"""
)
