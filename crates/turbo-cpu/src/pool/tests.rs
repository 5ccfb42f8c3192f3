use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::*;

#[test]
fn every_task_runs_once() {
    for threads in [1, 2, 3, 8] {
        let pool = ThreadPool::new(threads);
        assert_eq!(pool.threads(), threads);
        for tasks in [0, 1, 2, 3, 17, 1000] {
            let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
            pool.run(tasks, |index| {
                counts[index].fetch_add(1, Ordering::Relaxed);
            });
            assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{threads} threads, {tasks} tasks");
        }
    }
}

#[test]
fn many_short_loops_with_and_without_gaps() {
    let pool = ThreadPool::new(3);
    let total = AtomicU64::new(0);
    for round in 0..3000_u64 {
        pool.run(5, |index| {
            total.fetch_add(index as u64 + 1, Ordering::Relaxed);
        });
        assert_eq!(total.load(Ordering::Relaxed), (round + 1) * 15);
        if round % 500 == 0 {
            // Longer than the workers spin, so that they sleep and have to be woken.
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

#[test]
fn pieces_cover_the_slice() {
    let pool = ThreadPool::new(2);
    let mut items = vec![0_usize; 103];
    pool.run_pieces(&mut items, 10, |index, piece| piece.fill(index + 1));
    assert!(items.iter().enumerate().all(|(i, &value)| value == i / 10 + 1));
}

#[test]
fn panics_reach_the_caller_and_the_pool_survives() {
    let pool = ThreadPool::new(2);
    for bad in [0, 7, 63] {
        let outcome = catch_unwind(AssertUnwindSafe(|| pool.run(64, |index| assert!(index != bad, "task {index}"))));
        let payload = outcome.expect_err("a task panicked");
        assert_eq!(payload.downcast_ref::<String>().map(String::as_str), Some(format!("task {bad}").as_str()));
    }
    let done = AtomicUsize::new(0);
    pool.run(10, |_| {
        done.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!(done.into_inner(), 10);
}

#[test]
fn nested_loops_run_inline() {
    let pool = ThreadPool::new(2);
    let done = AtomicUsize::new(0);
    pool.run(4, |_| {
        let outer = std::thread::current().id();
        pool.run(3, |_| {
            assert_eq!(std::thread::current().id(), outer);
            done.fetch_add(1, Ordering::Relaxed);
        });
    });
    assert_eq!(done.into_inner(), 12);
}

#[test]
fn two_callers_share_a_pool() {
    let pool = ThreadPool::new(2);
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..200 {
                    pool.run(4, |_| {
                        done.fetch_add(1, Ordering::Relaxed);
                    });
                }
            });
        }
    });
    assert_eq!(done.into_inner(), 1600);
}
