"""The layer that every step imports: the core of kiro_worker and the locked wheels."""

from __future__ import annotations

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs.step import architecture_of
from infra.packaging import Asset
from infra.settings import Settings


class CoreLayer(Construct):
    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, asset: Asset) -> None:
        super().__init__(scope, construct_id)
        self.version = lambda_.LayerVersion(
            self,
            "Version",
            layer_version_name=settings.names.core_layer,
            description="kiro_worker core and its locked dependencies",
            code=lambda_.Code.from_asset(str(asset.path), asset_hash=asset.digest),
            compatible_runtimes=[lambda_.Runtime.PYTHON_3_13],
            compatible_architectures=[architecture_of(settings)],
        )
