//! The queue of a lane. Directories take turns: a unit waits for one unit of every other directory,
//! never for all that another one has asked. What belongs to no directory is one more that takes turns.
//!
//! Units that wait for each other in the database stand in a line, and few of one line are run at once:
//! each of the others would hold a thread for nothing, also from other directories.
//!
//! A directory that floods is refused alone. How much of the queue it may fill shrinks with the number
//! of directories that wait, so there is always room for the next one.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::exec::Unit;

/// Whom a unit is run for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Tenant {
    /// The key of the directory; `None` is one more that takes turns.
    pub(super) directory: Option<i64>,
    /// The line of the unit, if it stands in one.
    pub(super) line: Option<i64>,
}

/// Units of one line that are run at once: one works, and the next is there when that one ends.
const IN_LINE: usize = 2;

/// Units that a directory may have waiting however many others wait.
const FLOOR: usize = 8;

/// The queue holds at most this many times its places, however many directories share it.
const OVERFLOW: usize = 4;

/// Units that wait for the threads of a lane.
pub(super) struct Queue {
    state: Mutex<State>,
    ready: Condvar,
    places: usize,
    /// Threads that may be at the units of one directory at the same time.
    threads: usize,
}

#[derive(Default)]
struct State {
    waiting: HashMap<Tenant, VecDeque<Box<dyn Unit>>>,
    /// Everybody who waits, the next one first.
    turns: VecDeque<Tenant>,
    /// By directory, and by line.
    running: HashMap<i64, usize>,
    in_line: HashMap<i64, usize>,
    len: usize,
    closed: bool,
}

impl Queue {
    /// A queue for that many threads. One directory never has all of them, unless there is only one.
    pub(super) fn new(places: usize, threads: usize) -> Self {
        Self {
            state: Mutex::default(),
            ready: Condvar::new(),
            places,
            threads: threads.saturating_sub(1).max(1),
        }
    }

    /// Adds a unit at the end of the directory's own row; `Err` when the directory has no place left.
    pub(super) fn push(&self, tenant: Tenant, unit: Box<dyn Unit>) -> Result<(), Full> {
        let mut state = self.state();
        if state.closed || !state.has_place(tenant, self.places) {
            return Err(Full);
        }
        let row = state.waiting.entry(tenant).or_default();
        let first = row.is_empty();
        row.push_back(unit);
        if first {
            state.turns.push_back(tenant);
        }
        state.len += 1;
        drop(state);
        self.ready.notify_one();
        Ok(())
    }

    /// Waits for the next unit and runs `work` on it. False when the queue is closed and empty.
    pub(super) fn serve(&self, work: impl FnOnce(Box<dyn Unit>)) -> bool {
        let Some((tenant, unit)) = self.next() else { return false };
        work(unit);
        if self.state().leave(tenant) {
            // Another thread may have passed over this directory.
            self.ready.notify_one();
        }
        true
    }

    /// Waits for the next unit; `None` when the queue is closed and empty. For a lane of one thread.
    pub(super) fn take(&self) -> Option<Box<dyn Unit>> {
        let (tenant, unit) = self.next()?;
        self.state().leave(tenant);
        Some(unit)
    }

    /// The next unit, if one waits. For a lane of one thread.
    pub(super) fn try_take(&self) -> Option<Box<dyn Unit>> {
        self.state().take(usize::MAX, usize::MAX).map(|(_, unit)| unit)
    }

