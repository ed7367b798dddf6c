//! A directory of OpenLDAP's slapd for one test, and `ldapsearch` to compare with.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::cut;

pub const BASE: &str = "dc=corp,dc=test";
const ADMIN: [&str; 5] = ["-x", "-D", "cn=admin,dc=corp,dc=test", "-w", "adminpw"];

/// The attributes of an entry, by names in lower case, and its name as `dn`.
pub type Listed = BTreeMap<String, Vec<String>>;

/// A running server, ended with the test.
pub struct Slapd {
    folder: tempfile::TempDir,
    pub port: u16,
    pub tls_port: u16,
    /// Whether it was ended by the test.
    is_ended: bool,
}

impl Slapd {
    /// Starts one with so many users. `None`, with a line that says so, where slapd is not installed;
    /// nothing is left out where `CI` is set.
    pub fn start(users: usize) -> Option<Self> {
        Self::start_with(users, 1_000)
    }

    /// The same with so many changes that it remembers.
    pub fn start_with(users: usize, remembered: usize) -> Option<Self> {
        Self::started(users, "SESSIONLOG", &remembered.to_string())
    }

    /// The same with the groups of everybody in `memberOf`.
    pub fn start_with_member_of(users: usize) -> Option<Self> {
        Self::started(users, "MEMBER_OF", "1")
    }

    fn started(users: usize, setting: &str, value: &str) -> Option<Self> {
        if !["/usr/sbin/slapd", "/usr/bin/slapd"].iter().any(|path| Path::new(path).exists()) {
            let is_ci = std::env::var("CI").is_ok_and(|ci| ci != "false");
            assert!(!is_ci, "slapd is not installed; tests/run installs it");
            println!("skipped: slapd is not installed (apt-get install slapd ldap-utils)");
            return None;
        }
        for _ in 0..5 {
            let folder = tempfile::tempdir().expect("a folder");
            let (port, tls_port) = (free_port(), free_port());
            let script = root().join("tests/peers/openldap/start.sh");
            let started = Command::new(script)
                .arg(folder.path())
                .args([port.to_string(), tls_port.to_string()])
                .env("USERS", users.to_string())
                .env(setting, value)
                .stdout(Stdio::null())
                .status()
                .expect("the script runs");
            let slapd = Self { folder, port, tls_port, is_ended: false };
            if started.success() {
                return Some(slapd);
            }
            // Somebody else has taken the port meanwhile.
        }
        panic!("slapd does not start");
    }

    pub fn url(&self) -> String {
        format!("ldap://localhost:{}", self.port)
    }

    pub fn authority(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("tls/ca.pem")).expect("the authority")
    }

    /// A configuration that reads everything without TLS.
    pub fn config(&self, more: Value) -> Value {
        let mut config = json!({
            "url": self.url(),
            "tls": "none",
            "bind_dn": "cn=sync,ou=Services,dc=corp,dc=test",
            "bind_password": "syncpw",
            "user_base": format!("ou=People,{BASE}"),
            "group_base": format!("ou=Groups,{BASE}"),
            "allow_private_network": true,
        });
        for (name, value) in more.as_object().expect("an object") {
            config[name] = value.clone();
        }
        config
    }

    /// What `ldapsearch` lists.
    pub fn search(&self, base: &str, filter: &str, attributes: &[&str]) -> Vec<Listed> {
        let output = Command::new("ldapsearch")
            .args(ADMIN)
            .args(["-LLL", "-o", "ldif-wrap=no", "-H", &self.url(), "-E", "pr=500/noprompt"])
            .args(["-b", base, filter])
            .args(attributes)
            .output()
            .expect("ldapsearch runs");
        assert!(output.status.success(), "{output:?}");
        entries(&String::from_utf8(output.stdout).expect("LDIF is ASCII"))
    }

    /// Applies changes in LDIF.
    #[track_caller]
    pub fn modify(&self, ldif: &str) {
        let mut child = Command::new("ldapmodify")
            .args(ADMIN)
            // Also of what the server notes itself, such as times.
            .args(["-e", "relax"])
            .args(["-H", &self.url()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("ldapmodify runs");
        child.stdin.take().expect("a pipe").write_all(ldif.as_bytes()).expect("it is read");
        assert!(child.wait().expect("it ends").success(), "{ldif}");
    }

    /// Waits until nobody names these entries any more: references follow a change a moment later.
    #[track_caller]
    pub fn forgets(&self, dns: &[&str]) {
        let named = |dn: &&str| {
            format!("(manager={dn},{BASE})(member={dn},{BASE})(uniqueMember={dn},{BASE})")
        };
        let filter = format!("(|{})", dns.iter().map(named).collect::<String>());
        let since = Instant::now();
        while !self.search(BASE, &filter, &["dn"]).is_empty() {
            assert!(since.elapsed() < Duration::from_secs(30), "references do not follow");
        }
    }

    /// Ends the server on the spot.
    pub fn kill(&mut self) {
        end(&self.folder.path().join("slapd.pid"));
        self.is_ended = true;
    }

    /// The port of one that hands on a byte at a time, with pauses, of what comes from another one.
    pub fn dripping(port: u16) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let drips = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if let Ok(upstream) = TcpStream::connect(("127.0.0.1", port)) {
                    drip(client, upstream);
                }
            }
        });
        drips
    }

    /// An address that leads to the server and ends it once so many bytes have come from it.
    pub fn until(&self, bytes: usize) -> String {
        let pid = self.folder.path().join("slapd.pid");
        let port =
            cut::after(bytes, SocketAddr::from(([127, 0, 0, 1], self.port)), move || end(&pid));
        format!("ldap://localhost:{port}")
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        if !self.is_ended {
            self.kill();
        }
    }
}

fn end(pid_file: &Path) {
    if let Ok(pid) = std::fs::read_to_string(pid_file) {
        let _ = Command::new("kill").args(["-KILL", pid.trim()]).status();
    }
}

fn drip(client: TcpStream, upstream: TcpStream) {
    let (mut from, mut to) =
        (client.try_clone().expect("a stream"), upstream.try_clone().expect("a stream"));
    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    let (mut upstream, mut client) = (upstream, client);
    let mut byte = [0; 1];
    while let Ok(1) = upstream.read(&mut byte)
        && client.write_all(&byte).is_ok()
    {
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Entries in LDIF.
pub(super) fn entries(ldif: &str) -> Vec<Listed> {
    let entry = |text: &str| {
        let mut listed = Listed::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (name, value) = line.split_once(':').expect("an attribute");
            let value = match value.strip_prefix(':') {
                Some(encoded) => {
                    let bytes = STANDARD.decode(encoded.trim()).expect("Base64");
                    String::from_utf8(bytes).expect("text")
                }
                None => value.trim().to_owned(),
            };
            listed.entry(name.to_lowercase()).or_default().push(value);
        }
        listed
    };
    let unfolded = ldif.replace("\n ", "");
    unfolded.split("\n\n").filter(|text| text.contains("dn:")).map(entry).collect()
}
