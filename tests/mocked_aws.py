"""moto's AWS, in this process."""

from __future__ import annotations

from moto import mock_aws


def mocked_aws() -> mock_aws:
    """Empty at each start. boto3's session lives on: to read its descriptions of AWS anew takes longer than a test."""
    return mock_aws(config={"core": {"reset_boto3_session": False}})
