#!/usr/bin/python3
"""Fills a new domain, the same every time: 1,700 users and 40 groups of its own.

Among them are users who are disabled, whose accounts have ended, without an address or a principal name,
in a unit with other letters; a contact and a computer, who are no users; groups within groups, groups
that go round, a group of everybody, and one that is no security group. Two accounts that read: `reader`, who
may do what every user may, and `sync`, who may replicate changes and see what was deleted as well.

    load.py SMB_CONF
"""
import sys

import ldb
from samba.auth import system_session
from samba.dcerpc import security
from samba.ndr import ndr_pack, ndr_unpack
from samba.param import LoadParm
from samba.samdb import SamDB

COUNT = 1700
BASE = "DC=corp,DC=test"
STAFF, GROUPS = "OU=Staff," + BASE, "OU=Groups," + BASE
CAFE, LEAVERS, VISITORS = ("OU=%s,%s" % (name, STAFF) for name in ("Café \\+ Co", "Leavers", "Visitors"))
SECURITY, DISTRIBUTION = -2147483646, 8
NORMAL, DISABLED, NO_PASSWORD = 0x200, 0x2, 0x20

parameters = LoadParm()
parameters.load(sys.argv[1])
domain = SamDB(url=parameters.private_path("sam.ldb"), lp=parameters, session_info=system_session())


def add(dn, kind, **attributes):
    given = {name: value if isinstance(value, list) else str(value) for name, value in attributes.items()}
    domain.add({"dn": dn, "objectClass": kind, **given})
    return dn


def user(number, dns):
    account = f"ad{number:04d}"
    given = dict(
        sAMAccountName=account, givenName="Zoë" if number % 7 else "Ad", sn=f"User {number:04d}",
        displayName=f"Ad User {number:04d}", userAccountControl=NORMAL | NO_PASSWORD | (DISABLED if number % 50 == 49 else 0),
        employeeID=f"E{number:05d}", department=["Engineering", "Sales"][number % 2], title="Analyst",
        company="Corp", l="Zürich", c="CH", streetAddress="1 Road")
    if number % 60 != 3:
        given["userPrincipalName"] = account + "@corp.test"
    if number % 40 != 39:
        given["mail"] = account + "@corp.test"
        given["proxyAddresses"] = [f"SMTP:{account}@corp.test", f"smtp:{account}.old@corp.test", f"sip:{account}"]
    if number % 4 == 0:
        given["telephoneNumber"] = f"+1 555 {number:07d}"
    if number > 0:
        given["manager"] = dns[number // 10]
    if number == 60:
        given["accountExpires"] = "132223104000000000"  # 2020
    if number == 61:
        given["accountExpires"] = "9223372036854775807"
    unit = CAFE if number % 97 == 5 else LEAVERS if number in (400, 401) else VISITORS if number == 402 else STAFF
    return add(f"CN=Ad User {number:04d},{unit}", "user", **given)


def group(name, members, kind=SECURITY):
    given = {"member": members} if members else {}
    return add(f"CN={name},{GROUPS}", "group", sAMAccountName=name, groupType=kind, description="Group " + name, **given)


def join(group, member):
    message = ldb.Message(ldb.Dn(domain, group))
    message["member"] = ldb.MessageElement([member], ldb.FLAG_MOD_ADD, "member")
    domain.modify(message)


domain.transaction_start()
for unit in (STAFF, GROUPS, CAFE, LEAVERS, VISITORS, "OU=Away," + BASE):
    add(unit, "organizationalUnit")
dns = []
for number in range(COUNT):
    dns.append(user(number, dns))
contact = add("CN=Vendor Contact," + STAFF, "contact", mail="vendor@vendor.test")
computer = add("CN=WS01,CN=Computers," + BASE, "computer", sAMAccountName="WS01$", userAccountControl=0x1000)
group("Everybody", dns)
teams = [group(f"Team{n:02d}", dns[n * 20:n * 20 + 20]) for n in range(30)]
units = [group(f"Unit{n}", teams[n * 6:n * 6 + 6] + [dns[n]]) for n in range(5)]
group("Company", units)
first = group("CycleX", [dns[1]])
join(first, group("CycleY", [first, dns[2]]))
group("Mailing", [dns[3], contact, computer], DISTRIBUTION)
domain.transaction_commit()
for account in ("reader", "sync", "former"):
    domain.newuser(account, "Passw0rd!" + account)

# Samba shows what was deleted to whom the container lets see it, also by DirSync.
sid = domain.search(f"CN=sync,CN=Users,{BASE}", ldb.SCOPE_BASE, attrs=["objectSid"])[0]["objectSid"][0]
deleted = domain.search("CN=Deleted Objects," + BASE, ldb.SCOPE_BASE, attrs=["nTSecurityDescriptor"], controls=["show_deleted:1"])[0]
descriptor = ndr_unpack(security.descriptor, deleted["nTSecurityDescriptor"][0])
descriptor.dacl_add(security.descriptor.from_sddl(f"D:(A;;RPLC;;;{ndr_unpack(security.dom_sid, sid)})", security.dom_sid(domain.get_domain_sid())).dacl.aces[0])
message = ldb.Message(deleted.dn)
message["nTSecurityDescriptor"] = ldb.MessageElement(ndr_pack(descriptor), ldb.FLAG_MOD_REPLACE, "nTSecurityDescriptor")
domain.modify(message, controls=["show_deleted:1"])
domain.delete(f"CN=former,CN=Users,{BASE}")
