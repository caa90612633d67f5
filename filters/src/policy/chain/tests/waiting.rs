//! What takes longer than the worker has, what is decided elsewhere, and shadows.

use std::sync::{Barrier, mpsc};

use parking_lot::Mutex;

use super::*;

/// An engine that takes `needs`, or says that it would have.
struct Slow {
    id: &'static str,
    reads: Reads,
    needs: Duration,
    limit: Duration,
    asked: AtomicUsize,
}

impl Slow {
    fn new(id: &'static str, needs: Duration, limit: Duration) -> Arc<Self> {
        Arc::new(Self { id, reads: reads(ReadSet::everything()), needs, limit, asked: AtomicUsize::new(0) })
    }
}

impl PolicyEngine for Slow {
    fn id(&self) -> &str {
        self.id
    }

    fn reads(&self) -> &Reads {
        &self.reads
    }

    fn limit(&self) -> Duration {
        self.limit
    }

    fn decide(&self, input: &PolicyInput<'_>, within: Duration) -> Answer {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if within < self.needs {
            return Err(EngineError::deadline(within));
        }
        permit(&format!("{} {:?}", input.subject().unwrap(), input.argument("path").unwrap()), &[])
    }
}

const HOUR: Duration = Duration::from_secs(3600);

fn decided(chain: &PolicyChain) -> String {
    show(&now(chain.decide(&caller(), &call(&Scope::default()))).verdict)
}

fn alone(engine: Arc<dyn PolicyEngine>) -> PolicyChain {
    PolicyChain::new(vec![engine], CacheLimits::default())
}

#[test]
fn what_takes_longer_than_the_worker_has_is_decided_on_a_thread_with_the_same_input() {
    let engine = Slow::new("a", Duration::from_secs(60), HOUR);
    let expected = "permit [a:user:alice@acme.com Some(\"\\\"/a\\\"\")]";
    assert_eq!(decided(&alone(engine.clone())), expected);
    assert_eq!(engine.asked.load(Ordering::Relaxed), 2);
}

#[test]
fn what_takes_longer_than_the_limit_is_denied() {
    assert_eq!(decided(&alone(Slow::new("a", HOUR, Duration::from_millis(5)))), "deny a policy_timeout []");
    assert_eq!(decided(&alone(Slow::new("a", HOUR, Duration::ZERO))), "deny a policy_timeout []");
}

#[test]
fn without_a_free_thread_what_takes_long_is_denied_and_the_rest_is_not() {
    let threads = PolicyThreads::new(1, 1);
    let gate = Arc::new(Barrier::new(2));
    let (started, held) = (Arc::new(Barrier::new(2)), Arc::clone(&gate));
    let here = Arc::clone(&started);
    let hold = move || {
        here.wait();
        held.wait();
    };
    threads.submit(hold).unwrap();
    started.wait();
    threads.submit(|| {}).unwrap();
    let slow = alone(Slow::new("a", Duration::from_secs(60), HOUR)).on(threads.clone());
    assert_eq!(decided(&slow), "deny a policy_timeout []");
    assert_eq!(decided(&alone(fixed("b", permit("1", &[]))).on(threads)), "permit [b:1]");
    gate.wait();
}

