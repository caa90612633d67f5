//! Whom the client dials, and whom it does not.

use super::server::{Server, answer};
use super::*;
use crate::net::{NetError, Phase};

/// A target that a name leads to; both the name and its addresses are for the test to say.
fn named(server: &Server, allowed: &[&str]) -> Target {
    let url = url(&format!("http://keys.test:{}/", server.address.port()));
    Target::configured(url, &allow(allowed), ClientTls::system().unwrap())
}

async fn ask(names: &Names, target: &Target) -> Result<Response, FetchError> {
    HttpClient::new(names.clone()).fetch(target, Request::get(), &bounds()).await
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_unless_allowed() {
    let server = Server::plain(answer("{}")).await;
    let names = Names::of(&[("keys.test", &[&["127.0.0.1"]])]);
    let refused = ask(&names, &named(&server, &[])).await.unwrap_err();
    let url = format!("http://keys.test:{}/", server.address.port());
    assert_eq!(
        refused.to_string(),
        format!(
            "cannot fetch `{url}`: `keys.test` is at 127.0.0.1, a loopback address, which is not dialled unless the \
             operator allows it: `allow_addresses: [127.0.0.1/32]`"
        )
    );
    assert_eq!(refused.problem.word(), "refused");
    assert_eq!(server.connections(), 0);
    assert_eq!(ask(&names, &named(&server, &["127.0.0.0/8"])).await.unwrap().body, "{}");
}

#[tokio::test]
async fn one_inner_address_refuses_the_name() {
    let server = Server::plain(answer("{}")).await;
    for answers in [["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "127.0.0.1"], ["127.0.0.1", "169.254.169.254"]] {
        let names = Names::of(&[("keys.test", &[&answers])]);
        let problem = problem(ask(&names, &named(&server, &["127.0.0.0/8", "169.254.0.0/16"])).await);
        assert!(matches!(problem, FetchProblem::Address(NetError::Refused { .. })), "{answers:?}: {problem}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn what_was_checked_is_what_is_dialled() {
    // The name answers with the allowed address once, and with that of another server ever after.
    let inside = Server::at("127.0.0.2:0", None, answer("inside")).await;
    let port = inside.address.port();
    let Ok(outside) = tokio::net::TcpListener::bind(("127.0.0.1", port)).await else { return };
    drop(outside);
    let outside = Server::at(&format!("127.0.0.1:{port}"), None, answer("outside")).await;
    let names = Names::of(&[("keys.test", &[&["127.0.0.1"], &["127.0.0.2"]])]);
    let target = named(&outside, &["127.0.0.1"]);
    assert_eq!(ask(&names, &target).await.unwrap().body, "outside");
    assert_eq!((names.asked(), outside.connections(), inside.connections()), (1, 1, 0));
    // The next fetch asks again, and is refused.
    assert!(matches!(problem(ask(&names, &target).await), FetchProblem::Address(NetError::Refused { .. })));
    assert_eq!((names.asked(), outside.connections(), inside.connections()), (2, 1, 0));
}

#[tokio::test]
async fn the_next_address_is_tried() {
    let server = Server::plain(answer("{}")).await;
    // Nobody listens at the first two.
    let names = Names::of(&[("keys.test", &[&["127.0.0.2", "::1", "127.0.0.1"]])]);
    let target = named(&server, &["127.0.0.0/8", "::1"]);
    assert_eq!(ask(&names, &target).await.unwrap().body, "{}");
    let names = Names::of(&[("keys.test", &[&["127.0.0.2"]])]);
    let problem = problem(ask(&names, &target).await);
    assert!(matches!(problem, FetchProblem::Connect { .. }), "{problem}");
}

#[tokio::test]
async fn cleartext_is_for_this_machine() {
    let names = Names::of(&[("keys.test", &[&["10.0.0.1"]]), ("both.test", &[&["127.0.0.1", "1.1.1.1"]])]);
    let client = HttpClient::new(names);
    for (text, allowed) in [
        ("http://keys.test/", "10.0.0.0/8"),
        ("http://10.0.0.1/", "10.0.0.0/8"),
        ("http://1.1.1.1/", "10.0.0.0/8"),
        ("http://both.test/", "127.0.0.0/8"),
    ] {
        let target = Target::configured(url(text), &allow(&[allowed]), ClientTls::system().unwrap());
        let problem = problem(client.fetch(&target, Request::get(), &bounds()).await);
        assert!(matches!(problem, FetchProblem::Cleartext { .. }), "{text}: {problem}");
    }
    let server = Server::plain(answer("{}")).await;
    let mut target = target(&format!("http://{}/", server.address));
    target.cleartext = Cleartext::Never;
    assert!(matches!(problem(get(&target, &bounds()).await), FetchProblem::Cleartext { .. }));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_name_without_an_address_is_not_found() {
    let client = HttpClient::new(Names::of(&[("empty.test", &[&[]])]));
    for (text, expected) in [
        ("https://gone.test/", "cannot look up `gone.test`: no such name"),
        ("https://empty.test/", "`empty.test` has no address"),
    ] {
        let problem = problem(client.fetch(&target(text), Request::get(), &bounds()).await);
        assert_eq!((problem.to_string().as_str(), problem.word()), (expected, "dns"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_never_answers_costs_the_deadline() {
    struct Silent;
    impl Lookup for Silent {
        fn addresses<'a>(&'a self, _: &'a str, _: u16) -> Addresses<'a> {
            Box::pin(std::future::pending())
        }
    }
    let problem =
        problem(HttpClient::new(Silent).fetch(&target("https://a.test/"), Request::get(), &bounds()).await);
    assert!(matches!(problem, FetchProblem::Timeout { phase: Phase::Lookup, .. }), "{problem}");
}
