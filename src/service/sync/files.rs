//! Files of directories that are read from files: handed in over the API, or laid into a folder below the
//! data folder. They are kept sealed until others take their place, so a dry run and the run after it read
//! the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::alarm::{RunAlarms, outdate};
use super::drive::Ask;
use super::outcome::Outcome;
use crate::clock::Ids;
use crate::pull::{SourceError, SourceKind};
use crate::scim::key::instant_text;
use crate::service::administer::missing;
use crate::service::audit::{Entry, Target, action};
use crate::service::context::State;
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::directory::DirectoryRow;
use crate::store::sync::{SyncEnd, SyncRow};
use crate::store::sync_run::{FileRow, RunRow};
use crate::store::{StoreError, Tx};

/// Largest file, in bytes.
pub const MAX_FILE_BYTES: usize = 32 * 1024 * 1024;

/// Bytes of a file in one row.
const PART: usize = 1024 * 1024;

fn no_such_file() -> ServiceError {
    AdminError::not_found("The file").into()
}

fn shown(file: &FileRow) -> Value {
    json!({
        "name": file.name,
        "bytes": file.bytes,
        "uploaded_at": instant_text(file.uploaded),
    })
}

/// Other files are there: what waits for a decision was found in the files before, and so is what a run finds
/// that reads them now.
fn outdate_files(
    tx: &mut Tx<'_>,
    ids: &mut Ids,
    now: i64,
    row: &DirectoryRow,
) -> Result<(), StoreError> {
    tx.sync_outdate(row.key)?;
    outdate(tx, ids, now, row)
}

/// Where files come from.
enum Why {
    /// Somebody has sent one over the API, which is noted.
    Sent(Entry),
    /// They were laid into the folder of the directory; the run reads them.
    Laid(Box<Ask>),
}

impl Service {
    /// The kind of a directory that takes a file of that name.
    fn takes_file(row: &DirectoryRow, name: &str) -> Result<(), ServiceError> {
        let files = SourceKind::named(&row.kind).map_or(&[][..], |kind| kind.files);
        if files.contains(&name) {
            return Ok(());
        }
        let message = match files {
            [] => format!("A directory of the kind {} takes no files.", row.kind),
            files => format!("There is no file of that name; there are {}.", files.join(", ")),
        };
        Err(AdminError::new(404, "entity_not_found", message).into())
    }

    /// Keeps a file in the place of the one before.
    pub async fn source_file_put(
        &self,
        access: &ApiAccess,
        id: &str,
        name: &str,
        content: Vec<u8>,
    ) -> Result<Value, ServiceError> {
        let row = self.directory_row(access, id).await?;
        Self::takes_file(&row, name)?;
        if content.is_empty() {
            return Err(AdminError::invalid("file", "it is empty.").into());
        }
        let audit = self.audit(access, action::FILE_STORED);
        let file =
            self.keep_files(&row, vec![(name.to_owned(), content)], Why::Sent(audit)).await?;
        Ok(file.first().map(shown).unwrap_or_default())
    }

    pub async fn source_file_list(
        &self,
        access: &ApiAccess,
        id: &str,
    ) -> Result<Value, ServiceError> {
        let row = self.directory_row(access, id).await?;
        let files: Result<Vec<FileRow>, StoreError> =
            self.store.get("sync_files", move |tx| tx.file_list(row.key)).await;
        Ok(json!({"data": files?.iter().map(shown).collect::<Vec<_>>()}))
    }

    pub async fn source_file_delete(
        &self,
        access: &ApiAccess,
        id: &str,
        name: &str,
    ) -> Result<(), ServiceError> {
        let row = self.directory_row(access, id).await?;
        Self::takes_file(&row, name)?;
        let (name, audit) = (name.to_owned(), self.audit(access, action::FILE_DELETED));
        let (now, ids) = (self.clock.now_ms(), self.clock.ids());
        self.store
            .write("sync_file_delete", move |tx| {
                if tx.directory_share(row.key)?.is_none_or(|shared| shared.state == "deleting") {
                    return Err(missing());
                }
                if !tx.file_delete(row.key, &name)? {
                    return Err(no_such_file());
                }
                outdate_files(tx, &mut ids.clone(), now, &row)?;
                let target = Target::in_directory(&row, &name, Some(&name));
                Ok(audit.write(tx, target, json!({"name": name}), Value::Null)?)
            })
            .await
    }

