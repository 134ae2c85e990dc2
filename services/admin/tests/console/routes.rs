//! Every route with every role.

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::stage::{Person, Stage, TOKEN, routes};

const ID: &str = "01981b1e-7a4c-7cc2-8f3e-0d9a5c1b2e4f";

fn concrete(pattern: &str) -> String {
    pattern
        .replace("{queue}", "email")
        .replace("{name}", "console.css")
        .replace("{network}", "admitad")
        .replace("{job}", "expire-offers")
        .replace("{id}", ID)
}

fn text<'a>(route: &'a Value, field: &str) -> &'a str {
    route[field].as_str().unwrap()
}

async fn visit(person: &Person, route: &Value, with_token: bool, site: &str) -> StatusCode {
    let method: Method = text(route, "method").parse().unwrap();
    let is_get = method == Method::GET;
    let mut request = person.request(method, &concrete(text(route, "path"))).header("sec-fetch-site", site);
    if !is_get {
        let csrf = if with_token { person.csrf.as_str() } else { "guessed" };
        request = request.form(&[("csrf", csrf)]);
    }
    let answer = request.send().await.unwrap();
    let to_login = answer.headers().get("location").is_some_and(|to| to.to_str().unwrap().starts_with("/admin/login"));
    if answer.status() == 303 && to_login { StatusCode::UNAUTHORIZED } else { answer.status() }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_lets_in_whom_its_rule_names_and_nobody_else() {
    let stage = Stage::start().await;
    let base = stage.service.http().to_owned();
    let stranger = Person { base, cookie: "console=guessed".to_owned(), csrf: "guessed".to_owned() };
    let people = [
        ("viewer", stage.person("viewer").await),
        ("operator", stage.person("operator").await),
        ("finance", stage.person("finance").await),
    ];
    let pages: Vec<Value> = routes().into_iter().filter(|route| !text(route, "path").starts_with("/api/")).collect();
    assert!(pages.len() > 15, "{} pages", pages.len());
    for route in &pages {
        let (method, path) = (text(route, "method"), text(route, "path"));
        let is_stream = path.contains("/live") || path == "/ws";
        if route["anyone"] == true {
            assert!(method == "GET" || path == "/admin/login", "{method} {path} is open to everybody");
            continue;
        }
        let roles: Vec<&str> = route["roles"].as_array().unwrap().iter().map(|role| role.as_str().unwrap()).collect();
        if roles.is_empty() {
            assert!(is_stream, "{method} {path} has no rule");
            continue;
        }
        assert_eq!(visit(&stranger, route, true, "same-origin").await, 401, "{method} {path} for a stranger");
        for (role, person) in &people {
            let status = if is_stream || path == "/admin/logout" {
                continue;
            } else {
                visit(person, route, true, "same-origin").await
            };
            if roles.contains(role) {
                assert!(
                    status != 401 && status != 403 && status != 405 && !status.is_server_error(),
                    "{method} {path} for {role}: {status}"
                );
                if method != "GET" {
                    assert_eq!(
                        visit(person, route, false, "same-origin").await,
                        403,
                        "{method} {path} without the token"
                    );
                    assert_eq!(
                        visit(person, route, true, "cross-site").await,
                        403,
                        "{method} {path} from another site"
                    );
                    assert_eq!(
                        visit(person, route, true, "same-site").await,
                        403,
                        "{method} {path} from a sister site"
                    );
                }
            } else {
                assert_eq!(status, 403, "{method} {path} for {role}");
            }
        }
    }
    assert_eq!(people[0].1.request(Method::GET, "/admin/nowhere").send().await.unwrap().status(), 404);
    assert_eq!(people[0].1.request(Method::DELETE, "/admin/workers").send().await.unwrap().status(), 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_needs_a_token_with_its_scope() {
    let stage = Stage::start().await;
    let calls: Vec<Value> = routes().into_iter().filter(|route| text(route, "path").starts_with("/api/")).collect();
    assert!(calls.len() > 10, "{} calls", calls.len());
    let client = testkit::http();
    for route in &calls {
        let (method, path) = (text(route, "method"), concrete(text(route, "path")));
        let request = |token: Option<&str>| {
            let request = client.request(method.parse().unwrap(), format!("{}{path}", stage.service.http()));
            match token {
                Some(token) => request.bearer_auth(token),
                None => request,
            }
        };
        let Some(scope) = route["scope"].as_str() else {
            assert_eq!(path, "/api/v1/openapi.json");
            assert_eq!(request(None).send().await.unwrap().status(), 200);
            continue;
        };
        for void in [None, Some("a-token-that-nobody-was-given")] {
            let answer = request(void).send().await.unwrap();
            assert_eq!(answer.status(), 401, "{method} {path}");
            assert_eq!(answer.headers()["content-type"], "application/problem+json");
        }
        let others: Vec<&str> =
            calls.iter().filter_map(|route| route["scope"].as_str()).filter(|other| *other != scope).collect();
        let token = format!("a-token-for-all-but-{scope}");
        stage.token(&token, &token, &others).await;
        let answer = request(Some(&token)).send().await.unwrap();
        assert_eq!(answer.status(), 403, "{method} {path}");
        assert_eq!(answer.json::<Value>().await.unwrap()["type"], "missing-scope");
        let answer = request(Some(TOKEN)).send().await.unwrap();
        let status = answer.status();
        assert!(status != 401 && status != 403 && !status.is_server_error(), "{method} {path}: {status}");
        if !status.is_success() {
            assert_eq!(answer.headers()["content-type"], "application/problem+json", "{method} {path}: {status}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_cannot_be_framed_and_run_no_foreign_or_inline_code() {
    let stage = Stage::start().await;
    let person = stage.person("viewer").await;
    for path in ["/admin/login", "/admin/workers", "/admin/queues/email/dead", "/admin/nowhere"] {
        let answer = person.request(Method::GET, path).send().await.unwrap();
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.headers()["x-frame-options"], "DENY");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let page = answer.text().await.unwrap();
        assert!(!page.contains("style=") && !page.contains("onclick") && !page.contains("<style"), "{path}");
        assert_eq!(page.matches("<script").count(), page.matches("<script src=\"/admin/assets/").count(), "{path}");
    }
}
