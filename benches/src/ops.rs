//! What is done for every request, taken apart: each operation is measured alone, in time by `benches/micro.rs` and in
//! instructions by `mcpg-bench gate`.

mod audit;
mod chain;
mod envelope;
mod identity;
mod policy;
mod redact;
mod session;

use anyhow::Context as _;

pub(crate) use policy::write_bundle;

/// An operation, ready to run. Whatever it needs is made already.
pub type Run = Box<dyn FnMut()>;

/// One operation.
#[derive(Debug, Clone, Copy)]
pub struct Op {
    /// Its name.
    pub name: &'static str,
    /// How often one measurement of instructions repeats it; none where instructions do not tell its cost.
    pub repeat: Option<u32>,
    build: fn() -> anyhow::Result<Run>,
}

/// Every operation.
pub const OPS: &[Op] = &[
    op("envelope/call", Some(200), || envelope::parse(0)),
    op("envelope/1k", Some(200), || envelope::parse(1024)),
    op("envelope/16k", Some(50), || envelope::parse(16 * 1024)),
    op("envelope/1m", Some(2), || envelope::parse(1024 * 1024)),
    op("identity/1-key", Some(200), || identity::api_key(1)),
    op("identity/10000-keys", Some(200), || identity::api_key(10_000)),
    op("identity/password-known", Some(200), identity::basic),
    op("identity/token-known", Some(200), identity::token),
    op("identity/certificate-known", Some(200), identity::certificate),
    op("identity/verify-rs256", Some(20), || identity::verify(identity::Algorithm::Rs256)),
    op("identity/verify-es256", Some(20), || identity::verify(identity::Algorithm::Es256)),
    op("identity/verify-eddsa", Some(20), || identity::verify(identity::Algorithm::Ed25519)),
    op("policy/hit-10", Some(200), || policy::hit(10)),
    op("policy/hit-1000", Some(200), || policy::hit(1000)),
    // Loading so many takes minutes under an instruction counter.
    op("policy/hit-10000", None, || policy::hit(10_000)),
    op("policy/miss-10", Some(100), || policy::miss(10)),
    op("policy/miss-1000", Some(100), || policy::miss(1000)),
    op("policy/miss-10000", None, || policy::miss(10_000)),
    op("policy/hit-3-engines-10", Some(200), || policy::chained(10)),
    op("policy/hit-3-engines-1000", None, || policy::chained(1000)),
    op("policy/rego-miss-10", Some(50), || policy::rego(10)),
    op("policy/rego-miss-1000", None, || policy::rego(1000)),
    op("policy/rego-miss-10000", None, || policy::rego(10_000)),
    op("policy/casbin-miss-10", Some(50), || policy::casbin_miss(10)),
    op("policy/casbin-miss-1000", None, || policy::casbin_miss(1000)),
    op("policy/casbin-miss-10000", None, || policy::casbin_miss(10_000)),
    op("session/admit-1", Some(200), || session::admit(1)),
    op("session/admit-10", Some(200), || session::admit(10)),
    op("session/seal-1", Some(200), || session::seal(1)),
    op("redact/json-1k", Some(100), redact::json),
    op("redact/event-1k", Some(100), redact::event),
    op("redact/text-1k", Some(100), redact::text),
    op("redact/pointer-16k", Some(50), || {
        redact::of_16k(&["redact:pointer=/structuredContent/rows/*/email"])
    }),
    op("redact/email-16k", Some(50), || redact::of_16k(&["redact:detector=email"])),
    op("redact/phone-16k", Some(50), || redact::of_16k(&["redact:detector=phone"])),
    op("redact/card-16k", Some(50), || redact::of_16k(&["redact:detector=card"])),
    op("redact/secret-16k", Some(50), || redact::of_16k(&["redact:detector=secret"])),
    op("redact/all-16k", Some(50), || redact::of_16k(redact::ALL)),
    op("audit/written", Some(200), audit::written),
    // Its cost is the disk's.
    op("audit/sync", None, audit::sync),
    op("chain/1k", Some(200), || chain::admit(1024)),
    op("chain/16k", Some(50), || chain::admit(16 * 1024)),
];

const fn op(name: &'static str, repeat: Option<u32>, build: fn() -> anyhow::Result<Run>) -> Op {
    Op { name, repeat, build }
}

impl Op {
    /// The operation with a name.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(name: &str) -> anyhow::Result<&'static Self> {
        OPS.iter().find(|op| op.name == name).with_context(|| format!("no operation is called `{name}`"))
    }

    /// Makes what it needs.
    ///
    /// # Errors
    /// When that cannot be made.
    pub fn build(&self) -> anyhow::Result<Run> {
        (self.build)().with_context(|| self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counted_operation_runs() {
        for op in OPS.iter().filter(|op| op.repeat.is_some()) {
            let mut run = op.build().unwrap();
            run();
            run();
        }
    }
}
