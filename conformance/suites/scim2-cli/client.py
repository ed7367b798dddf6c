"""The scim2 command, called in this process, and the steps that it takes.

A step is one call of the command. It passes when the exit code is the expected one and the printed
JSON holds what was expected.
"""

import json
import traceback

from click.testing import CliRunner
from scim2_cli import cli


class Mismatch(Exception):
    """An answer that is not as it must be."""


class Skip(Exception):
    """A step that this server or this run cannot do; the text says why."""


def contains(expected, actual, path=""):
    """Raises `Mismatch` unless `expected` is part of `actual`.

    Of an object the listed keys count; each listed element of a list is held by some element; a
    callable must say yes; anything else is equal in type and value.
    """
    if callable(expected):
        if not expected(actual):
            raise Mismatch(f"{path or '/'}: {expected.__doc__ or 'refused'}: {actual!r}")
    elif isinstance(expected, dict):
        if not isinstance(actual, dict):
            raise Mismatch(f"{path or '/'}: no object: {actual!r}")
        for key, value in expected.items():
            if key not in actual:
                raise Mismatch(f"{path}/{key}: missing; there are {', '.join(actual)}")
            contains(value, actual[key], f"{path}/{key}")
    elif isinstance(expected, list):
        if not isinstance(actual, list):
            raise Mismatch(f"{path or '/'}: no list: {actual!r}")
        for number, value in enumerate(expected):
            if not any(holds(value, element) for element in actual):
                raise Mismatch(f"{path}/{number}: no element holds {value!r}: {actual!r}")
    elif type(expected) is not type(actual) or expected != actual:
        raise Mismatch(f"{path or '/'}: expected {expected!r}, found {actual!r}")


def holds(expected, actual):
    try:
        contains(expected, actual)
    except Mismatch:
        return False
    return True


def absent(value, *keys):
    """Raises `Mismatch` when the object has one of the keys."""
    for key in keys:
        if key in value:
            raise Mismatch(f"/{key}: must not be there: {value[key]!r}")


def need(value):
    """The result of an earlier step, which this one builds on."""
    if value is None:
        raise Mismatch("a step that this one builds on did not pass")
    return value


def equal(expected, actual, what):
    if expected != actual:
        raise Mismatch(f"{what}: expected {expected!r}, found {actual!r}")


class Client:
    """The command with its server and token."""

    def __init__(self, base_url, token):
        self.environment = {
            "SCIM_CLI_URL": base_url,
            "SCIM_CLI_HEADERS": f"Authorization: Bearer {token}",
        }

    def run(self, *arguments, body=None):
        """Exit code, the printed JSON or None, and what stood on standard error."""
        stdin = "" if body is None else json.dumps(body)
        result = CliRunner().invoke(cli, arguments, input=stdin, env=self.environment)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise Mismatch(
                "the command broke: "
                + "".join(traceback.format_exception_only(result.exception)).strip()
            )
        text = result.stdout.strip()
        try:
            return result.exit_code, json.loads(text) if text else None, result.stderr.strip()
        except json.JSONDecodeError as error:
            raise Mismatch(f"the command printed no JSON: {text[:500]}") from error

    def ok(self, *arguments, body=None, expect=None):
        """Runs the command, which must succeed, and returns the printed JSON."""
        code, answer, complaint = self.run(*arguments, body=body)
        if code:
            raise Mismatch(f"exit code {code}: {complaint or answer}")
        if expect is not None:
            contains(expect, answer)
        return answer

    def refused(self, status, *arguments, body=None, scim_type=None):
        """Runs the command, which must show the SCIM error with that status."""
        code, answer, complaint = self.run(*arguments, body=body)
        if code == 0 or answer is None:
            raise Mismatch(f"exit code {code} in place of an error {status}: {complaint or answer}")
        expected = {"status": str(status), "detail": non_empty}
        if scim_type:
            expected["scimType"] = scim_type
        contains(expected, answer)
        return answer


def non_empty(value):
    """must be a text that is not empty"""
    return isinstance(value, str) and bool(value)


class Steps:
    """Counts steps. A step that fails does not end the run; one that needs its result does fail."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def take(self, name, step):
        """Takes the step and returns what it returned, or None when it did not pass."""
        try:
            value = step()
        except Skip as skip:
            self.skipped += 1
            print(f"skipped {name}: {skip}")
            return None
        except Mismatch as mismatch:
            self.failed += 1
            print(f"FAILED {name}\n    {mismatch}")
            return None
        except Exception as error:  # A broken answer must not end the run.
            self.failed += 1
            place = traceback.extract_tb(error.__traceback__)[-1]
            print(f"FAILED {name}\n    {type(error).__name__}: {error} (line {place.lineno})")
            return None
        self.passed += 1
        print(f"ok {name}")
        return value
