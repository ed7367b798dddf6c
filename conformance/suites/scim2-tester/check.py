"""Every check of scim2-tester against every resource type that the server publishes.

`SUCCESS`, `COMPLIANT` and `ACCEPTABLE` pass; `DEVIATION`, `ERROR` and `CRITICAL` fail. Status codes
and content types of the answers are checked too. The checks fill attributes with random values;
`--seed N` repeats a run.
"""

import argparse
import random
from collections import Counter

from httpx2 import Client
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

from suite import Target, finish

PASSED = {Status.SUCCESS, Status.COMPLIANT, Status.ACCEPTABLE}
# The suite asks for the base types; the third is the custom one of `test-resource.json`, where the
# directory is the suite's own.
EXPECTED_TYPES = {"User", "Group"}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="name the checks that passed too")
    args = parser.parse_args()
    random.seed(args.seed)

    target = Target.from_environment()
    expected = set(EXPECTED_TYPES)
    if target.own:
        expected.add("TestResource")
    headers = {"Authorization": f"Bearer {target.token}"}
    with Client(base_url=target.base_url, headers=headers, timeout=30) as http:
        client = SyncSCIMClient(http)
        results = check_server(client)
    report(results, expected, args.verbose)


def report(results, expected, verbose):
    counts = Counter()
    types = {}
    for result in results:
        group = types.setdefault(result.resource_type or "discovery", Counter())
        if result.status in PASSED:
            outcome = "passed"
        elif result.status == Status.SKIPPED:
            outcome = "skipped"
        else:
            outcome = "failed"
        counts[outcome] += 1
        group[outcome] += 1
        if outcome != "passed" or verbose:
            place = f"{result.resource_type} " if result.resource_type else ""
            print(f"{result.status.name} {place}{result.title}: {result.reason}")
            if outcome == "failed" and result.data is not None:
                print(f"    {str(result.data)[:2000]}")
    for name, group in types.items():
        print(f"{name} {group['passed']}/{group.total()}")
    for missing in sorted(expected - types.keys()):
        print(f"ERROR the server publishes no resource type {missing}")
        counts["failed"] += 1
    finish(counts["passed"], counts["failed"], counts["skipped"])


if __name__ == "__main__":
    main()
