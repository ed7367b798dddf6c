"""Runs one suite of this folder: its virtual environment, a directory to test, the result line.

`suite.py FOLDER --base-url URL --token TOKEN` tests any SCIM server. With `--management-url URL
--api-key KEY` in their place the suite gets a Rollbook directory of its own, with the schemas of
`FOLDER/schemas.json` (else of `test-resource.json`) and the settings of `FOLDER/settings.json`,
which is deleted afterwards. Exit code: 0 when nothing failed, 1 when something did, 2 when the
suite could not be run. The last line of output is `RESULT passed=N failed=N skipped=N`.

The suite itself is `FOLDER/check.py`. It runs in the environment of `FOLDER/requirements.txt`,
finds the server with `Target.from_environment()` and ends with `finish()`.
"""

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULT = re.compile(r"RESULT passed=(\d+) failed=(\d+) skipped=(\d+)")
PURGE_SECONDS = 10


class SuiteError(Exception):
    """The suite could not be run; the text says why."""


class Management:
    """Rollbook's management API."""

    def __init__(self, base_url, api_key):
        self.base_url = base_url.rstrip("/") + "/api/v1"
        self.api_key = api_key

    def send(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {self.api_key}"}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        request = urllib.request.Request(
            self.base_url + path, data=data, headers=headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            detail = error.read().decode(errors="replace")
            raise SuiteError(f"{method} /api/v1{path}: {error.code}: {detail}") from error
        except OSError as error:
            raise SuiteError(f"{method} /api/v1{path}: {error}") from error
        return json.loads(text) if text else {}

    def user_token(self, directory_id, user_id):
        """A token for `/Me`."""
        path = f"/directories/{directory_id}/tokens"
        return self.send("POST", path, {"scope": "write", "user_id": user_id})["secret"]


@dataclass
class Target:
    """The SCIM server under test. With a management API there is the id of the directory too."""

    base_url: str
    token: str
    management: Management | None = None
    directory_id: str | None = None
    own: bool = False
    """The directory was made for the suite and has the resource type TestResource."""

    def environment(self):
        """What `from_environment` reads. Secrets do not belong on a command line."""
        values = {"SCIM_BASE_URL": self.base_url, "SCIM_TOKEN": self.token}
        if self.management:
            values["SCIM_MANAGEMENT_URL"] = self.management.base_url.removesuffix("/api/v1")
            values["SCIM_MANAGEMENT_KEY"] = self.management.api_key
            values["SCIM_DIRECTORY_ID"] = self.directory_id
        if self.own:
            values["SCIM_OWN_DIRECTORY"] = "yes"
        return values

    @classmethod
    def from_environment(cls):
        management = None
        if url := os.environ.get("SCIM_MANAGEMENT_URL"):
            management = Management(url, os.environ["SCIM_MANAGEMENT_KEY"])
        return cls(
            base_url=os.environ["SCIM_BASE_URL"].rstrip("/"),
            token=os.environ["SCIM_TOKEN"],
            management=management,
            directory_id=os.environ.get("SCIM_DIRECTORY_ID"),
            own="SCIM_OWN_DIRECTORY" in os.environ,
        )


def finish(passed, failed, skipped=0):
    """Prints the result line and ends the check."""
    print(f"RESULT passed={passed} failed={failed} skipped={skipped}", flush=True)
    sys.exit(1 if failed or not passed else 0)


# --- The directory -------------------------------------------------------------------------------


@contextlib.contextmanager
def own_directory(management, name, settings, schemas):
    """A new organization with one directory; both are deleted at the end."""
    body = {"name": f"{name} {os.getpid()}"}
    organization_id = management.send("POST", "/organizations", body)["id"]
    directory_id = None
    try:
        body = {"organization_id": organization_id, "name": name, "kind": "scim.generic"}
        if settings:
            body["settings"] = settings
        directory = management.send("POST", "/directories", body)
        directory_id = directory["id"]
        management.send("PUT", f"/directories/{directory_id}/schemas", schemas)
        yield Target(
            base_url=directory["scim"]["base_url"],
            token=directory["token"]["secret"],
            management=management,
            directory_id=directory_id,
            own=True,
        )
    finally:
        try:
            if directory_id:
                management.send("DELETE", f"/directories/{directory_id}")
            remove_organization(management, organization_id)
        except SuiteError as error:
            # What is left behind says nothing about the server under test.
            print(f"warning: the organization stays: {error}", file=sys.stderr)


def read(path, otherwise):
    """The JSON of the file, or of the other one."""
    if not path.exists():
        path = otherwise
    return json.loads(path.read_text()) if path else None


def remove_organization(management, organization_id):
    """Directories are purged in the background, and until then the organization cannot go."""
    deadline = time.monotonic() + PURGE_SECONDS
    while True:
        try:
            management.send("DELETE", f"/organizations/{organization_id}")
            return
        except SuiteError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.25)


