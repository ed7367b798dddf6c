"""Reads an Okta organization with Okta's own SDK, by an API token and as a service app, and prints what each
has seen as JSON.

    program.py ORG_URL API_TOKEN CLIENT_ID KEY_ID PRIVATE_KEY_PEM
"""

import asyncio
import json
import sys

from okta.client import Client


def configs(url, api_token, client_id, key_id, private_key):
    common = {"orgUrl": url, "rateLimit": {"maxRetries": 1}, "requestTimeout": 30}
    yield {**common, "token": api_token}
    yield {
        **common,
        "authorizationMode": "PrivateKey",
        "clientId": client_id,
        "kid": key_id,
        "privateKey": private_key,
        "scopes": ["okta.users.read", "okta.groups.read", "okta.logs.read"],
    }


async def pages(call, **query):
    """Every row of a list, following the links to the next page."""
    rows, response, error = await call(**query)
    if error:
        raise SystemExit(f"{call.__name__}: {error}")
    rows = list(rows)
    count = 1
    while "next" in (links := next_of(response)):
        rows_of_page, response, error = await call(**{**query, "after": links["next"]})
        if error:
            raise SystemExit(f"{call.__name__}: {error}")
        count += 1
        if not rows_of_page:
            break
        rows.extend(rows_of_page)
    return rows, count


def next_of(response):
    """The cursor of the next page, from the Link headers as the SDK keeps them."""
    from urllib.parse import parse_qs, urlsplit

    found = {}
    for name, value in dict_items(response.headers):
        if name.lower() != "link":
            continue
        for link in value.split(", <"):
            target, _, parameters = link.lstrip("<").partition(">")
            if 'rel="next"' in parameters:
                found["next"] = parse_qs(urlsplit(target).query)["after"][0]
    return found


def dict_items(headers):
    return headers.items() if hasattr(headers, "items") else headers


async def seen(config):
    async with Client(config) as client:
        everybody = 'lastUpdated gt "1970-01-01T00:00:00.000Z"'
        users, user_pages = await pages(client.list_users, filter=everybody, limit=2)
        plain, _ = await pages(client.list_users, limit=2)
        found, _ = await pages(client.list_users, search='status eq "DEPROVISIONED"', limit=2)
        groups, _ = await pages(client.list_groups, filter='type eq "OKTA_GROUP"', limit=2)
        members = {}
        for group in groups:
            rows, _ = await pages(client.list_group_users, group_id=group.id, limit=2)
            members[group.id] = sorted(row.id for row in rows)
        log, _ = await pages(client.list_log_events, since="2020-01-01T00:00:00.000Z", limit=2)
        return {
            "users": {user.id: status(user) for user in users},
            "pages": user_pages,
            "plain": sorted(user.id for user in plain),
            "deprovisioned": sorted(user.id for user in found),
            "members": members,
            "events": [event.event_type for event in log],
        }


async def main():
    print(json.dumps([await seen(config) for config in configs(*sys.argv[1:])]))


def status(user):
    return getattr(user.status, "value", user.status)


asyncio.run(main())
