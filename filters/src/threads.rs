//! A few threads beside those that serve, for work that takes long or comes from strangers.
//!
//! The threads bound what the work can take of the machine, the queue bounds what waits. Full means refused, at once. A job that
//! panics costs no thread.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// What the threads are like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// What they are called, before their number.
    pub(crate) name: &'static str,
    pub(crate) threads_max: usize,
    /// Jobs that may wait.
    pub(crate) queue_max: usize,
    /// The stack of each. None: the system's own.
    pub(crate) stack_bytes: Option<usize>,
    /// Added to their nice value: under load 10 gets about a tenth of what a serving thread gets, 5 a third.
    pub(crate) nice: i32,
}

/// What a thread keeps from one job to the next.
pub(crate) trait Workspace: Default {
    /// Nothing waits: what is large goes back to the system.
    fn rest(&mut self);
}

impl Workspace for () {
    fn rest(&mut self) {}
}

/// The threads. Clones share them; they start with the first job and end with the last clone.
pub(crate) struct Threads<W> {
    handle: Arc<Handle<W>>,
}

/// The queue is full, or no thread can be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// How much of some threads is in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ThreadsUse {
    /// As many as there may be.
    pub threads_max: usize,
    /// Those with a job.
    pub busy: usize,
    /// Jobs that wait for one.
    pub waiting: usize,
    /// Jobs that were refused, ever.
    pub refused: u64,
}

/// What runs on a thread: gets what the thread keeps, and how long it has waited.
type Job<W> = Box<dyn FnOnce(&mut W, Duration) + Send>;

struct Handle<W>(Arc<Pool<W>>);

struct Pool<W> {
    terms: Terms,
    queue: Mutex<Queue<W>>,
    ready: Condvar,
}

struct Queue<W> {
    jobs: VecDeque<(Job<W>, Instant)>,
    threads: usize,
    idle: usize,
    refused: u64,
    closed: bool,
}

impl<W: Workspace + 'static> Threads<W> {
    pub(crate) fn new(terms: Terms) -> Self {
        let queue = Queue { jobs: VecDeque::new(), threads: 0, idle: 0, refused: 0, closed: false };
        let (queue, ready) = (Mutex::new(queue), Condvar::new());
        Self { handle: Arc::new(Handle(Arc::new(Pool { terms, queue, ready }))) }
    }

    /// Has a job done some time soon, in the order of arrival.
    pub(crate) fn submit(&self, job: impl FnOnce(&mut W, Duration) + Send + 'static) -> Result<(), Full> {
        let pool = &self.handle.0;
        let mut queue = pool.queue.lock();
        if queue.jobs.len() >= pool.terms.queue_max || !pool.has_thread_for_one_more(&mut queue) {
            queue.refused += 1;
            return Err(Full);
        }
        queue.jobs.push_back((Box::new(job), Instant::now()));
        drop(queue);
        pool.ready.notify_one();
        Ok(())
    }

    /// How much of them is in use.
    pub(crate) fn usage(&self) -> ThreadsUse {
        let pool = &self.handle.0;
        let queue = pool.queue.lock();
        ThreadsUse {
            threads_max: pool.terms.threads_max,
            busy: queue.threads.saturating_sub(queue.idle),
            waiting: queue.jobs.len(),
            refused: queue.refused,
        }
    }
}

impl<W: Workspace + 'static> Pool<W> {
    /// Starts another thread where the job would wait and there may be one. False if there is none at all.
    fn has_thread_for_one_more(self: &Arc<Self>, queue: &mut Queue<W>) -> bool {
        if queue.idle <= queue.jobs.len() && queue.threads < self.terms.threads_max {
            let own = Arc::clone(self);
            let mut thread = thread::Builder::new().name(format!("{}-{}", self.terms.name, queue.threads));
            if let Some(bytes) = self.terms.stack_bytes {
                thread = thread.stack_size(bytes);
            }
            if thread.spawn(move || own.work()).is_ok() {
                queue.threads += 1;
            }
        }
        queue.threads > 0
    }

    fn work(&self) {
        // Refused only where a sandbox forbids it: then the threads compete as equals.
        let _ = rustix::process::nice(self.terms.nice);
        let mut workspace = W::default();
        while let Some((job, since)) = self.next(&mut workspace) {
            // Whoever waits for a job that panics learns of it by its silence; the thread goes on.
            let _ = catch_unwind(AssertUnwindSafe(|| job(&mut workspace, since.elapsed())));
        }
    }

    fn next(&self, workspace: &mut W) -> Option<(Job<W>, Instant)> {
        if self.queue.lock().jobs.is_empty() {
            workspace.rest();
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

impl<W> Drop for Handle<W> {
    fn drop(&mut self) {
        self.0.queue.lock().closed = true;
        self.0.ready.notify_all();
    }
}

impl<W> Clone for Threads<W> {
    fn clone(&self) -> Self {
        Self { handle: Arc::clone(&self.handle) }
    }
}

impl<W> std::fmt::Debug for Threads<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Threads").field("terms", &self.handle.0.terms).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
