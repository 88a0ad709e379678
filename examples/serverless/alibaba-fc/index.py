"""Alibaba FC: OSS calls this with the event as JSON in bytes. An exception has FC try again."""

import os

from handler import handle_event, summary
from store import from_environment


def handler(event, context):
    env = dict(os.environ)
    role = getattr(context, "credentials", None)
    if role and role.access_key_id:
        # Those of this invocation; the ones in the environment may have expired.
        env["ALIBABA_CLOUD_ACCESS_KEY_ID"] = role.access_key_id
        env["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] = role.access_key_secret
        env["ALIBABA_CLOUD_SECURITY_TOKEN"] = role.security_token
    return summary(handle_event(event, None, from_environment("oss", env)))
