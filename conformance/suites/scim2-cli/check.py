"""scim2-cli as a foreign client: a script of steps with asserted outcomes.

Users and groups are made with names that start with a prefix of this run, all queries are limited
to them, and they are deleted at the end. In a directory of the suite's own no step may be skipped.
"""

import uuid

import bulk
import discovery
import groups
import me
import queries
import resources
import users
from client import Client, Steps

from suite import Target, finish


class Run:
    """What the steps share."""

    def __init__(self, target):
        self.target = target
        self.client = Client(target.base_url, target.token)
        self.steps = Steps()
        self.prefix = f"cli-{uuid.uuid4().hex[:8]}"
        self.made = []
        """Command name and id of what has to be deleted, in the order of making."""
        self.config = {}
        self.types = set()
        """Command names of the resource types that the server publishes."""

    def create(self, kind, body, **more):
        answer = self.client.ok("create", kind, body=body, **more)
        self.made.append((kind, answer["id"]))
        return answer

    def clean_up(self):
        for kind, resource_id in reversed(self.made):
            self.client.run("delete", kind, resource_id)


def main():
    target = Target.from_environment()
    run = Run(target)
    try:
        for area in (discovery, users, queries, groups, bulk, resources, me):
            area.steps(run)
    finally:
        run.clean_up()
    steps = run.steps
    if target.own and steps.skipped:
        print(f"FAILED {steps.skipped} steps were skipped in the suite's own directory")
        steps.failed += steps.skipped
        steps.skipped = 0
    finish(steps.passed, steps.failed, steps.skipped)


if __name__ == "__main__":
    main()
