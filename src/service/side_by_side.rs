//! Work that is the same for many things, on two threads at once.

/// What is worth a thread: it takes as long as a few dozen renderings to start one.
const WORTH: usize = 100;

/// `work` of every item, in their order. The calling thread does one half of many; it is for threads that
/// may block, such as the one that writes.
pub(super) fn side_by_side<T: Sync, U: Send>(items: &[T], work: impl Fn(&T) -> U + Sync) -> Vec<U> {
    let (first, second) = items.split_at(items.len() / 2);
    if first.len() < WORTH {
        return items.iter().map(work).collect();
    }
    std::thread::scope(|scope| {
        let second = scope.spawn(|| second.iter().map(&work).collect::<Vec<U>>());
        let mut done: Vec<U> = first.iter().map(&work).collect();
        match second.join() {
            Ok(rest) => done.extend(rest),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        done
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_done_in_order() {
        for many in [0, 1, WORTH, 2 * WORTH, 4 * WORTH + 1] {
            let items: Vec<usize> = (0..many).collect();
            let doubled: Vec<usize> = items.iter().map(|item| 2 * item).collect();
            assert_eq!(side_by_side(&items, |item| 2 * item), doubled);
        }
    }

    #[test]
    #[should_panic(expected = "the last one")]
    fn a_panic_goes_on() {
        let items: Vec<usize> = (0..4 * WORTH).collect();
        side_by_side(&items, |item| assert!(*item < 4 * WORTH - 1, "the last one"));
    }
}
