//! Threads for decisions that take longer than a worker has time for.
//!
//! Of the threads that scopes share no scope holds more than [`PolicyThreads::share`], so that one scope's policies cannot keep
//! another's from being evaluated.

use std::num::NonZeroUsize;
use std::thread;

use crate::threads::{Full, Terms, Threads, ThreadsUse};

const THREADS_MIN: usize = 4;
const THREADS_MAX: usize = 16;
const QUEUE_MAX: usize = 1024;
/// Evaluators recurse as deep as values and rules are nested.
const STACK_BYTES: usize = 16 << 20;
/// What takes long gives way to what does not: under load they get about a third of what a serving thread gets.
const NICE: i32 = 5;

/// The threads. Clones share them; they start with the first job and end with the last clone.
#[derive(Debug, Clone)]
pub struct PolicyThreads {
    threads: Threads<()>,
    threads_max: usize,
}

impl Default for PolicyThreads {
    /// As many as there are cores, but four at least and sixteen at most.
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self::new(cores.clamp(THREADS_MIN, THREADS_MAX), QUEUE_MAX)
    }
}

impl PolicyThreads {
    /// So many threads, for which so many jobs may wait.
    pub fn new(threads_max: usize, queue_max: usize) -> Self {
        let stack_bytes = Some(STACK_BYTES);
        let terms = Terms { name: "mcpg-policy", threads_max, queue_max, stack_bytes, nice: NICE };
        Self { threads: Threads::new(terms), threads_max }
    }

    /// How many of them one scope may hold at once.
    pub fn share(&self) -> usize {
        (self.threads_max / 2).max(1)
    }

    /// How much of them is in use.
    pub fn usage(&self) -> ThreadsUse {
        self.threads.usage()
    }

    /// Has a job done some time soon, in the order of arrival.
    pub(crate) fn submit(&self, job: impl FnOnce() + Send + 'static) -> Result<(), Full> {
        self.threads.submit(move |(), _| job())
    }
}
