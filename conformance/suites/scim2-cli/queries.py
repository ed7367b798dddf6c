"""Filters, sorting, paging and search."""

from client import Skip, absent, contains, equal, non_empty
from discovery import GROUP, USER

NAMES = ("delta", "alpha", "charlie", "bravo")


def steps(run):
    client, take, prefix = run.client, run.steps.take, run.prefix
    mine = f'userName sw "{prefix}-q-"'

    def names(answer):
        return [user["userName"].removeprefix(f"{prefix}-q-") for user in answer["Resources"]]

    def prepare():
        for name in NAMES:
            email = {"value": f"{name}@example.com", "type": "work"}
            body = {"schemas": [USER], "userName": f"{prefix}-q-{name}", "title": name[0]}
            run.create("user", {**body, "emails": [email], "active": name != "delta"})

    take("create users to look for", prepare)

    def filters():
        for condition, found in (
            (f'userName eq "{prefix}-q-ALPHA"', {"alpha"}),
            (f'{mine} and title ge "c"', {"charlie", "delta"}),
            (f'{mine} and not (title eq "a" or title eq "b")', {"charlie", "delta"}),
            (f"{mine} and active eq false", {"delta"}),
            (f"{mine} and nickName pr", set()),
            (f'{mine} and emails[type eq "work" and value co "RAV"]', {"bravo"}),
            (f'{mine} and userName ew "lta"', {"delta"}),
            (f'{mine} and meta.resourceType ne "Group" and title lt "b"', {"alpha"}),
            (f'{USER}:userName eq "{prefix}-q-bravo"', {"bravo"}),
        ):
            answer = client.ok("query", "user", "--filter", condition)
            equal(found, set(names(answer)), condition)
            equal(len(found), answer["totalResults"], f"totalResults of {condition}")

    take("filter with every kind of operator", filters)

    def no_match():
        answer = client.ok("query", "user", "--filter", f'userName eq "{prefix}-nobody"')
        contains({"totalResults": 0, "Resources": lambda found: found == []}, answer)

    take("a filter without a match is an empty list", no_match)

    def bad_filter():
        # From JSON, because the command itself refuses such an option.
        body = {"filter": "userName eq"}
        client.refused(400, "query", "user", body=body, scim_type="invalidFilter")

    take("a filter that cannot be read is 400 invalidFilter", bad_filter)

    def sort():
        listed = ("query", "user", "--filter", mine, "--sort-by", "userName")
        equal(sorted(NAMES), names(client.ok(*listed)), "ascending")
        descending = client.ok(*listed, "--sort-order", "descending")
        equal(sorted(NAMES, reverse=True), names(descending), "descending")

    take("sort in both directions", sort)

    def page():
        listed = ("query", "user", "--filter", mine, "--sort-by", "userName")
        answer = client.ok(*listed, "--start-index", "2", "--count", "2")
        contains({"totalResults": 4, "startIndex": 2, "itemsPerPage": 2}, answer)
        equal(["bravo", "charlie"], names(answer), "the page")
        answer = client.ok(*listed, "--start-index", "4", "--count", "2")
        equal(["delta"], names(answer), "the last page")

    take("read pages by index", page)

    def count_only():
        answer = client.ok("query", "user", "--filter", mine, "--count", "0")
        contains({"totalResults": 4, "Resources": lambda found: found == []}, answer)

    take("a count of 0 tells the total alone", count_only)

    def cursor():
        require_cursor()
        found, seen, pages = [], "", 0
        while pages < 4:
            listed = ("query", "user", "--filter", mine, "--sort-by", "userName", "--count", "2")
            answer = client.ok(*listed, "--cursor", seen)
            found += names(answer)
            pages += 1
            seen = answer.get("nextCursor")
            if not seen:
                break
        equal((2, sorted(NAMES)), (pages, found), "pages and names")

    def bad_cursor():
        require_cursor()
        body = {"filter": mine, "cursor": "bm8tc3VjaC1jdXJzb3I", "count": 2}
        client.refused(400, "query", "user", body=body, scim_type="invalidCursor")

    def require_cursor():
        if not run.config.get("pagination", {}).get("cursor"):
            raise Skip("the server has no cursors")

    take("read pages by cursor", cursor)
    take("a forged cursor is 400 invalidCursor", bad_cursor)

    def projected():
        answer = client.ok("query", "user", "--filter", mine, "--attribute", "title")
        for user in answer["Resources"]:
            contains({"id": non_empty, "title": non_empty}, user)
            absent(user, "userName", "emails", "meta")

    take("list one attribute", projected)

    def search():
        answer = client.ok(
            "search", "user", "--filter", mine,
            "--sort-by", "userName", "--sort-order", "descending",
            "--start-index", "1", "--count", "3", "--attribute", "userName",
        )  # fmt: skip
        contains({"totalResults": 4, "itemsPerPage": 3}, answer)
        equal(["delta", "charlie", "bravo"], names(answer), "the page")
        absent(answer["Resources"][0], "title", "emails")

    take("search users with POST", search)

    def types(answer):
        return sorted(found["meta"]["resourceType"] for found in answer["Resources"])

    everything = f'displayName eq "{prefix} both"'

    def search_root():
        body = {"schemas": [USER], "userName": f"{prefix}-both", "displayName": f"{prefix} both"}
        run.create("user", body)
        run.create("group", {"schemas": [GROUP], "displayName": f"{prefix} both"})
        answer = client.ok("search", "--filter", everything)
        equal(["Group", "User"], types(answer), "types found")

    take("search all types with POST", search_root)

    def query_root():
        answer = client.ok("query", "--filter", everything)
        equal(["Group", "User"], types(answer), "types found")

    take("query all types at the root", query_root)
