//! Files of the data folder: only their owner reads them, and their owner is that of the folder.
//!
//! They hold personal data and secrets. A command that root runs must not leave files that the server's
//! own user cannot open.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

/// Mode of the files.
pub const FILE_MODE: u32 = 0o600;

/// Makes the folder where it is missing, open to its owner only. One that exists keeps its mode.
pub fn make_folder(folder: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Makes an empty file that belongs to who runs this; fails when there is one.
pub fn create_own(path: &Path) -> Result<File> {
    File::options().create_new(true).write(true).mode(FILE_MODE).open(path)
}

/// Makes an empty file that belongs to the owner of its folder; fails when there is one.
pub fn create(path: &Path) -> Result<File> {
    let file = create_own(path)?;
    give_to_owner(&file, path)?;
    Ok(file)
}

/// Makes the file where it is missing. One that exists is not even opened: to close it would give back the
/// locks that SQLite holds on it in this process.
pub(super) fn create_missing(path: &Path) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    match create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

/// Takes what others may do with the file from them. Nothing is done to what is no file, nor by a user
/// who may not: whoever may do so does.
pub fn restrict(path: &Path) {
    let Ok(meta) = path.symlink_metadata() else { return };
    if meta.is_file() && meta.mode() & 0o077 != 0 {
        let _ = std::fs::set_permissions(path, Permissions::from_mode(FILE_MODE));
    }
}

/// Gives a file that was just made to the owner of its folder. Only root may: for others it is their own.
fn give_to_owner(file: &File, path: &Path) -> Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let (made, folder) = (file.metadata()?, folder.metadata()?);
    if made.uid() == folder.uid() {
        return Ok(());
    }
    let given = fchown(file, Some(folder.uid()), Some(folder.gid()));
    let refused = |error: &Error| error.kind() == ErrorKind::PermissionDenied;
    given.or_else(|error| if refused(&error) { Ok(()) } else { Err(error) })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::chown;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().expect("there").mode() & 0o777
    }

    #[test]
    fn file_is_for_its_owner_who_is_that_of_the_folder() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("new/data");
        make_folder(&folder).expect("made");
        assert_eq!(mode(&folder), 0o700);
        let is_root = folder.metadata().expect("there").uid() == 0;
        if is_root {
            chown(&folder, Some(10_001), Some(10_002)).expect("root may");
        }
        let path = folder.join("file");
        create(&path).expect("made");
        assert_eq!(mode(&path), FILE_MODE);
        let (file, folder) = (path.metadata().expect("there"), folder.metadata().expect("there"));
        assert_eq!((file.uid(), file.gid()), (folder.uid(), folder.gid()));
        assert_eq!(create(&path).expect_err("it is there").kind(), ErrorKind::AlreadyExists);
        create_missing(&path).expect("it is there");
    }

    #[test]
    fn older_file_is_restricted_and_nothing_else_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, "").expect("written");
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("set");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        restrict(&link);
        assert_eq!(mode(&path), 0o644);
        restrict(&path);
        assert_eq!(mode(&path), FILE_MODE);
        restrict(&folder.path().join("none"));
    }
}
