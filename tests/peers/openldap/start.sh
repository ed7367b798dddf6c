#!/usr/bin/env bash
# An OpenLDAP server with 2,000 users (USERS) and 100 groups, on this machine alone.
#
#   start.sh FOLDER PORT LDAPS_PORT     stop it with: kill "$(cat FOLDER/slapd.pid)"
#
# With MEMBER_OF the server notes in memberOf which groups an entry is in; those that are there at first it does not.
# Needs slapd and ldap-utils (Debian). cn=admin,dc=corp,dc=test has the password adminpw and may do
# everything; cn=sync,ou=Services,dc=corp,dc=test (syncpw) reads without limits, cn=reader (readerpw) at
# most 500 entries at a time. FOLDER/tls/ca.pem is the authority.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=${1:?usage: start.sh FOLDER PORT LDAPS_PORT}
port=${2:?usage: start.sh FOLDER PORT LDAPS_PORT}
tls_port=${3:?usage: start.sh FOLDER PORT LDAPS_PORT}
PATH=$PATH:/usr/sbin

mkdir -p "$folder/db" "$folder/tls"
cd "$folder"
key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
openssl req -x509 "${key[@]}" -days 30 -subj "/CN=test authority" -keyout tls/ca.key -out tls/ca.pem 2>tls/log
openssl req "${key[@]}" -subj "/CN=localhost" -keyout tls/key.pem -out tls/csr.pem 2>>tls/log
printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n' >tls/ext
openssl x509 -req -in tls/csr.pem -CA tls/ca.pem -CAkey tls/ca.key -CAcreateserial -days 30 \
    -extfile tls/ext -out tls/cert.pem 2>>tls/log
cat >slapd.conf <<CONF
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/dyngroup.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload refint
${MEMBER_OF:+moduleload memberof}
moduleload syncprov
moduleload ppolicy
pidfile $folder/slapd.pid
argsfile $folder/slapd.args
TLSCACertificateFile $folder/tls/ca.pem
TLSCertificateFile $folder/tls/cert.pem
TLSCertificateKeyFile $folder/tls/key.pem
sizelimit 500
database mdb
suffix "dc=corp,dc=test"
directory $folder/db
maxsize 8589934592
dbnosync
rootdn "cn=admin,dc=corp,dc=test"
rootpw adminpw
index objectClass,entryUUID,entryCSN,modifyTimestamp eq
index uid,mail,cn,member,uniqueMember,employeeType eq
# Not more than 500 without pages, pages of at most 500, and as many pages as there are.
limits dn.exact="cn=reader,ou=Services,dc=corp,dc=test" size.soft=500 size.hard=500 size.pr=500 size.prtotal=unlimited
limits dn.exact="cn=sync,ou=Services,dc=corp,dc=test" size=unlimited time=unlimited
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=reader,ou=Services,dc=corp,dc=test" read by dn.exact="cn=sync,ou=Services,dc=corp,dc=test" read by * none
overlay refint
refint_attributes member uniqueMember manager
${MEMBER_OF:+overlay memberof}
overlay ppolicy
ppolicy_default "cn=default,ou=Policies,dc=corp,dc=test"
overlay syncprov
syncprov-checkpoint 100 10
syncprov-sessionlog ${SESSIONLOG:-1000}
CONF
python3 "$here/gen_ldif.py" "$folder"
cat users.ldif groups.ldif >all.ldif
slapadd -q -f slapd.conf -b dc=corp,dc=test -l all.ldif
slapd -f slapd.conf -h "ldap://127.0.0.1:$port ldaps://127.0.0.1:$tls_port"
for _ in $(seq 100); do
    if ldapwhoami -x -H "ldap://127.0.0.1:$port" -D cn=admin,dc=corp,dc=test -w adminpw >/dev/null 2>&1; then
        echo "ready"
        exit 0
    fi
    sleep 0.05
done
echo "slapd does not answer" >&2
exit 1
