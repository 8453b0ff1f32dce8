"""A DynamoDB table of the worker: the locks or the records, both small, with one item per key."""

from __future__ import annotations

from aws_cdk import RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from infra.settings import Settings


class WorkerTable(Construct):
    """``key`` is the attribute that identifies an item."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, name: str, key: str) -> None:
        super().__init__(scope, construct_id)
        self.table = dynamodb.Table(
            self,
            "Table",
            table_name=name,
            partition_key=dynamodb.Attribute(name=key, type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            # The AWS managed key: CloudTrail records its use, and there is no key policy to maintain.
            encryption=dynamodb.TableEncryption.AWS_MANAGED,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            # TTL only removes old items. The condition of each write to a lock tests whether its lease has expired.
            time_to_live_attribute="expiresAt",
            removal_policy=RemovalPolicy.RETAIN if settings.keeps_data else RemovalPolicy.DESTROY,
            deletion_protection=settings.keeps_data,
        )
