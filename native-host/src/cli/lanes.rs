//! Many pieces of work, a few at a time.
//!
//! Owns the handing out. Each lane takes the next number when it is done with one: no task is made and no thread is
//! woken for a single piece, which for thousands of small files would cost more than the files. Invariant: the results
//! stand in the order of the numbers, and there is one for each.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Runs `work(0)` … `work(count - 1)` in `lanes` tasks. `lost` is the result of what a lane that broke had not done.
pub(super) async fn run<W, F, T>(count: usize, lanes: usize, lost: T, work: W) -> Vec<T>
where
    W: Fn(usize) -> F + Send + Sync + 'static,
    F: Future<Output = T> + Send,
    T: Clone + Send + 'static,
{
    let shared = Arc::new((work, AtomicUsize::new(0), Mutex::new(vec![lost; count])));
    let tasks: Vec<_> = (0..lanes.clamp(1, count.max(1)))
        .map(|_| {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                let (work, next, results) = &*shared;
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        break;
                    }
                    let result = work(n).await;
                    if let Some(place) = results.lock().unwrap_or_else(PoisonError::into_inner).get_mut(n) {
                        *place = result;
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        // One that panicked has left its results as lost; the others did its share.
        let _ = task.await;
    }
    let results = shared.2.lock().unwrap_or_else(PoisonError::into_inner);
    results.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn results_keep_their_place_and_no_more_run_than_lanes() {
        let running = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
        let seen = Arc::clone(&running);
        let results = run(100, 7, usize::MAX, move |n| {
            let running = Arc::clone(&running);
            async move {
                let now = running.0.fetch_add(1, Ordering::SeqCst) + 1;
                running.1.fetch_max(now, Ordering::SeqCst);
                tokio::time::sleep(std::time::Duration::from_millis((n % 13 + 5) as u64)).await;
                running.0.fetch_sub(1, Ordering::SeqCst);
                n * 2
            }
        })
        .await;
        assert_eq!(results, (0..100).map(|n| n * 2).collect::<Vec<_>>());
        assert_eq!(seen.1.load(Ordering::SeqCst), 7);
        assert!(run(0, 3, 0, |n| async move { n }).await.is_empty());
    }

    #[tokio::test]
    async fn a_lane_that_breaks_takes_only_its_own_piece_along() {
        let results = run(20, 3, None, |n| async move {
            assert!(n != 5, "on purpose");
            Some(n)
        })
        .await;
        for (n, result) in results.iter().enumerate() {
            assert_eq!(*result, (n != 5).then_some(n));
        }
    }
}
