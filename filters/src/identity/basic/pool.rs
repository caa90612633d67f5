//! Threads that hash passwords, beside those that serve.
//!
//! A password hash takes tens of milliseconds and megabytes on purpose. Here it takes them from a few threads of
//! low priority, so that a flood of log-ins slows log-ins and nothing else: the threads bound the memory, the
//! queue bounds what waits. Full means refused, at once.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::phc::Memory;

const THREADS_MAX: usize = 4;
const QUEUE_MAX: usize = 512;
/// Added to the threads' nice value: under load they get about a tenth of what a serving thread gets.
const NICE: i32 = 10;

/// The pool. Its clones share its threads, which start with the first job and end with the last clone.
#[derive(Clone)]
pub struct HashPool {
    handle: Arc<Handle>,
}

/// Every job is refused: the queue is full, or no thread can be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// What runs on a thread: gets the thread's memory, and how long it has waited.
type Job = Box<dyn FnOnce(&mut Memory, Duration) + Send>;

struct Handle(Arc<Pool>);

struct Pool {
    queue: Mutex<Queue>,
    ready: Condvar,
    threads_max: usize,
    queue_max: usize,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<(Job, Instant)>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl Default for HashPool {
    /// Half of the cores, at most four threads: at most 512 MiB at the dearest parameters that are accepted.
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self::new((cores / 2).clamp(1, THREADS_MAX), QUEUE_MAX)
    }
}

impl HashPool {
    /// A pool of so many threads, for which so many jobs may wait.
    pub fn new(threads_max: usize, queue_max: usize) -> Self {
        let (queue, ready) = Default::default();
        Self { handle: Arc::new(Handle(Arc::new(Pool { queue, ready, threads_max, queue_max }))) }
    }

    /// Has a job done some time soon, in the order of arrival.
    pub(crate) fn submit(
        &self,
        job: impl FnOnce(&mut Memory, Duration) + Send + 'static,
    ) -> Result<(), Full> {
        let pool = &self.handle.0;
        let mut queue = pool.queue.lock();
        if queue.jobs.len() >= pool.queue_max {
            return Err(Full);
        }
        if queue.idle <= queue.jobs.len() && queue.threads < pool.threads_max {
            let own = Arc::clone(pool);
            let name = format!("mcpg-hash-{}", queue.threads);
            match thread::Builder::new().name(name).spawn(move || own.work()) {
                Ok(_) => queue.threads += 1,
                Err(_) if queue.threads == 0 => return Err(Full),
                Err(_) => {}
            }
        }
        queue.jobs.push_back((Box::new(job), Instant::now()));
        drop(queue);
        pool.ready.notify_one();
        Ok(())
    }
}

impl Pool {
    fn work(&self) {
        // Refused only where a sandbox forbids it: then the threads compete as equals.
        let _ = rustix::process::nice(NICE);
        let mut memory = Memory::default();
        while let Some((job, since)) = self.next(&mut memory) {
            // A job answers for its own panic; the thread goes on.
            let _ = catch_unwind(AssertUnwindSafe(|| job(&mut memory, since.elapsed())));
        }
    }

    fn next(&self, memory: &mut Memory) -> Option<(Job, Instant)> {
        if self.queue.lock().jobs.is_empty() {
            memory.free();
        }
        let mut queue = self.queue.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            if queue.closed {
                return None;
            }
            queue.idle += 1;
            self.ready.wait(&mut queue);
            queue.idle -= 1;
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.queue.lock().closed = true;
        self.0.ready.notify_all();
    }
}

impl std::fmt::Debug for HashPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Pool { threads_max, queue_max, .. } = &*self.handle.0;
        f.debug_struct("HashPool")
            .field("threads_max", threads_max)
            .field("queue_max", queue_max)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn jobs_run_and_no_more_at_once_than_there_are_threads() {
        let pool = HashPool::new(2, 100);
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (done, results) = mpsc::channel();
        for number in 0..50 {
            let (running, most, done) = (Arc::clone(&running), Arc::clone(&most), done.clone());
            pool.submit(move |_, _| {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::yield_now();
                running.fetch_sub(1, Ordering::SeqCst);
                done.send(number).unwrap();
            })
            .unwrap();
        }
        let mut numbers: Vec<u32> = results.iter().take(50).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..50).collect::<Vec<_>>());
        assert!(most.load(Ordering::SeqCst) <= 2);
    }

    #[test]
    fn a_full_queue_refuses_and_later_takes_again() {
        let pool = HashPool::new(1, 2);
        let (started, gate) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let (here, there) = (Arc::clone(&started), Arc::clone(&gate));
        pool.submit(move |_, _| {
            here.wait();
            there.wait();
        })
        .unwrap();
        started.wait();
        let (done, results) = mpsc::channel();
        let submit = || {
            let done = done.clone();
            pool.submit(move |_, _| done.send(()).unwrap())
        };
        assert_eq!((submit(), submit(), submit()), (Ok(()), Ok(()), Err(Full)));
        gate.wait();
        results.recv().unwrap();
        results.recv().unwrap();
        submit().unwrap();
        results.recv().unwrap();
    }

    #[test]
    fn a_job_that_panics_costs_no_thread() {
        let pool = HashPool::new(1, 2);
        pool.submit(|_, _| panic!("as a test wants")).unwrap();
        let (done, results) = mpsc::channel();
        pool.submit(move |_, _| done.send(thread::current().name().map(str::to_owned)).unwrap()).unwrap();
        assert_eq!(results.recv().unwrap().as_deref(), Some("mcpg-hash-0"));
    }

    #[test]
    fn threads_end_with_the_last_clone() {
        let pool = HashPool::new(1, 2);
        let inner = Arc::downgrade(&pool.handle.0);
        let (done, results) = mpsc::channel();
        pool.submit(move |_, _| done.send(()).unwrap()).unwrap();
        results.recv().unwrap();
        drop(pool);
        while inner.upgrade().is_some() {
            thread::yield_now();
        }
    }
}
