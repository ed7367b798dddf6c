//! What a read keeps in memory until its end, bounded as a sum: many things below each limit are too much
//! together.

use crate::pull::SourceError;

/// Most that is kept, in bytes: names and ids of two million entries, or of twenty million members.
const MAX_KEPT: usize = 512 * 1024 * 1024;

/// What a thing takes beside its text, in bytes.
const ITEM: usize = 64;

/// What room is left.
#[derive(Debug)]
pub struct Keep(usize);

impl Default for Keep {
    fn default() -> Self {
        Self(MAX_KEPT)
    }
}

impl Keep {
    /// Something of so many bytes is kept.
    pub fn take(&mut self, bytes: usize) -> Result<(), SourceError> {
        let left = self.0.checked_sub(bytes.saturating_add(ITEM));
        self.0 = left.ok_or_else(|| {
            let limit = MAX_KEPT / (1024 * 1024);
            SourceError::failed(format!(
                "the names and members that the server lists take more than {limit} MiB"
            ))
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_small_things_are_too_much_together() {
        let mut keep = Keep::default();
        let room = MAX_KEPT / (1_000 + ITEM);
        assert!((0..room).all(|_| keep.take(1_000).is_ok()));
        assert!(keep.take(1_000).is_err());
        assert!(Keep::default().take(usize::MAX).is_err());
    }
}