@contextlib.contextmanager
def target(args, folder):
    management = None
    if args.management_url:
        if not args.api_key:
            raise SuiteError("--management-url needs --api-key")
        management = Management(args.management_url, args.api_key)
    if args.base_url:
        if not args.token:
            raise SuiteError("--base-url needs --token")
        known = management if args.directory_id else None
        yield Target(args.base_url.rstrip("/"), args.token, known, args.directory_id)
    elif management:
        settings = read(folder / "settings.json", None)
        schemas = read(folder / "schemas.json", HERE / "test-resource.json")
        with own_directory(management, folder.name, settings, schemas) as own:
            yield own
    else:
        raise SuiteError("give --base-url and --token, or --management-url and --api-key")


# --- The environment -----------------------------------------------------------------------------


def environment_python(folder):
    """The Python of the suite's own environment, made anew when its requirements have changed."""
    requirements = folder / "requirements.txt"
    version = ".".join(map(str, sys.version_info[:2]))
    wanted = hashlib.sha256(requirements.read_bytes() + version.encode()).hexdigest()
    root = os.environ.get("ROLLBOOK_SUITES_DIR") or HERE.parents[1] / "target" / "suites"
    home = Path(root).resolve() / folder.name
    python, stamp = home / "bin" / "python", home / "requirements.sha256"
    home.mkdir(parents=True, exist_ok=True)
    with (home.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == wanted and python.exists():
            return python
        print(f"installing {folder.name} into {home}", file=sys.stderr)
        stamp.unlink(missing_ok=True)
        quiet = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(home)],
            [str(python), *quiet, "--no-deps", "--requirement", str(requirements)],
            [str(python), "-m", "pip", "check", "--disable-pip-version-check"],
        ):
            # Standard output belongs to the report.
            if subprocess.run(command, stdout=sys.stderr).returncode:
                raise SuiteError(f"{' '.join(command)} failed")
        stamp.write_text(wanted)
    return python


# --- The run -------------------------------------------------------------------------------------


def run_check(folder, python, target, arguments):
    """Runs `check.py`, passes its output on and returns the exit code."""
    environment = {**os.environ, **target.environment(), "PYTHONPATH": str(HERE)}
    environment.setdefault("PYTHONUNBUFFERED", "1")
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    command = [str(python), str(folder / "check.py"), *arguments]
    last = ""
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as check:
        try:
            for line in check.stdout:
                if line.strip():
                    last = line.strip()
                print(line, end="", flush=True)
        except BaseException:
            check.terminate()
            raise
    result = RESULT.fullmatch(last)
    if not result:
        raise SuiteError(f"the check ended with {check.returncode} and without a result")
    passed, failed, _ = map(int, result.groups())
    return 1 if check.returncode or failed or not passed else 0


def main():
    folder = Path(sys.argv[1]).resolve()
    parser = argparse.ArgumentParser(prog=f"{folder.name}/run")
    parser.add_argument("--base-url", metavar="URL", help="SCIM base URL of any server")
    parser.add_argument(
        "--token", default=os.environ.get("SCIM_TOKEN"), help="bearer token (or SCIM_TOKEN)"
    )
    parser.add_argument("--management-url", metavar="URL", help="Rollbook server")
    parser.add_argument(
        "--api-key",
        metavar="KEY",
        default=os.environ.get("ROLLBOOK_API_KEY"),
        help="API key for --management-url (or ROLLBOOK_API_KEY)",
    )
    parser.add_argument(
        "--directory-id",
        metavar="ID",
        help="the directory behind --base-url, for checks that need the management API too",
    )
    args, arguments = parser.parse_known_args(sys.argv[2:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        python = environment_python(folder)
        with target(args, folder) as server:
            print(f"{folder.name}: {server.base_url}", flush=True)
            return run_check(folder, python, server, arguments)
    except SuiteError as error:
        print(f"error: {error}", file=sys.stderr)
        print("RESULT passed=0 failed=1 skipped=0", flush=True)
        return 2


if __name__ == "__main__":
    sys.exit(main())