    /// Refuses new units; those that wait are still run.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.ready.notify_all();
    }

    pub(super) fn len(&self) -> usize {
        self.state().len
    }

    fn next(&self) -> Option<(Tenant, Box<dyn Unit>)> {
        let mut state = self.state();
        loop {
            if let Some((tenant, unit)) = state.take(self.threads, IN_LINE) {
                state.enter(tenant);
                return Some((tenant, unit));
            }
            if state.closed && state.len == 0 {
                return None;
            }
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The queue takes no more from this directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl State {
    fn has_place(&self, tenant: Tenant, places: usize) -> bool {
        let mine = self.waiting.get(&tenant).map_or(0, VecDeque::len);
        if tenant.directory.is_none() {
            return mine < places;
        }
        let is_other = |t: &&Tenant| t.directory.is_some() && t.directory != tenant.directory;
        let others = self.turns.iter().filter(is_other).count();
        let share = (places / (others + 2)).max(FLOOR.min(places));
        mine < share && self.len < places.saturating_mul(OVERFLOW)
    }

    /// The next unit of the first directory in turn that has fewer than `most` threads, and whose line has
    /// fewer than `most_in_line`.
    fn take(&mut self, most: usize, most_in_line: usize) -> Option<(Tenant, Box<dyn Unit>)> {
        let has_room = |running: &HashMap<i64, usize>, key: Option<i64>, most: usize| {
            key.is_none_or(|key| running.get(&key).is_none_or(|running| *running < most))
        };
        let may_run = |tenant: &Tenant| {
            has_room(&self.running, tenant.directory, most)
                && has_room(&self.in_line, tenant.line, most_in_line)
        };
        let index = self.turns.iter().position(may_run)?;
        let tenant = self.turns.remove(index)?;
        let row = self.waiting.get_mut(&tenant)?;
        let unit = row.pop_front()?;
        if row.is_empty() {
            self.waiting.remove(&tenant);
        } else {
            self.turns.push_back(tenant);
        }
        self.len -= 1;
        Some((tenant, unit))
    }

    fn enter(&mut self, tenant: Tenant) {
        for (running, key) in self.counts(tenant) {
            *running.entry(key).or_default() += 1;
        }
    }

    /// Whether somebody may have waited for this.
    fn leave(&mut self, tenant: Tenant) -> bool {
        for (running, key) in self.counts(tenant) {
            if let Entry::Occupied(mut entry) = running.entry(key) {
                *entry.get_mut() -= 1;
                if *entry.get() == 0 {
                    entry.remove();
                }
            }
        }
        tenant != Tenant::default()
    }

    fn counts(&mut self, tenant: Tenant) -> impl Iterator<Item = (&mut HashMap<i64, usize>, i64)> {
        let all = [(&mut self.running, tenant.directory), (&mut self.in_line, tenant.line)];
        all.into_iter().filter_map(|(running, key)| Some((running, key?)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::StoreError;
    use super::super::exec::{Ended, Mode};
    use super::super::single::Single;
    use super::super::sql::Tx;
    use super::*;

    /// A unit that is only looked at.
    struct Named(&'static str);

    impl Unit for Named {
        fn name(&self) -> &'static str {
            self.0
        }

        fn mode(&self) -> Mode {
            Mode::Write
        }

        fn run(&mut self, _: &mut Tx<'_>) -> Ended {
            Ended::Done
        }

        fn has_single(&self) -> bool {
            false
        }

        fn run_single(&mut self, _: Single<'_>) -> Option<Ended> {
            None
        }

        fn is_abandoned(&self) -> bool {
            false
        }

        fn answer(self: Box<Self>) {}

        fn fail(self: Box<Self>, _: StoreError) {}
    }

    fn push(queue: &Queue, key: i64, name: &'static str) -> Result<(), Full> {
        let tenant = Tenant { directory: Some(key), line: None };
        queue.push(tenant, Box::new(Named(name)))
    }

    fn served(queue: &Queue) -> &'static str {
        let mut name = "";
        assert!(queue.serve(|unit| name = unit.name()));
        name
    }

    #[test]
    fn directories_take_turns_and_each_keeps_its_order() {
        let queue = Queue::new(100, 4);
        for name in ["a1", "a2", "a3", "a4"] {
            push(&queue, 1, name).expect("a place");
        }
        push(&queue, 2, "b1").expect("a place");
        push(&queue, 3, "c1").expect("a place");
        push(&queue, 2, "b2").expect("a place");
        queue.push(Tenant::default(), Box::new(Named("own"))).expect("a place");
        let order: Vec<_> = (0..8).map(|_| served(&queue)).collect();
        assert_eq!(order, ["a1", "b1", "c1", "own", "a2", "b2", "a3", "a4"]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn who_comes_late_is_not_behind_all_that_wait() {
        let queue = Queue::new(100, 1);
        for name in ["a1", "a2", "a3"] {
            push(&queue, 1, name).expect("a place");
        }
        let name = |unit: Option<Box<dyn Unit>>| unit.map(|unit| unit.name());
        assert_eq!(name(queue.take()), Some("a1"));
        push(&queue, 2, "b1").expect("a place");
        assert_eq!(name(queue.try_take()), Some("a2"));
        assert_eq!(name(queue.try_take()), Some("b1"));
        assert_eq!(name(queue.try_take()), Some("a3"));
        assert_eq!(name(queue.try_take()), None);
    }

    #[test]
    fn flood_of_one_directory_leaves_room_for_every_other() {
        let queue = Queue::new(100, 1);
        let fill = |key: i64| (0..1_000).take_while(|_| push(&queue, key, "x").is_ok()).count();
        assert_eq!([fill(1), fill(2), fill(3)], [50, 33, 25]);
        assert_eq!([fill(1), fill(2)], [0, 0]);
        assert_eq!((4..14).map(fill).min(), Some(8));
        let own = || queue.push(Tenant::default(), Box::new(Named("own")));
        let own = (0..1_000).take_while(|_| own().is_ok());
        assert_eq!(own.count(), 100, "what belongs to no directory has places of its own");
        let all: usize = (14..1_000).map(fill).sum();
        assert!(all > 0 && queue.len() <= 400, "{}", queue.len());
    }

    #[test]
    fn one_directory_never_has_every_thread() {
        let queue = Queue::new(100, 3);
        for name in ["a1", "a2", "a3"] {
            push(&queue, 1, name).expect("a place");
        }
        let mut seen = Vec::new();
        queue.serve(|first| {
            seen.push(first.name());
            queue.serve(|second| {
                seen.push(second.name());
                // Two of three threads are at directory 1, which waits although it was first.
                push(&queue, 2, "b1").expect("a place");
                seen.push(served(&queue));
            });
            seen.push(served(&queue));
        });
        assert_eq!(seen, ["a1", "a2", "b1", "a3"]);
    }

    #[test]
    fn one_line_never_has_more_than_two_threads() {
        let queue = Queue::new(100, 16);
        let write = |key: i64, name: &'static str| {
            let tenant = Tenant { directory: Some(key), line: Some(7) };
            queue.push(tenant, Box::new(Named(name))).expect("a place");
        };
        for (key, name) in [(1, "a1"), (2, "b1"), (1, "a2"), (2, "b2")] {
            write(key, name);
        }
        let mut seen = Vec::new();
        queue.serve(|first| {
            queue.serve(|second| {
                seen.extend([first.name(), second.name()]);
                // What stands in no line passes those that wait, also what is of the same directory.
                push(&queue, 1, "read").expect("a place");
                push(&queue, 3, "c1").expect("a place");
                seen.extend([served(&queue), served(&queue)]);
            });
            seen.push(served(&queue));
        });
        seen.push(served(&queue));
        assert_eq!(seen, ["a1", "b1", "read", "c1", "a2", "b2"]);
        assert_eq!(queue.state().in_line.len(), 0);
    }

    #[test]
    fn closed_queue_runs_empty_and_ends() {
        let queue = Queue::new(100, 1);
        push(&queue, 1, "a1").expect("a place");
        queue.close();
        assert_eq!(push(&queue, 1, "a2"), Err(Full));
        assert_eq!(served(&queue), "a1");
        assert!(!queue.serve(|_| {}));
        assert!(queue.take().is_none());
    }
}