#[test]
fn who_holds_threads_keeps_no_other_caller_waiting() {
    let (gate, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let (holds, began) = mpsc::channel();
    let answer = move |input: &PolicyInput<'_>| {
        if !is_on_a_thread() {
            return Err(EngineError::deadline(Duration::ZERO));
        }
        if input.subject().unwrap() == "user:mallory@acme.com" {
            holds.send(()).unwrap();
            let _ = held.lock().recv();
        }
        permit("1", &[])
    };
    let of = ReadSet { subject: true, ..ReadSet::default() };
    let engine = Engine { id: "a", reads: reads(of), asked: Arc::default(), answer };
    // Four threads: two for the scope, one for a caller.
    let chain = Arc::new(alone(Arc::new(Bounded(Arc::new(engine), HOUR))).on(PolicyThreads::new(4, 8)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        for _ in 0..5 {
            let chain = Arc::clone(&chain);
            tokio::spawn(async move {
                let mallory = Caller { subject: "user:mallory@acme.com".to_owned(), ..caller() };
                chain.decide_uncached(&mallory, &call(&Scope::default())).await
            });
        }
        while began.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
        // One of 64 stands in the same queue as the one who holds it, by a hash that nobody can choose. Not all of these do.
        let mut others = tokio::task::JoinSet::new();
        for number in 0..8 {
            let chain = Arc::clone(&chain);
            let other = Caller { subject: format!("user:alice-{number}@acme.com"), ..caller() };
            others.spawn(async move { chain.decide_uncached(&other, &call(&Scope::default())).await });
        }
        let verdict = others.join_next().await.unwrap().unwrap();
        assert_eq!(show(&verdict), "permit [a:1]");
    });
    assert!(began.try_recv().is_err(), "of five calls of one caller one is decided at a time");
    drop(gate);
}

#[test]
fn an_engine_that_never_ends_is_given_up() {
    let (gate, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let (holds, began) = mpsc::channel();
    let answer = move |_: &PolicyInput<'_>| {
        // On the worker it says that it needs longer, on the thread nothing.
        if is_on_a_thread() {
            holds.send(()).unwrap();
            let _ = held.lock().recv();
        }
        Err(EngineError::deadline(Duration::ZERO))
    };
    let engine =
        Arc::new(Engine { id: "a", reads: reads(ReadSet::default()), asked: Arc::default(), answer });
    let chain = alone(Arc::new(Bounded(engine, Duration::from_millis(5))));
    // A thread that starts too late has nothing to do any more: then once again.
    loop {
        assert_eq!(decided(&chain), "deny a policy_timeout []");
        if began.try_recv().is_ok() {
            break;
        }
    }
    drop(gate);
}

fn is_on_a_thread() -> bool {
    std::thread::current().name().is_some_and(|name| name.starts_with("mcpg-policy"))
}

/// Another engine with a limit of its own.
struct Bounded(Arc<dyn PolicyEngine>, Duration);

impl PolicyEngine for Bounded {
    fn id(&self) -> &str {
        self.0.id()
    }

    fn reads(&self) -> &Reads {
        self.0.reads()
    }

    fn limit(&self) -> Duration {
        self.1
    }

    fn decide(&self, input: &PolicyInput<'_>, within: Duration) -> Answer {
        self.0.decide(input, within)
    }
}

#[test]
fn an_engine_that_panics_on_a_thread_denies() {
    let asked = AtomicUsize::new(0);
    let answer = move |_: &PolicyInput<'_>| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => Err(EngineError::deadline(Duration::ZERO)),
        _ => panic!("as a test wants"),
    };
    let engine = Engine { id: "a", reads: reads(ReadSet::default()), asked: Arc::default(), answer };
    assert_eq!(decided(&alone(Arc::new(engine))), "deny a policy_error [a:]");
}

/// Decides elsewhere.
struct Remote {
    reads: Reads,
    pure: bool,
    asked: AtomicUsize,
    answer: Option<Answer>,
}

impl PolicyEngine for Remote {
    fn id(&self) -> &str {
        "r"
    }

    fn reads(&self) -> &Reads {
        &self.reads
    }

    fn limit(&self) -> Duration {
        Duration::from_millis(5)
    }

    fn decide(&self, _: &PolicyInput<'_>, _: Duration) -> Answer {
        panic!("it decides elsewhere")
    }

    fn ask(&self, _: &PolicyInput<'_>) -> Option<mcpg_sdk::policy::Asked> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Some(match self.answer.clone() {
            Some(answer) => Box::pin(async {
                tokio::task::yield_now().await;
                answer
            }),
            None => Box::pin(std::future::pending()),
        })
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn is_pure(&self) -> bool {
        self.pure
    }
}

fn remote(pure: bool, answer: Option<Answer>) -> Arc<Remote> {
    Arc::new(Remote { reads: reads(ReadSet::default()), pure, asked: AtomicUsize::new(0), answer })
}

