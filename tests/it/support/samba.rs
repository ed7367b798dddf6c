//! A domain controller of Samba for one test (`tests/peers/samba`), and `ldbsearch` to compare with.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::cut;
use super::slapd::{Listed, entries};

pub const BASE: &str = "DC=corp,DC=test";
const ADMIN: [&str; 2] = ["Administrator@corp.test", "Passw0rd!x"];

/// A running server, ended with the test.
pub struct Samba {
    folder: PathBuf,
    _parent: tempfile::TempDir,
    address: Ipv4Addr,
}

impl Samba {
    /// Starts one. `None`, with a line that says so, where its domain was not made; nothing is left out where
    /// `CI` is set.
    pub fn start() -> Option<Self> {
        let installed = Command::new(peer("install")).arg("--where").output().expect("it runs");
        let domain = String::from_utf8(installed.stdout).expect("a path");
        if !Path::new(domain.trim()).exists() {
            let is_ci = std::env::var("CI").is_ok_and(|ci| ci != "false");
            assert!(!is_ci, "the domain is missing: tests/peers/samba/install");
            println!("skipped: the domain is missing; tests/peers/samba/install makes it");
            return None;
        }
        let parent = tempfile::tempdir().expect("a folder");
        // The ports of a domain controller cannot be chosen, but there are many addresses: one for each
        // process.
        let [.., high, low] = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, 41, high, low);
        let samba = Self { folder: parent.path().join("samba"), _parent: parent, address };
        samba.serve("start");
        Some(samba)
    }

    #[track_caller]
    fn serve(&self, what: &str) {
        serve(what, &self.folder, self.address);
    }

    pub fn url(&self) -> String {
        format!("ldap://{}", self.address)
    }

    pub fn tls_url(&self) -> String {
        format!("ldaps://{}", self.address)
    }

    pub fn authority(&self) -> String {
        std::fs::read_to_string(self.folder.join("tls/ca.pem")).expect("the authority")
    }

    /// A configuration that reads users below `OU=Staff` and all groups without TLS, as an account that may
    /// replicate changes.
    pub fn config(&self, more: Value) -> Value {
        let mut config = json!({
            "url": self.url(),
            "tls": "none",
            "bind_dn": "sync@corp.test",
            "bind_password": "Passw0rd!sync",
            "user_base": format!("OU=Staff,{BASE}"),
            "allow_private_network": true,
        });
        for (name, value) in more.as_object().expect("an object") {
            config[name] = value.clone();
        }
        config
    }

    /// What `ldbsearch` lists.
    pub fn search(&self, base: &str, filter: &str) -> Vec<Listed> {
        let [account, password] = ADMIN;
        let output = Command::new("ldbsearch")
            .args(["-H", &self.url(), &format!("--simple-bind-dn={account}")])
            .args([&format!("--password={password}"), "--paged", "-b", base, filter])
            .output()
            .expect("ldbsearch runs");
        assert!(output.status.success(), "{output:?}");
        entries(&String::from_utf8(output.stdout).expect("LDIF is ASCII"))
    }

    /// Applies changes in LDIF.
    #[track_caller]
    pub fn modify(&self, ldif: &str) {
        let [account, password] = ADMIN;
        let mut child = Command::new("ldapmodify")
            .args(["-x", "-H", &self.url(), "-D", account, "-w", password])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("ldapmodify runs");
        child.stdin.take().expect("a pipe").write_all(ldif.as_bytes()).expect("it is read");
        assert!(child.wait().expect("it ends").success(), "{ldif}");
    }

    /// Logs in with a wrong password.
    pub fn fail_to_log_in(&self, account: &str) {
        let bound = Command::new("ldapwhoami")
            .args(["-x", "-H", &self.url(), "-D", account, "-w", "wrong"])
            .stderr(Stdio::null())
            .status()
            .expect("ldapwhoami runs");
        assert!(!bound.success(), "{account}");
    }

    /// Puts the domain in the place where it was at first, as from a backup.
    pub fn restore(&self) {
        self.serve("end");
        self.serve("start");
    }

    /// An address that leads to the server and ends it once so many bytes have come from it.
    pub fn until(&self, bytes: usize) -> String {
        let (folder, address) = (self.folder.clone(), self.address);
        let end = move || serve("kill", &folder, address);
        let port = cut::after(bytes, SocketAddr::from((address, 389)), end);
        format!("ldap://localhost:{port}")
    }
}

impl Drop for Samba {
    fn drop(&mut self) {
        let _ = Command::new(peer("serve")).arg("end").arg(&self.folder).status();
    }
}

#[track_caller]
fn serve(what: &str, folder: &Path, address: Ipv4Addr) {
    let mut command = Command::new(peer("serve"));
    let served = command.arg(what).arg(folder).arg(address.to_string()).stdout(Stdio::null());
    assert!(served.status().expect("the script runs").success(), "samba: {what}");
}

fn peer(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/samba").join(name)
}
