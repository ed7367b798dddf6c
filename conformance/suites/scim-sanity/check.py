"""The probe of scim-sanity in strict mode.

Its report says `pass`, `fail`, `error`, `warn` or `skip` for each test. A warning in strict mode is
a deviation from the RFC, so it counts as a failure here. The phases for agents are skipped where
the server has no such resource types.
"""

from scim_sanity.probe.runner import run_probe_api

from suite import Target, finish

TESTS = 28
"""What the probe runs without the phases for agents. Fewer means that it stopped half-way."""


def main():
    target = Target.from_environment()
    report = run_probe_api(target.base_url, token=target.token, strict=True)
    results = report["results"]
    for result in results:
        if result["status"] != "pass":
            told = [result.get(part) for part in ("phase", "name", "message")]
            print(result["status"].upper(), ": ".join(filter(None, told)))
    passed = sum(result["status"] == "pass" for result in results)
    skipped = sum(result["status"] == "skip" for result in results)
    failed = len(results) - passed - skipped
    if passed + failed < TESTS:
        print(f"FAILED the probe ran {passed + failed} tests in place of {TESTS}")
        failed += TESTS - passed - failed
    print(f"{passed} of {passed + failed} passed")
    finish(passed, failed, skipped)


if __name__ == "__main__":
    main()
