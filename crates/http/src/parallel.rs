//! Doing many things side by side.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Applies `work` to all `items`, at most `jobs` at a time; the answers are in the order of the items.
///
/// After the first error nothing new is begun, and the error that comes first in the order of the items is returned.
///
/// # Errors
/// Those of `work`.
pub fn map<T: Sync, U: Send, E: Send>(
    jobs: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<U, E> + Sync,
) -> Result<Vec<U>, E> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let worker = || {
        let mut done = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { break };
            let answer = work(item);
            if answer.is_err() {
                failed.store(true, Ordering::Relaxed);
            }
            done.push((index, answer));
        }
        done
    };
    let mut done: Vec<(usize, Result<U, E>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs.clamp(1, items.len().max(1))).map(|_| scope.spawn(worker)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, answer)| answer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_keep_their_order() {
        let items: Vec<usize> = (0..100).collect();
        for jobs in [0, 1, 3, 200] {
            let answers = map(jobs, &items, |item| Ok::<_, ()>(item * 2)).unwrap();
            assert_eq!(answers, items.iter().map(|item| item * 2).collect::<Vec<_>>());
        }
        assert_eq!(map(4, &[] as &[u8], |_| Ok::<_, ()>(())).unwrap(), []);
    }

    #[test]
    fn the_first_error_ends_it() {
        let items: Vec<usize> = (0..1000).collect();
        let begun = AtomicUsize::new(0);
        let error = map(2, &items, |item| {
            begun.fetch_add(1, Ordering::Relaxed);
            if *item == 3 { Err(*item) } else { Ok(()) }
        })
        .unwrap_err();
        assert_eq!(error, 3);
        assert!(begun.into_inner() <= items.len());
    }
}
