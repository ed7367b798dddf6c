"""schemathesis against the OpenAPI description that the server gives of itself.

The description is read from `openapi.json` below the base URL. Requests are made up from it, valid
and invalid ones, for a bounded time; `--seconds N` and `--seed N` change how long and which. `/Me`
needs tokens of users, so it is tested only where the management API can issue them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

from suite import Target, finish

HERE = Path(__file__).resolve().parent
ROUNDS = 3
"""At most, while there are operations on which no request succeeded."""
USER = "urn:ietf:params:scim:schemas:core:2.0:User"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=75)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--description", help="a file in place of the server's own openapi.json")
    args = parser.parse_args()
    target = Target.from_environment()
    with tempfile.TemporaryDirectory() as folder:
        run(args, target, Path(folder))


def run(args, target, folder):
    if target.own:
        # The types of roles and entitlements are there when there are some.
        for kind in ("roles", "entitlements"):
            values = {"data": [{"value": "admin", "display": "Administrator"}, {"value": "guest"}]}
            path = f"/directories/{target.directory_id}/{kind}"
            target.management.send("PUT", path, values)
    if args.description:
        text = Path(args.description).read_bytes()
    else:
        text = send(target, "GET", "/openapi.json")
    description = folder / "openapi.json"
    description.write_bytes(text)
    outcome = Outcome(operations(json.loads(text)))
    if not target.management:
        outcome.leave_out("/Me")
        print("/Me is left out: tokens of users need the management API")
    for attempt in range(ROUNDS):
        code = make_requests(args, target, description, args.seed + attempt, outcome)
        if code or not outcome.unreached():
            break
        print(f"once more, for {', '.join(outcome.unreached())}")
    outcome.report(code)


def make_requests(args, target, description, seed, outcome):
    """One run of the command; adds to the outcome what it saw and returns the exit code."""
    report = description.with_name("report.ndjson")
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        "--config-file", str(HERE / "schemathesis.toml"), "run", str(description),
        "--url", target.base_url,
        "--seed", str(seed), "--max-time", str(args.seconds), "--request-timeout", "20",
        "--generation-database", "none", "--no-color", "--warnings", "off",
        "--report", "ndjson", "--report-ndjson-path", str(report),
    ]  # fmt: skip
    environment = {**os.environ, "SCIM_ME_TOKEN": "", "SCIM_LEAVER_TOKEN": ""}
    environment["SCHEMATHESIS_HOOKS"] = str(HERE / "hooks.py")
    if target.management:
        for variable, name in (("SCIM_ME_TOKEN", "me"), ("SCIM_LEAVER_TOKEN", "leaver")):
            environment[variable] = user_token(target, f"{name}-{seed}")
    else:
        command += ["--exclude-path", "/Me"]
    code = subprocess.run(command, env=environment, cwd=description.parent).returncode
    with report.open() as lines:
        for line in lines:
            scenario = json.loads(line).get("ScenarioFinished")
            if scenario:
                outcome.add(scenario["recorder"])
    return code


def operations(description):
    """Method and path of each."""
    methods = ("get", "post", "put", "patch", "delete")
    return [
        f"{method.upper()} {path}"
        for path, described in description["paths"].items()
        for method in methods
        if method in described
    ]


def send(target, method, path, body=None):
    headers = {"Authorization": f"Bearer {target.token}", "Content-Type": "application/scim+json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(target.base_url + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        print(f"FAILED {method} {path}: {error.code}: {error.read().decode(errors='replace')}")
        finish(0, 1)


def user_token(target, name):
    body = {"schemas": [USER], "userName": f"schemathesis-{name}@example.com"}
    user = json.loads(send(target, "POST", "/Users", body))
    return target.management.user_token(target.directory_id, user["id"])


class Outcome:
    """Answers by operation, and the checks that failed."""

    def __init__(self, described):
        self.described = described
        self.statuses = {}
        self.failures = {}

    def leave_out(self, path):
        self.described = [name for name in self.described if not name.endswith(f" {path}")]

    def add(self, recorder):
        for case_id, interaction in recorder.get("interactions", {}).items():
            case = recorder["cases"][case_id]["value"]
            operation = f"{case['method']} {case['path']}"
            if response := interaction.get("response"):
                self.statuses.setdefault(operation, Counter())[response["status_code"]] += 1
            for check in recorder.get("checks", {}).get(case_id, []):
                if check["status"] == "failure":
                    failure = check["failure_info"]["failure"]
                    message = " ".join(failure["message"].split())[:300]
                    self.failures.setdefault((operation, failure["title"]), message)

    def unreached(self):
        """Operations on which no request succeeded, so they were not tested."""
        answers = {name: self.statuses.get(name, Counter()) for name in self.described}
        return [name for name, found in answers.items() if not any(200 <= s < 300 for s in found)]

    def report(self, code):
        """An operation has passed when no check failed on it and some request succeeded."""
        for operation in self.described:
            found = sorted(self.statuses.get(operation, Counter()).items())
            answers = ", ".join(f"{status}: {count}" for status, count in found)
            print(f"    {operation}  {answers}")
        failed = set(self.unreached())
        for operation in failed:
            print(f"FAILED {operation}: no request succeeded")
        for (operation, title), message in self.failures.items():
            print(f"FAILED {operation}: {title}: {message}")
            failed.add(operation)
        requests = sum(self.statuses.values(), Counter())
        server_errors = sum(count for status, count in requests.items() if status >= 500)
        print(f"{requests.total()} requests, {server_errors} answers of 500 and above")
        if code and not failed:
            print(f"FAILED schemathesis ended with {code}")
            failed.add("schemathesis")
        finish(len(set(self.described) - failed), len(failed))


if __name__ == "__main__":
    main()
