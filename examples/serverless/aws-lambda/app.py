"""AWS Lambda: S3, SNS, SQS or EventBridge call this. An exception has Lambda try again, then the failure queue."""

import functools

from handler import handle_event, summary
from store import from_environment


@functools.cache
def _store():
    return from_environment("s3")  # boto3 renews the role's credentials itself


def handler(event, context):
    return summary(handle_event(event, None, _store()))
