//! Redirects: none, unless asked for; then each like a first request.

use super::server::{Server, answer, moved};
use super::*;
use crate::net::NetError;

fn following() -> Bounds {
    Bounds { redirects_max: 3, ..bounds() }
}

async fn follow(
    status: u16,
    to: &str,
    request: Request,
    bounds: &Bounds,
) -> (Result<Response, FetchError>, Server) {
    let server = Server::plain(moved(status, to)).await;
    let target = target(&format!("http://{}/", server.address));
    (HttpClient::default().fetch(&target, request, bounds).await, server)
}

#[tokio::test]
async fn none_is_followed_unless_asked_for() {
    for status in [301, 302, 303, 307, 308] {
        let to = "http://169.254.169.254/latest/meta-data?hunter2";
        let (fetched, _server) = follow(status, to, Request::get(), &bounds()).await;
        assert_eq!(
            problem(fetched).to_string(),
            "it redirects to `http://169.254.169.254/latest/meta-data`, and that is not followed: configure the URL where \
             the answer is"
        );
    }
}

#[tokio::test]
async fn a_redirect_inside_is_refused_where_the_first_request_would_be() {
    for (to, address) in [
        ("http://169.254.169.254/latest/meta-data", "169.254.169.254"),
        ("http://[::ffff:169.254.169.254]/", "::ffff:169.254.169.254"),
        ("http://0x7f000002/", "127.0.0.2"),
        ("//10.0.0.1/", "10.0.0.1"),
        ("https://192.168.0.1/", "192.168.0.1"),
        // The same address that the operator has written, but another port: nobody has written that.
        ("http://127.0.0.1:1/", "127.0.0.1"),
    ] {
        let (fetched, _server) = follow(302, to, Request::get(), &following()).await;
        match problem(fetched) {
            FetchProblem::Address(NetError::Refused { address: found, .. }) => {
                assert_eq!(found.to_string(), address, "{to}");
            }
            other => panic!("{to}: {other}"),
        }
    }
}

#[tokio::test]
async fn what_is_no_url_to_be_fetched_is_not_followed() {
    for to in ["file:///etc/passwd", "ftp://a/", "http://user:hunter2@a/", "http://a\\b", "http://:0/"] {
        let (fetched, _server) = follow(302, to, Request::get(), &following()).await;
        let shown = problem(fetched).to_string();
        assert_eq!(shown, "it redirects to `something that is no URL`, which cannot be followed", "{to}");
    }
}

#[tokio::test]
async fn a_loop_ends_and_nothing_is_sent_twice() {
    let (fetched, server) = follow(302, "/", Request::get(), &following()).await;
    assert!(matches!(problem(fetched), FetchProblem::Redirect { .. }));
    assert_eq!(server.connections(), 4);
    for status in [302, 307] {
        let request = Request::post("application/json", "{}");
        let (fetched, server) = follow(status, "/b", request, &following()).await;
        assert!(problem(fetched).to_string().ends_with("and nothing is sent twice"));
        assert_eq!(server.connections(), 1);
    }
}

#[tokio::test]
async fn credentials_stay_with_their_origin() {
    let other = Server::plain(answer("there")).await;
    let first = Server::plain(moved(302, &format!("http://{}/", other.address))).await;
    let mut target = target(&format!("http://{}/", first.address));
    target.policy = AddressPolicy::public_and(&allow(&["127.0.0.1"]));
    let mut request = Request::get();
    for name in ["authorization", "cookie", "x-api-key", "accept"] {
        request = request.with(name.parse().unwrap(), "hunter2".parse().unwrap());
    }
    let response = HttpClient::default().fetch(&target, request, &following()).await.unwrap();
    assert_eq!(response.body, "there");
    assert_eq!(first.head().matches("hunter2").count(), 4);
    assert_eq!(other.head().matches("hunter2").count(), 1);
    assert!(other.head().contains("accept: hunter2"));
}
