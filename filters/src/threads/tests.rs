//! What is bounded stays bounded, and what goes wrong in a job stays in it.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use super::*;

fn threads<W: Workspace + 'static>(threads_max: usize, queue_max: usize) -> Threads<W> {
    Threads::new(Terms { name: "test", threads_max, queue_max, stack_bytes: Some(1 << 20), nice: 0 })
}

/// Keeps one thread busy until the sender goes.
fn hold(threads: &Threads<()>) -> mpsc::Sender<()> {
    let (started, gate) = (Arc::new(Barrier::new(2)), mpsc::channel());
    let here = Arc::clone(&started);
    let held = move |(): &mut (), _| {
        here.wait();
        let _ = gate.1.recv();
    };
    threads.submit(held).unwrap();
    started.wait();
    gate.0
}

#[test]
fn jobs_run_and_no_more_at_once_than_there_are_threads() {
    let threads = threads::<()>(2, 100);
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (done, results) = mpsc::channel();
    for number in 0..50 {
        let (running, most, done) = (Arc::clone(&running), Arc::clone(&most), done.clone());
        let job = move |(): &mut (), _| {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::yield_now();
            running.fetch_sub(1, Ordering::SeqCst);
            done.send(number).unwrap();
        };
        threads.submit(job).unwrap();
    }
    let mut numbers: Vec<u32> = results.iter().take(50).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..50).collect::<Vec<_>>());
    assert!(most.load(Ordering::SeqCst) <= 2);
}

#[test]
fn a_full_queue_refuses_and_later_takes_again() {
    let threads = threads(1, 2);
    assert_eq!(threads.usage(), ThreadsUse { threads_max: 1, ..ThreadsUse::default() });
    let gate = hold(&threads);
    let (done, results) = mpsc::channel();
    let submit = || {
        let done = done.clone();
        threads.submit(move |(), _| done.send(()).unwrap())
    };
    assert_eq!((submit(), submit(), submit()), (Ok(()), Ok(()), Err(Full)));
    assert_eq!(threads.usage(), ThreadsUse { threads_max: 1, busy: 1, waiting: 2, refused: 1 });
    drop(gate);
    results.recv().unwrap();
    results.recv().unwrap();
    submit().unwrap();
    results.recv().unwrap();
    assert_eq!((threads.usage().waiting, threads.usage().refused), (0, 1));
}

#[test]
fn a_job_that_panics_costs_no_thread() {
    let threads = threads::<()>(1, 2);
    threads.submit(|(), _| panic!("as a test wants")).unwrap();
    let (done, results) = mpsc::channel();
    threads.submit(move |(), _| done.send(thread::current().name().map(str::to_owned)).unwrap()).unwrap();
    assert_eq!(results.recv().unwrap().as_deref(), Some("test-0"));
}

#[test]
fn threads_end_with_the_last_clone() {
    let threads = threads::<()>(1, 2);
    let inner = Arc::downgrade(&threads.handle.0);
    let (done, results) = mpsc::channel();
    let clone = threads.clone();
    drop(threads);
    clone.submit(move |(), _| done.send(()).unwrap()).unwrap();
    results.recv().unwrap();
    drop(clone);
    while inner.upgrade().is_some() {
        thread::yield_now();
    }
}

/// Counts the jobs since it last rested.
#[derive(Default)]
struct Tally(usize);

impl Workspace for Tally {
    fn rest(&mut self) {
        self.0 = 0;
    }
}

#[test]
fn what_a_thread_keeps_is_given_back_when_nothing_waits() {
    let threads = threads::<Tally>(1, 8);
    let (done, results) = mpsc::channel();
    let (started, gate) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let (here, held) = (Arc::clone(&started), Arc::clone(&gate));
    let first = move |tally: &mut Tally, _| {
        tally.0 += 1;
        here.wait();
        held.wait();
    };
    threads.submit(first).unwrap();
    started.wait();
    let submit = || {
        let done = done.clone();
        let job = move |tally: &mut Tally, _| {
            tally.0 += 1;
            done.send(tally.0).unwrap();
        };
        threads.submit(job).unwrap();
    };
    submit();
    submit();
    gate.wait();
    assert_eq!([results.recv().unwrap(), results.recv().unwrap()], [2, 3], "one job after another");
    while threads.usage().busy > 0 {
        thread::yield_now();
    }
    submit();
    assert_eq!(results.recv().unwrap(), 1, "and then a rest");
}
