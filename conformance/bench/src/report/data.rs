//! What is in the servers: small directories that are made anew, and a large one that is kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::server::{Directory, Server};
use super::{Bench, CLIENTS, CREATORS, say};
use crate::drive::{self, Plan};
use crate::operation::Scene;
use crate::people::People;

/// Users of a small directory.
const SMALL: u64 = 1_000;

/// Members of a small group.
pub(super) const FEW: u64 = 10;

/// Users that a list shows.
const PAGE: u64 = 100;

/// Users of a large directory whose ids are looked up.
const KNOWN: u64 = 1_000;

/// Stands in the mark of a finished large directory: another number makes it anew.
const FORM: u32 = 1;

/// The data of a server. That of the large directory stays; all other is removed after use.
pub(super) struct Folder {
    pub(super) path: PathBuf,
    stays: bool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.stays {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

pub(super) fn people() -> People {
    People { namespace: "bench".to_owned() }
}

/// The groups that a directory is filled with, by their numbers.
pub(super) const LARGE_GROUP: usize = 0;
pub(super) const SMALL_GROUP: usize = 1;

impl Bench {
    /// Users of a small directory.
    pub(super) fn small(&self) -> u64 {
        SMALL.min(self.users)
    }

    /// Members of the large group.
    pub(super) fn members(&self) -> u64 {
        (self.users / 10).max(FEW)
    }

    /// A server without data in a folder of its own; what was in it is removed.
    pub(super) fn fresh(&self, name: &str) -> Result<(Server, Folder), String> {
        let folder = self.empty_folder(name)?;
        Ok((Server::start(&self.program, &folder.path, None)?, folder))
    }

    /// A folder that is not there yet; it goes with what is made in it.
    pub(super) fn empty_folder(&self, name: &str) -> Result<Folder, String> {
        let folder = Folder { path: self.folder.join(name), stays: false };
        remove(&folder.path)?;
        Ok(folder)
    }

    /// Members of the larger group of a small directory.
    pub(super) fn paged(&self) -> u64 {
        PAGE.min(self.members())
    }

    /// A server with the small directory: its users, a group of the first hundred of them, as the first
    /// hundred of the large directory are in its large group, and a group of a few.
    pub(super) fn small_directory(
        &self,
        name: &str,
    ) -> Result<(Server, Folder, Directory), String> {
        let (server, folder) = self.fresh(name)?;
        let directory = server.directory()?;
        let members = [self.paged(), FEW];
        fill(&server.clients(&directory, CREATORS)?, self.small(), members)?;
        Ok((server, folder, directory))
    }

    /// The folder of the large directory, which is made when it is not there.
    pub(super) fn large_directory(&self) -> Result<Folder, String> {
        let path = self.folder.join(format!("large-{}", self.users));
        let mark = path.join("complete");
        let wanted = format!("form {FORM}, {} users, {} members\n", self.users, self.members());
        if fs::read_to_string(&mark).is_ok_and(|found| found == wanted) {
            return Ok(Folder { path, stays: true });
        }
        say(&format!("         making a directory of {} users, once", self.users));
        remove(&path)?;
        let server = Server::start(&self.program, &path, None)?;
        let plan = server.clients(&server.directory()?, CREATORS)?;
        fill(&plan, self.users, [self.members(), FEW])?;
        server.stop()?;
        fs::write(&mark, wanted).map_err(|error| format!("{}: {error}", mark.display()))?;
        Ok(Folder { path, stays: true })
    }

    /// A copy of the large directory, for what changes its size.
    pub(super) fn large_copy(&self) -> Result<Folder, String> {
        let original = self.large_directory()?;
        let copy = self.empty_folder("copy")?;
        let status = Command::new("cp")
            .args(["-r", "--reflink=auto"])
            .args([&original.path, &copy.path])
            .status()
            .map_err(|error| format!("cp: {error}"))?;
        match status.success() {
            true => Ok(copy),
            false => Err(format!("{} was not copied", original.path.display())),
        }
    }

    /// Some users of a filled directory, none of whom is a member of its groups, and the groups.
    pub(super) fn scene(
        &self,
        server: &Server,
        directory: &Directory,
        users: u64,
        members: u64,
    ) -> Result<(Plan, Scene), String> {
        let plan = server.clients(directory, CLIENTS)?;
        let mut scene = drive::scene(&plan, people(), users, 2, KNOWN)?;
        scene.users.retain(|user| user.number >= members);
        Ok((plan, scene))
    }
}

/// Creates the users, and two groups of so many of the first of them.
pub(super) fn fill(plan: &Plan, users: u64, members: [u64; 2]) -> Result<(), String> {
    let keep = members.into_iter().max().unwrap_or_default();
    let (report, ids) = drive::seed_users(plan, &people(), users, keep);
    report.rate()?;
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    for (number, members) in (0..).zip(members) {
        let members = ids.get(..usize::try_from(members).unwrap_or_default()).unwrap_or(&ids);
        drive::seed_groups(plan, &people(), number..number + 1, members).0.rate()?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), String> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{}: {error}", path.display()))
        }
        _ => Ok(()),
    }
}