    /// Stores files, and asks for a run of them where nobody has sent them.
    async fn keep_files(
        &self,
        row: &DirectoryRow,
        files: Vec<(String, Vec<u8>)>,
        why: Why,
    ) -> Result<Vec<FileRow>, ServiceError> {
        let (directory, now) = (row.clone(), self.clock.now_ms());
        let mut kept = Vec::new();
        for (name, content) in files {
            let context = format!("{}/{name}", row.id);
            let seal = |(part, bytes): (usize, &[u8])| {
                self.syncs.seal.seal(format!("{context}/{part}").as_bytes(), bytes)
            };
            let parts: Vec<String> = content.chunks(PART).enumerate().map(seal).collect();
            let bytes = i64::try_from(content.len()).unwrap_or(i64::MAX);
            kept.push((FileRow { name, bytes, uploaded: now }, parts));
        }
        let rows: Vec<FileRow> = kept.iter().map(|(file, _)| file.clone()).collect();
        let ids = self.clock.ids();
        let stored: Result<(), ServiceError> = self
            .store
            .write("sync_file_put", move |tx: &mut Tx<'_>| {
                let key = directory.key;
                if tx.directory_share(key)?.is_none_or(|shared| shared.state == "deleting") {
                    return Err(missing());
                }
                for (file, parts) in &kept {
                    tx.file_put(key, file, parts)?;
                    if let Why::Sent(audit) = &why {
                        let target = Target::in_directory(&directory, &file.name, Some(&file.name));
                        audit.write(tx, target, Value::Null, shown(file))?;
                    }
                }
                outdate_files(tx, &mut ids.clone(), now, &directory)?;
                match &why {
                    Why::Laid(ask) => Ok(tx.run_insert(key, &ask.row)?),
                    Why::Sent(_) => Ok(()),
                }
            })
            .await;
        stored?;
        Ok(rows)
    }

    /// Every file of a directory, opened.
    pub(super) async fn source_files(
        &self,
        row: &DirectoryRow,
    ) -> Result<Arc<BTreeMap<String, Vec<u8>>>, ServiceError> {
        let names = SourceKind::named(&row.kind).map_or(&[][..], |kind| kind.files);
        let key = row.key;
        let mut files = BTreeMap::new();
        for name in names {
            let parts: Result<Vec<String>, StoreError> =
                self.store.read("sync_file", move |tx| tx.file_parts(key, name)).await;
            let mut content = Vec::new();
            for (part, data) in parts?.iter().enumerate() {
                let context = format!("{}/{name}/{part}", row.id);
                let opened = self.syncs.seal.open(context.as_bytes(), data);
                content.extend(opened.ok_or_else(|| {
                    let message = format!(
                        "The file {name} was sealed with another secret key; send it again."
                    );
                    AdminError::new(409, "sealed_otherwise", message)
                })?);
            }
            if !content.is_empty() {
                files.insert((*name).to_owned(), content);
            }
        }
        Ok(Arc::new(files))
    }

    /// Takes the files that were laid into the folders of directories, and asks for a run of each that
    /// had some.
    pub async fn take_inbox(&self) -> Result<(), ServiceError> {
        let Some(inbox) = &self.syncs.inbox else { return Ok(()) };
        let Ok(folders) = fs::read_dir(inbox) else { return Ok(()) };
        for folder in folders.flatten() {
            let id = folder.file_name().to_string_lossy().into_owned();
            if let Err(error) = self.take_folder(&id, &folder.path()).await {
                tracing::warn!(%error, directory = id, "files of a directory are not taken yet");
            }
        }
        Ok(())
    }

    async fn take_folder(&self, id: &str, folder: &Path) -> Result<(), ServiceError> {
        let wanted = id.to_owned();
        let names: Vec<&str> = SourceKind::named("pull.csv").map_or(&[][..], |k| k.files).to_vec();
        let inbox = |name: &str| Inbox::of(folder, name);
        let present: Vec<&str> =
            names.into_iter().filter(|name| inbox(name).has_something()).collect();
        if present.is_empty() {
            return Ok(());
        }
        let found: Result<_, StoreError> = self
            .store
            .read("sync_inbox", move |tx| {
                let Some(row) = tx.directory_get(&wanted)? else { return Ok(None) };
                Ok(tx.sync_get(row.key)?.map(|sync| (row, sync)))
            })
            .await;
        let Some((row, sync)) = found? else { return Ok(()) };
        let config = self.syncs.open_config(&row, &sync).unwrap_or_default();
        if config.get("watch") != Some(&Value::Bool(true)) || row.state == "deleting" {
            return Ok(());
        }
        let (mut files, mut taken, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for name in present {
            if let Err(error) = inbox(name).take() {
                tracing::warn!(%error, directory = id, file = name, "a file cannot be taken");
                continue;
            }
            taken.push(name);
            match read_bounded(&inbox(name).taken) {
                Ok(content) => files.push((name.to_owned(), content)),
                Err(error) => {
                    tracing::warn!(%error, directory = id, file = name, "a file cannot be read");
                    errors.push(format!("the file {name}: {error}"));
                }
            }
        }
        if !errors.is_empty() {
            // A file that came with another one says nothing beside the one before that.
            taken.iter().for_each(|name| inbox(name).mark("failed"));
            let beside =
                |(name, _): &(String, _)| format!("{name} was taken with it and is not read");
            errors.extend(files.iter().map(beside));
            return self.refuse_file(&row, &sync, &errors.join("; ")).await;
        }
        if files.is_empty() {
            return Ok(());
        }
        let ask = Why::Laid(Box::new(Ask::of_file(self)));
        self.keep_files(&row, files, ask).await?;
        taken.iter().for_each(|name| inbox(name).mark("done"));
        self.syncs.wanted.notify_one();
        Ok(())
    }

    /// Tells of a file that cannot be taken as of a run that has failed: who has laid it there sees no log.
    async fn refuse_file(
        &self,
        row: &DirectoryRow,
        sync: &SyncRow,
        message: &str,
    ) -> Result<(), ServiceError> {
        let (key, now, ids) = (row.key, self.clock.now_ms(), self.clock.ids());
        let failures = sync.failures.saturating_add(1);
        let outcome = Outcome::failed(SourceError::failed(message));
        let run = RunRow {
            status: outcome.status.to_owned(),
            started: Some(now),
            finished: Some(now),
            error: Some(message.to_owned()),
            ..Ask::of_file(self).row
        };
        let end = SyncEnd {
            cursor: sync.cursor.clone(),
            next_at: sync.next_at,
            full_at: sync.full_at,
            failures,
            last_sync: sync.last_sync,
            last_counts: sync.last_counts.clone(),
            last_error: run.error.clone(),
        };
        let alarms = RunAlarms::of(row, &outcome, Some(&end), sync.full_at.is_none());
        let generation = sync.generation;
        let told: Result<(), StoreError> = self
            .store
            .write("sync_file_refuse", move |tx: &mut Tx<'_>| {
                if tx.directory_share(key)?.is_none_or(|shared| shared.state == "deleting") {
                    return Ok(());
                }
                tx.run_insert(key, &run)?;
                tx.run_update(key, &run)?;
                if tx.sync_end(key, generation, &end)? {
                    tx.sync_state_set(key, State::Error.as_str(), now)?;
                    alarms.settle(tx, &mut ids.clone(), now)?;
                }
                Ok(())
            })
            .await;
        Ok(told?)
    }
}

