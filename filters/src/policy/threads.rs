//! Threads for decisions that take longer than a worker has time for.
//!
//! The threads bound what hostile policies can take of the machine, the queue bounds what waits. Full means refused, at once. Of
//! the threads that scopes share no scope holds more than [`PolicyThreads::share`], so that one scope's policies cannot keep
//! another's from being evaluated.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use parking_lot::{Condvar, Mutex};

const THREADS_MIN: usize = 2;
const THREADS_MAX: usize = 16;
const QUEUE_MAX: usize = 1024;
/// Evaluators recurse as deep as values and rules are nested.
const STACK_BYTES: usize = 16 << 20;

/// The threads. Clones share them; they start with the first job and end with the last clone.
#[derive(Clone)]
pub struct PolicyThreads {
    handle: Arc<Handle>,
}

/// The queue is full, or no thread can be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

type Job = Box<dyn FnOnce() + Send>;

struct Handle(Arc<Pool>);

struct Pool {
    queue: Mutex<Queue>,
    ready: Condvar,
    threads_max: usize,
    queue_max: usize,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl Default for PolicyThreads {
    /// As many as there are cores, but two at least and sixteen at most.
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self::new(cores.clamp(THREADS_MIN, THREADS_MAX), QUEUE_MAX)
    }
}

impl PolicyThreads {
    /// So many threads, for which so many jobs may wait.
    pub fn new(threads_max: usize, queue_max: usize) -> Self {
        let (queue, ready) = Default::default();
        Self { handle: Arc::new(Handle(Arc::new(Pool { queue, ready, threads_max, queue_max }))) }
    }

    /// How many of them one scope may hold at once.
    pub fn share(&self) -> usize {
        (self.handle.0.threads_max / 2).max(1)
    }

    /// Has a job done some time soon, in the order of arrival.
    pub(crate) fn submit(&self, job: Job) -> Result<(), Full> {
        let pool = &self.handle.0;
        let mut queue = pool.queue.lock();
        if queue.jobs.len() >= pool.queue_max {
            return Err(Full);
        }
        if queue.idle <= queue.jobs.len() && queue.threads < pool.threads_max {
            let own = Arc::clone(pool);
            let thread =
                thread::Builder::new().name(format!("mcpg-policy-{}", queue.threads)).stack_size(STACK_BYTES);
            match thread.spawn(move || own.work()) {
                Ok(_) => queue.threads += 1,
                Err(_) if queue.threads == 0 => return Err(Full),
                Err(_) => {}
            }
        }
        queue.jobs.push_back(job);
        drop(queue);
        pool.ready.notify_one();
        Ok(())
    }
}

impl Pool {
    fn work(&self) {
        while let Some(job) = self.next() {
            // Whoever waits for a job that panics learns of it by its silence; the thread goes on.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }

    fn next(&self) -> Option<Job> {
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

impl std::fmt::Debug for PolicyThreads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Pool { threads_max, queue_max, .. } = &*self.handle.0;
        f.debug_struct("PolicyThreads")
            .field("threads_max", threads_max)
            .field("queue_max", queue_max)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_full_queue_refuses_and_a_panic_costs_no_thread() {
        let threads = PolicyThreads::new(1, 1);
        assert_eq!(threads.share(), 1);
        let (started, gate) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let (here, there) = (Arc::clone(&started), Arc::clone(&gate));
        let held = move || {
            here.wait();
            there.wait();
            panic!("as a test wants");
        };
        threads.submit(Box::new(held)).unwrap();
        started.wait();
        let (done, results) = mpsc::channel();
        let submit = || {
            let done = done.clone();
            threads.submit(Box::new(move || done.send(thread::current().name().map(str::to_owned)).unwrap()))
        };
        assert_eq!((submit(), submit()), (Ok(()), Err(Full)));
        gate.wait();
        assert_eq!(results.recv().unwrap().as_deref(), Some("mcpg-policy-0"));
    }

    #[test]
    fn threads_end_with_the_last_clone() {
        let threads = PolicyThreads::new(1, 2);
        let inner = Arc::downgrade(&threads.handle.0);
        let (done, results) = mpsc::channel();
        threads.submit(Box::new(move || done.send(()).unwrap())).unwrap();
        results.recv().unwrap();
        drop(threads);
        while inner.upgrade().is_some() {
            thread::yield_now();
        }
    }
}
