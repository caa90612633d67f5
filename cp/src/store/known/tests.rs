//! What is known, and for how long.

use super::*;
use crate::store::{EnvironmentId, Labels, OrgId, SystemClock};

const KEY: [u8; 32] = [1; 32];

fn gateway(environment: &EnvironmentId) -> Arc<Gateway> {
    Arc::new(Gateway {
        org_id: OrgId::new(&SystemClock),
        id: GatewayId::new(&SystemClock),
        environment_id: environment.clone(),
        name: "gw".to_owned(),
        public_key: KEY,
        labels: Labels::new(),
        software: "1".to_owned(),
        status: None,
        last_seen_at: None,
        applied_revision: None,
        terms: None,
        enrolled_by: String::new(),
        created_at: 0,
        retired_at: None,
    })
}

fn environment() -> EnvironmentId {
    EnvironmentId::new(&SystemClock)
}

/// A cache, and a time that goes on as it is told.
struct Bench {
    known: KnownGateways,
    now: Instant,
}

impl Bench {
    fn new(room: usize) -> Self {
        Self { known: KnownGateways::with_room_for(room), now: Instant::now() }
    }

    fn advance(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    fn moment(&self, gateway: &Gateway) -> Moment {
        self.known.get(&gateway.id, self.now).unwrap_err()
    }

    fn learn(&self, gateway: &Arc<Gateway>) {
        self.known.keep(gateway, self.moment(gateway), self.now);
    }

    fn knows<const N: usize>(&self, gateways: [&Arc<Gateway>; N]) -> [bool; N] {
        gateways.map(|gateway| self.known.get(&gateway.id, self.now).is_ok())
    }
}

#[test]
fn what_was_seen_is_believed_for_a_while() {
    let (mut bench, one) = (Bench::new(9), gateway(&environment()));
    bench.learn(&one);
    bench.advance(29_999);
    assert_eq!(bench.knows([&one]), [true]);
    bench.advance(1);
    // It counts from when the look began, not from when it ended.
    let moment = bench.moment(&one);
    bench.advance(20_000);
    bench.known.keep(&one, moment, bench.now);
    assert_eq!(bench.knows([&one]), [true]);
    bench.advance(10_000);
    assert_eq!(bench.knows([&one]), [false]);
}

#[test]
fn what_is_forgotten_while_it_is_looked_up_is_not_kept() {
    let (bench, one) = (Bench::new(9), gateway(&environment()));
    type Forgets = fn(&KnownGateways, &GatewayId);
    let forgets: [Forgets; 2] = [KnownGateways::forget, |known, _| known.forget_all()];
    for forget in forgets {
        bench.learn(&one);
        forget(&bench.known, &one.id);
        let moment = bench.moment(&one);
        forget(&bench.known, &one.id);
        bench.known.keep(&one, moment, bench.now);
        assert_eq!(bench.knows([&one]), [false], "it was found before it was forgotten");
    }
}

#[test]
fn a_look_at_an_environment_confirms_who_is_live_there() {
    let (mut bench, prod) = (Bench::new(9), environment());
    let [one, retired, changed, late] = [(); 4].map(|()| gateway(&prod));
    let elsewhere = gateway(&environment());
    for gateway in [&one, &retired, &changed, &elsewhere] {
        bench.learn(gateway);
    }
    bench.advance(20_000);
    let seen = bench.now;
    let live = HashMap::from([(one.id.clone(), KEY), (changed.id.clone(), [2; 32])]);
    bench.advance(1000);
    // It enrolled after the look.
    bench.learn(&late);
    bench.known.confirm(&live, &prod, seen);
    let who = [&one, &retired, &changed, &elsewhere, &late];
    assert_eq!(bench.knows(who), [true, false, false, true, true]);
    bench.advance(28_000);
    assert_eq!(bench.knows(who), [true, false, false, false, true]);
    // Who was not known does not become so.
    bench.known.forget(&one.id);
    bench.known.confirm(&live, &prod, bench.now);
    assert_eq!(bench.knows([&one]), [false]);
}

#[test]
fn there_is_room_for_so_many() {
    let (mut bench, prod) = (Bench::new(2), environment());
    let [one, two, three] = [(); 3].map(|()| gateway(&prod));
    for gateway in [&one, &two, &three] {
        bench.learn(gateway);
    }
    assert_eq!(bench.knows([&one, &two, &three]), [true, true, false]);
    bench.advance(30_000);
    bench.learn(&three);
    assert_eq!(bench.knows([&one, &two, &three]), [false, false, true]);
    assert_eq!(bench.known.lock().gateways.len(), 1);
}
