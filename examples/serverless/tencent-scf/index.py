"""Tencent SCF: COS calls this with the event as a dict. An exception has SCF try again, then its dead letter queue."""

from handler import handle_event, summary
from store import from_environment


def main_handler(event, context):
    # Made each time: the role's credentials in the environment expire.
    return summary(handle_event(event, None, from_environment("cos")))
