"""The GraphQL operations that find out whether a branch is ready to be built."""

from __future__ import annotations

from typing import Final

from gql import GraphQLRequest

from kiro_worker.github.queries import RATE_LIMIT

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
    defaultBranchRef {{ name }}
    ref(qualifiedName: $ref) {{
      name
      target {{ __typename oid }}
      refUpdateRule {{ pattern viewerCanPush requiresSignatures }}
      rules(first: 50) {{ nodes {{ type repositoryRuleset {{ name bypassActors(first: 1) {{ totalCount }} }} }} }}
    }}
    ...Spec
    pullRequests(headRefName: $branch, states: [OPEN], first: 20) {{
      nodes {{
        id number url isCrossRepository authorAssociation author {{ __typename login }} headRefOid baseRefName
        mergeable @include(if: $withMergeable)
      }}
    }}
    closedPullRequests: pullRequests(headRefName: $branch, states: [CLOSED, MERGED], last: 1) {{
      nodes {{ number state isCrossRepository }}
    }}
  }}
  {RATE_LIMIT}
}}
{_SPEC}"""
)
"""The branch and its rules, spec folder, tasks, open pull requests and the last closed one, in one request.

That is 53 requests in GitHub's formula: 1 point. The expressions start with ``refs/heads/`` because a bare name
resolves to a tag first.
"""

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

READ_MERGEABLE: Final = GraphQLRequest(
    f"""
query ReadMergeable($id: ID!) {{
  node(id: $id) {{ __typename ... on PullRequest {{ mergeable }} }}
  {RATE_LIMIT}
}}
"""
)
