//! Times of the operations. They inform; `mcpg-bench gate` counts instructions and decides.

use divan::Bencher;
use mcpg_benches::ops::{OPS, Op};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

#[expect(clippy::panic, reason = "an operation that cannot be built has no time")]
#[divan::bench(args = OPS.iter().map(|op| op.name))]
fn op(bencher: Bencher<'_, '_>, name: &str) {
    let mut run = Op::find(name).and_then(Op::build).unwrap_or_else(|error| panic!("{error:#}"));
    bencher.bench_local(&mut run);
}
