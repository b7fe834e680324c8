"""Credentials of AWS's roles, from STS."""

from __future__ import annotations

from controller.aws.calls import Aws, AwsCallFailed
from controller.roles.issuing import AssumedCredentials, CannotAssumeRole


class AwsRoles:
    """Assumes roles with the operator's profile. They hold for an hour, which is what every role allows."""

    def __init__(self, aws: Aws, region: str) -> None:
        self._aws = aws
        self._region = region

    async def assume(self, role_arn: str, session: str) -> AssumedCredentials:
        """Credentials of a role under a name for the session. Raises `CannotAssumeRole`."""
        try:
            answer = await self._aws.call(
                "sts", self._region, "assume_role", RoleArn=role_arn, RoleSessionName=session
            )
        except AwsCallFailed as error:
            raise CannotAssumeRole(str(error), final=not error.again) from None
        given = answer["Credentials"]
        return AssumedCredentials(
            given["AccessKeyId"],
            given["SecretAccessKey"],
            given["SessionToken"],
            given["Expiration"].timestamp(),
        )
