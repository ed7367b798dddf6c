//! In which order accounts take their names, when names pass from one to another. Pure.
//!
//! Somebody who wants a name that another one is about to leave waits for that. Where they wait for each
//! other in a circle, all of it has to happen at once.

/// What can happen at the same time, once everything of the turns before has happened. Places in the list
/// that was asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    pub alone: Vec<usize>,
    pub circles: Vec<Vec<usize>>,
}

/// `holders` says of each who has the name that it wants; `None` for a name that is free, or its own.
pub fn turns(holders: &[Option<usize>]) -> Vec<Turn> {
    let holder = |place: usize| holders.get(place).copied().flatten();
    let mut waiting: Vec<Vec<usize>> = vec![Vec::new(); holders.len()];
    let mut turn = Turn::default();
    for (place, held) in holders.iter().enumerate() {
        match held.and_then(|held| waiting.get_mut(held)) {
            Some(waiting) => waiting.push(place),
            None => turn.alone.push(place),
        }
    }
    // The walk that came to a place first; who is come to again by the same walk is in a circle.
    let mut seen: Vec<Option<usize>> = vec![None; holders.len()];
    let mut is_circle = vec![false; holders.len()];
    for start in 0..holders.len() {
        let mut at = Some(start);
        while let Some(place) = at {
            match seen.get_mut(place) {
                Some(by @ None) => *by = Some(start),
                Some(Some(by)) if *by == start => {
                    let next =
                        |place: &usize| holder(*place).filter(|next| next != &at.unwrap_or(0));
                    let circle: Vec<usize> = std::iter::successors(Some(place), next).collect();
                    for member in &circle {
                        is_circle.get_mut(*member).into_iter().for_each(|is| *is = true);
                    }
                    turn.circles.push(circle);
                    break;
                }
                _ => break,
            }
            at = holder(place);
        }
    }
    let mut turns = Vec::new();
    while turn != Turn::default() {
        let done = turn.alone.iter().chain(turn.circles.iter().flatten());
        let next = done.filter_map(|place| waiting.get(*place)).flatten();
        let next = next.copied().filter(|place| !is_circle.get(*place).copied().unwrap_or(false));
        let next = Turn { alone: next.collect(), circles: Vec::new() };
        turns.push(std::mem::replace(&mut turn, next));
    }
    turns
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn chains_go_from_their_free_end_and_circles_go_at_once() {
        let alone = |alone: &[usize]| Turn { alone: alone.to_vec(), circles: Vec::new() };
        assert_eq!(turns(&[]), []);
        assert_eq!(turns(&[None, None]), [alone(&[0, 1])]);
        // 0 wants the name of 1, and 1 that of 2.
        assert_eq!(turns(&[Some(1), Some(2), None]), [alone(&[2]), alone(&[1]), alone(&[0])]);
        let swap = Turn { alone: vec![2], circles: vec![vec![0, 1]] };
        // 3 wants what 0 leaves.
        assert_eq!(turns(&[Some(1), Some(0), None, Some(0)]), [swap, alone(&[3])]);
        assert_eq!(turns(&[Some(0)])[0].circles, [[0]]);
    }

    proptest! {
        #[test]
        fn everybody_has_one_turn_and_nobody_before_the_holder(
            wanted in proptest::collection::vec(proptest::option::of(0_usize..40), 0..40)
        ) {
            // Nobody wants a name that a second one wants.
            let mut taken = std::collections::HashSet::new();
            let mut holders = wanted.clone();
            for held in &mut holders {
                *held = held.filter(|held| *held < wanted.len() && taken.insert(*held));
            }
            let mut gone = vec![false; holders.len()];
            for turn in turns(&holders) {
                for place in turn.alone.iter().copied() {
                    prop_assert!(!gone[place] && holders[place].is_none_or(|held| gone[held]));
                }
                for circle in &turn.circles {
                    for (at, place) in circle.iter().enumerate() {
                        prop_assert!(!gone[*place]);
                        prop_assert_eq!(holders[*place], Some(circle[(at + 1) % circle.len()]));
                    }
                }
                for place in turn.alone.iter().chain(turn.circles.iter().flatten()) {
                    gone[*place] = true;
                }
            }
            prop_assert!(gone.iter().all(|gone| *gone));
        }
    }
}