/// A file in a folder that is watched. It is read under a name that nobody lays files by: whoever lays the
/// next one meanwhile lays it beside it.
struct Inbox {
    laid: PathBuf,
    /// Left by a server that was killed, it is still to be read, before what was laid since.
    taken: PathBuf,
}

impl Inbox {
    fn of(folder: &Path, name: &str) -> Self {
        let laid = folder.join(format!("{name}.csv"));
        Self { taken: laid.with_extension("csv.taken"), laid }
    }

    fn has_something(&self) -> bool {
        is_file(&self.taken) || is_file(&self.laid)
    }

    fn take(&self) -> std::io::Result<()> {
        if is_file(&self.taken) { Ok(()) } else { fs::rename(&self.laid, &self.taken) }
    }

    /// What has become of it, for whoever has laid it there.
    fn mark(&self, end: &str) {
        let _ = fs::rename(&self.taken, self.laid.with_extension(format!("csv.{end}")));
    }
}

/// A link may lead anywhere.
fn is_file(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| meta.is_file())
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, String> {
    let meta = path.symlink_metadata().map_err(|error| error.to_string())?;
    let most = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX);
    if meta.len() > most {
        return Err(format!("it has {} bytes; at most {most} are allowed", meta.len()));
    }
    if meta.len() == 0 {
        return Err("it is empty".to_owned());
    }
    fs::read(path).map_err(|error| error.to_string())
}
