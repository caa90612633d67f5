//! PostgreSQL stands still for a while, in the middle of everything: nothing is lost, nothing is done twice, and gateways serve all the time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mcpg_tests::{ControlPlane, Fixture, Gateway, Wire, until};
use serde_json::json;

use super::control_plane::{
    ENVIRONMENT, NO_ECHO, PERMIT, configure, echo, gateway_at, is, known, publish, set_policy,
};
use super::fleet::{LOST, applied, heard, said};

/// As long as the publisher and who looks at `/readyz` wait, one after the other. `MCPG_STALL_SECONDS` says longer.
const STALL: Duration = Duration::from_secs(20);

fn stall() -> Duration {
    let seconds = std::env::var("MCPG_STALL_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    seconds.map_or(STALL, Duration::from_secs)
}

#[test]
fn a_database_stands_still_while_everybody_speaks() {
    let fixture = Fixture::start();
    let mut cp = ControlPlane::on_postgres();
    configure(&cp, &fixture.url(), PERMIT);
    publish(&cp);
    let wire = Wire::to(cp.address());
    let gateways = ["gw-1", "gw-2", "gw-3"].map(|name| gateway_at(&wire.url(), &cp, name).start());
    gateways.iter().for_each(|gateway| is(gateway, 200));
    heard(&cp, 1, 3);

    // All run the next revision, and have not been heard.
    wire.mute();
    set_policy(&cp, NO_ECHO);
    assert_eq!(publish(&cp), 2);
    gateways.iter().for_each(|gateway| is(gateway, 403));
    let outages = gateways.each_ref().map(|gateway| said(gateway, LOST));
    let (path, key) = (format!("{ENVIRONMENT}/revisions/1/rollback"), [("Idempotency-Key", "stalled")]);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let call = |gateway: &Gateway| {
            let mut calls = 0;
            while !over.load(Ordering::SeqCst) {
                assert_eq!(echo(gateway), 403, "it goes on");
                calls += 1;
            }
            calls
        };
        let callers = gateways.each_ref().map(|gateway| scope.spawn(move || call(gateway)));
        let begun = Instant::now();
        cp.postgres().unwrap().freeze(true);
        // Now they say so, and how they are, and somebody publishes.
        wire.mend();
        let asked = cp.ask("POST", &path, &key, &json!({}));
        let readiness = cp.readiness();
        std::thread::sleep(stall().saturating_sub(begun.elapsed()));
        let in_force = gateways.each_ref().map(applied);
        let stood_still = begun.elapsed();
        cp.postgres().unwrap().freeze(false);
        over.store(true, Ordering::SeqCst);
        assert_eq!((asked.status, readiness), (503, 503), "{}", asked.text());
        assert!(in_force.iter().all(|numbers| *numbers == [1, 2]), "{in_force:?}");
        let calls: u64 = callers.into_iter().map(|caller| caller.join().unwrap()).sum();
        println!("stood still for {:.1} s, {calls} calls meanwhile", stood_still.as_secs_f64());
        assert!(calls > 0);
    });

    until("it should be ready", || (cp.readiness() == 200).then_some(()));
    heard(&cp, 2, 3);
    let number = until("the publisher should get an answer", || {
        let asked = cp.ask("POST", &path, &key, &json!({}));
        (asked.status == 201).then(|| asked.json()["number"].clone())
    });
    assert_eq!(number, 3);
    gateways.iter().for_each(|gateway| is(gateway, 200));
    heard(&cp, 3, 3);
    for (gateway, before) in gateways.iter().zip(outages) {
        assert_eq!(applied(gateway), [1, 2, 3]);
        assert_eq!(
            said(gateway, LOST),
            before + 1,
            "its stream was cut with the wire, and stayed open from then on"
        );
    }
    for name in ["gw-1", "gw-2", "gw-3"] {
        assert_eq!(
            (&known(&cp, name)["status"], &known(&cp, name)["applied"]),
            (&json!("online"), &json!(3))
        );
    }
}
