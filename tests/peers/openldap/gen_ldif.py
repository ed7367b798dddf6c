#!/usr/bin/env python3
"""Writes users.ldif and groups.ldif, the same every time: 2,000 users (USERS) and 100 groups.

Among them are names with commas and other letters, users with several addresses and without one, users
who are locked for good, groups of every class, groups within groups, groups that go round or name
themselves, members who do not exist, and a group of everybody.

    gen_ldif.py FOLDER
"""
import base64
import os
import random
import sys

BASE = "dc=corp,dc=test"
PEOPLE = "ou=People," + BASE
GROUPS = "ou=Groups," + BASE
COUNT = int(os.environ.get("USERS", "2000"))
GIVEN = "Ada Zoë Jürgen Søren Łukasz Chloé Renée Bjørn Aïsha Mei Omar Ines Tomás Nadia Yuki Priya Igor Lena".split()
FAMILY = "Example Müller Ångström O'Test García Nguyễn Sample Østergård Dvořák Çelik Probe Dubois".split()
UNITS = "Engineering Sales Finance Legal Support Marketing".split()


def line(name, value):
    is_plain = value and all(32 <= ord(c) < 127 for c in value) and value[0] not in " :<" and value[-1] != " "
    return f"{name}: {value}" if is_plain else f"{name}:: {base64.b64encode(value.encode()).decode()}"


def dn_of(number):
    if number == 13:
        return f"cn=Doe\\, Jane \\+ Co,{PEOPLE}"
    if number == 14:
        return f"cn=Nguyễn Zoë,{PEOPLE}"
    return f"uid=u{number:05d},{PEOPLE}"


def user(number):
    given, family = GIVEN[number % len(GIVEN)], FAMILY[number // len(GIVEN) % len(FAMILY)]
    uid = f"u{number:05d}"
    name = {13: "Doe, Jane + Co", 14: "Nguyễn Zoë"}.get(number, f"{given} {family}")
    lines = [
        line("dn", dn_of(number)), "objectClass: inetOrgPerson", "objectClass: posixAccount",
        line("cn", name), line("sn", family), line("givenName", given),
        line("displayName", f"{given} {family}"), f"uid: {uid}", f"uidNumber: {10000 + number}",
        "gidNumber: 10000", f"homeDirectory: /home/{uid}", f"employeeNumber: E{number:06d}",
        line("departmentNumber", UNITS[number % len(UNITS)]),
        "title: " + ("Engineer" if number % 3 else "Senior Engineer"),
        "employeeType: " + ("contractor" if number % 10 == 9 else "employee"),
        "preferredLanguage: en-US", "userPassword: {SSHA}w0AaZ0Tq0000000000000000000000000000000000==",
    ]
    if number % 50 != 49:
        lines.append(f"mail: {uid}@corp.test")
    if number % 20 == 0:
        lines.append(f"mail: {uid}.alias@corp.test")
    if number % 4 == 0:
        lines.append(f"telephoneNumber: +1 555 {number:07d}")
    if number > 10:
        # Some managers are listed after those whom they manage.
        manager = min(number + 7, COUNT - 1) if number % 5 == 0 else number % 10
        lines.append(line("manager", dn_of(manager)))
    if number % 40 == 7:
        lines.append("pwdAccountLockedTime: 000001010000Z")
    return lines


def group(name, members, kind="groupOfNames", attribute="member"):
    return [f"dn: cn={name},{GROUPS}", f"objectClass: {kind}", f"cn: {name}",
            f"description: Group {name}", *[line(attribute, member) for member in members]]


def groups():
    chance = random.Random(7)
    users = [dn_of(number) for number in range(COUNT)]
    named = lambda name: f"cn={name},{GROUPS}"
    for n in range(60):
        yield group(f"team-{n:03d}", chance.sample(users, 25))
    yield group("all-staff", users)
    yield group("empty-ish", [f"cn=nobody,{BASE}"])
    for n in range(20):
        teams = [named(f"team-{(3 * n + k) % 60:03d}") for k in range(3)]
        yield group(f"dept-{n:02d}", teams + users[2 * n:2 * n + 2])
    yield group("division-a", [named(f"dept-{n:02d}") for n in range(10)])
    yield group("company", [named("division-a"), named("dept-11")])
    yield group("cycle-x", [named("cycle-y"), users[1]])
    yield group("cycle-y", [named("cycle-x"), users[2]])
    yield group("self", [named("self"), users[3]])
    for n in range(5):
        yield group(f"unique-{n}", chance.sample(users, 10), "groupOfUniqueNames", "uniqueMember")
    for n in range(7):
        uids = [f"memberUid: u{(n * 31 + k) % COUNT:05d}" for k in range(12)]
        yield [f"dn: cn=posix-{n},{GROUPS}", "objectClass: posixGroup", f"cn: posix-{n}",
               f"gidNumber: {20000 + n}", *uids]
    yield [f"dn: cn=dyn-contractors,{GROUPS}", "objectClass: groupOfURLs", "cn: dyn-contractors",
           f"memberURL: ldap:///{PEOPLE}??one?(employeeType=contractor)"]


def top():
    yield [f"dn: {BASE}", "objectClass: dcObject", "objectClass: organization", "dc: corp", "o: Corp Test"]
    for unit in ("People", "Groups", "Services", "Policies"):
        yield [f"dn: ou={unit},{BASE}", "objectClass: organizationalUnit", f"ou: {unit}"]
    yield [f"dn: cn=default,ou=Policies,{BASE}", "objectClass: pwdPolicy", "objectClass: person",
           "cn: default", "sn: default", "pwdAttribute: userPassword", "pwdLockout: TRUE"]
    for name in ("reader", "sync"):
        yield [f"dn: cn={name},ou=Services,{BASE}", "objectClass: organizationalRole",
               "objectClass: simpleSecurityObject", f"cn: {name}", f"userPassword: {name}pw"]


def write(path, entries):
    with open(path, "w", encoding="utf-8") as file:
        for lines in entries:
            file.write("\n".join(lines) + "\n\n")


folder = sys.argv[1]
write(folder + "/users.ldif", [*top(), *map(user, range(COUNT))])
write(folder + "/groups.ldif", groups())