#[test]
fn an_engine_that_decides_elsewhere_is_waited_for_until_its_limit() {
    assert_eq!(decided(&alone(remote(false, Some(permit("1", &[]))))), "permit [r:1]");
    assert_eq!(decided(&alone(remote(false, None))), "deny r policy_timeout []");
    let gone = EngineError::Unavailable { problem: "refused".to_owned() };
    assert_eq!(decided(&alone(remote(false, Some(Err(gone))))), "deny r policy_unavailable []");
}

#[test]
fn only_answers_that_are_functions_of_the_input_are_kept() {
    for (pure, asked) in [(true, 1), (false, 3)] {
        let engine = remote(pure, Some(permit("1", &[])));
        let chain = alone(engine.clone());
        for _ in 0..3 {
            assert_eq!(decided(&chain), "permit [r:1]");
        }
        assert_eq!(engine.asked.load(Ordering::Relaxed), asked);
    }
}

#[test]
fn a_shadow_is_recorded_and_decides_nothing() {
    let shadow = |label: &str, answer: Answer| Shadow { label: label.into(), engine: fixed("s", answer) };
    let failed = EngineError::Evaluation { policy: "p".to_owned(), problem: "overflow".to_owned() };
    let shadows = || {
        vec![
            shadow("next", forbid("x")),
            shadow("other", permit("y", &[("email", RedactMode::Mask)])),
            shadow("broken", Err(failed.clone())),
        ]
    };
    let chain = alone(fixed("a", permit("1", &[]))).shadowed_by(shadows());
    let verdict = now(chain.decide(&caller(), &call(&Scope::default()))).verdict;
    assert_eq!(show(&verdict), "permit [a:1]");
    let opinions: Vec<String> = verdict
        .shadow
        .iter()
        .map(|opinion| match &opinion.decision {
            Decision::Deny(reason) => format!("{} {}", opinion.engine, reason.code),
            other => format!("{} {other:?}", opinion.engine),
        })
        .collect();
    let [first, second, third] = &*opinions else { panic!("{opinions:?}") };
    assert_eq!((first.as_str(), third.as_str()), ("next forbidden", "broken policy_error"));
    assert!(second.starts_with("other PermitWithObligations"), "{second}");
    assert_eq!(chain.every_obligation(), None, "the deciding engine cannot tell; shadows are not asked");
    // Shadows alone permit nothing, and do not make a list or an approval depend on what they read.
    let shadows = PolicyChain::new(Vec::new(), CacheLimits::default())
        .shadowed_by(vec![Shadow { label: "s".into(), engine: Slow::new("s", Duration::ZERO, HOUR) }]);
    assert_eq!(decided(&shadows), "deny policy not_permitted []");
    assert_eq!(*shadows.reads(&call(&Scope::default())), ReadSet::default());
}

#[test]
fn a_decision_without_shadows_does_not_stand_for_one_with_them() {
    use super::super::super::Listed;
    let chain = alone(fixed("a", permit("1", &[])))
        .shadowed_by(vec![Shadow { label: "s".into(), engine: fixed("s", forbid("x")) }]);
    let scope = Scope::default();
    let listed = Listed { call: call(&scope), is_template: false };
    assert_eq!(now(chain.shown(&caller(), &[listed, listed])).items, [true, true]);
    let decided = now(chain.decide(&caller(), &call(&scope)));
    assert!(!decided.cached);
    assert_eq!(decided.verdict.shadow.len(), 1);
}

#[test]
fn a_list_decides_equal_things_once_and_is_not_settled_by_a_transient_error() {
    use super::super::super::Listed;
    let engine = remote(true, Some(permit("1", &[])));
    let scope = Scope::default();
    let listed = [Listed { call: call(&scope), is_template: false }; 3];
    let shown = now(alone(engine.clone()).shown(&caller(), &listed));
    assert_eq!((shown.items, shown.settled), (vec![true; 3], true));
    assert_eq!(engine.asked.load(Ordering::Relaxed), 1);
    let shown = now(alone(remote(true, None)).shown(&caller(), &listed));
    assert_eq!((shown.items, shown.settled), (vec![false; 3], false));
}
