//! Asking the engines, where the cache has no answer.
//!
//! An engine first gets what is left of a small budget on the thread that asks, which suffices for nearly every decision. One that
//! needs longer is asked again, with an owned copy of the call, on the [policy threads](super::PolicyThreads), until its own limit is over.
//! So a hostile policy costs a worker the budget and no more. An engine that decides elsewhere is waited for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mcpg_sdk::policy::{EngineDecision, EngineError, OwnedCall, PolicyEngine, PolicyInput};
use mcpg_sdk::{Call, Caller, Decision, Obligation};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Asking, CHAIN, PolicyChain, PolicyRef, ShadowOpinion, Verdict, deny, deny_error};

/// What a decision may take of the worker that asks for it.
const WORKER_MAX: Duration = Duration::from_millis(1);
/// With less than this left an engine is not tried on the worker.
const WORKER_MIN: Duration = Duration::from_micros(50);
/// What a thread may take to notice that the limit is over, before it is given up.
const GRACE: Duration = Duration::from_millis(20);

/// What one engine says.
type Answer = Result<EngineDecision, EngineError>;

/// A call that is decided, and what it has left of the worker.
struct Asker<'a> {
    chain: &'a PolicyChain,
    caller: &'a Caller,
    call: &'a Call<'a>,
    left: Duration,
}

impl PolicyChain {
    /// Asks the engines. The flag says that the verdict may be another the next time.
    pub(super) async fn evaluate(&self, caller: &Caller, call: &Call<'_>, asking: Asking) -> (Verdict, bool) {
        let mut asker = Asker { chain: self, caller, call, left: WORKER_MAX };
        let (mut verdict, transient) = asker.decide().await;
        // It may have been closed meanwhile.
        if let Some(closed) = self.closed.get() {
            return (Verdict::clone(closed), true);
        }
        if asking == Asking::Everyone {
            for shadow in &self.shadows {
                let decision = match asker.ask(&shadow.engine).await {
                    Ok(EngineDecision::Permit { obligations, .. }) => permit(obligations),
                    Ok(denied) => denial(shadow.engine.id(), denied).decision,
                    Err(error) => deny_error(shadow.engine.id(), &error).decision,
                };
                verdict.shadow.push(ShadowOpinion { engine: Arc::clone(&shadow.label), decision });
            }
        }
        (verdict, transient)
    }
}

impl Asker<'_> {
    async fn decide(&mut self) -> (Verdict, bool) {
        let engines = &self.chain.engines;
        if engines.is_empty() {
            return (deny(CHAIN, None, "not_permitted", "no policy engine is configured"), false);
        }
        let mut policies = Vec::new();
        let mut united = Vec::new();
        for engine in engines {
            match self.ask(engine).await {
                Ok(EngineDecision::Permit { policies: permitting, obligations }) => {
                    let id: Arc<str> = engine.id().into();
                    let refs = permitting
                        .into_iter()
                        .map(|policy| PolicyRef { engine: id.clone(), policy: policy.into() });
                    policies.extend(refs);
                    united.extend(obligations);
                }
                Ok(denied) => return (denial(engine.id(), denied), false),
                Err(error) => return (deny_error(engine.id(), &error), error.is_transient()),
            }
        }
        (Verdict { decision: permit(united), policies, shadow: Vec::new() }, false)
    }

    async fn ask(&mut self, engine: &Arc<dyn PolicyEngine>) -> Answer {
        match self.ask_here(engine) {
            Here::Answered(answer) => answer,
            Here::Elsewhere(asked) => {
                let limit = engine.limit();
                timeout(limit, asked).await.unwrap_or_else(|_| Err(EngineError::deadline(limit)))
            }
            Here::TooLong => self.ask_on_a_thread(engine).await,
        }
    }

    /// As far as it goes on the worker.
    fn ask_here(&mut self, engine: &Arc<dyn PolicyEngine>) -> Here {
        let input = PolicyInput::select(self.caller, self.call, engine.reads().of(self.call));
        if let Some(asked) = engine.ask(&input) {
            return Here::Elsewhere(asked);
        }
        if self.left < WORKER_MIN {
            return Here::TooLong;
        }
        let within = self.left.min(engine.limit());
        let started = Instant::now();
        let answer = engine.decide(&input, within);
        self.left = self.left.saturating_sub(started.elapsed());
        match answer {
            Err(EngineError::Deadline { .. }) if within < engine.limit() => Here::TooLong,
            answer => Here::Answered(answer),
        }
    }

    async fn ask_on_a_thread(&self, engine: &Arc<dyn PolicyEngine>) -> Answer {
        let limit = engine.limit();
        let until = Instant::now() + limit;
        let late = move || EngineError::deadline(limit);
        let turn = timeout(limit, self.chain.turns.take(self.caller, self.call)).await;
        let Ok(Some(turn)) = turn else { return Err(late()) };
        let reads = Arc::clone(engine.reads().of(self.call));
        let (engine, call) = (Arc::clone(engine), OwnedCall::copy(self.caller, self.call, &reads));
        let (answer, answered) = oneshot::channel();
        let job = move || {
            let left = until.saturating_duration_since(Instant::now());
            let decided = match left.is_zero() {
                true => Err(late()),
                false => call.with_input(&reads, |input| engine.decide(input, left)),
            };
            // The turn is over when the thread is free again, whether or not anybody still waits.
            drop(turn);
            let _ = answer.send(decided.map_err(|error| match error {
                EngineError::Deadline { .. } => late(),
                error => error,
            }));
        };
        if self.chain.threads.submit(job).is_err() {
            return Err(late());
        }
        let left = until.saturating_duration_since(Instant::now()) + GRACE;
        match timeout(left, answered).await {
            Ok(Ok(decided)) => decided,
            // The job panicked, which is its engine's bug and nobody's permit.
            Ok(Err(_)) => {
                let problem = "the engine failed".to_owned();
                Err(EngineError::Evaluation { policy: String::new(), problem })
            }
            Err(_) => Err(late()),
        }
    }
}

/// What came of asking on the worker.
enum Here {
    Answered(Answer),
    Elsewhere(mcpg_sdk::policy::Asked),
    TooLong,
}

fn permit(obligations: Vec<Obligation>) -> Decision {
    let obligations = Obligation::unite(obligations);
    if obligations.is_empty() { Decision::Permit } else { Decision::PermitWithObligations(obligations) }
}

/// The verdict of an engine that does not permit.
fn denial(engine: &str, decided: EngineDecision) -> Verdict {
    match decided {
        EngineDecision::Forbid { policy, message } => deny(engine, Some(policy), "forbidden", message),
        EngineDecision::NotPermitted { message } => deny(engine, None, "not_permitted", message),
        EngineDecision::Permit { .. } => deny(engine, None, "policy_error", "a permit is no denial"),
    }
}
