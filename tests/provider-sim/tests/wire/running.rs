//! A running simulator, a server that receives its webhooks, and a way to wait for a state.

#![expect(clippy::disallowed_methods, reason = "the test asks the binary from outside, with a client of its own")]

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

/// How long a state may take to come.
const PATIENCE: Duration = Duration::from_secs(15);

/// A simulator in a process of its own, killed when dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) base: String,
    pub(crate) http: Client,
}

impl Running {
    /// Starts one with further arguments.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        // The first test to come installs it, the others find it there.
        let _present = rustls::crypto::ring::default_provider().install_default();
        let mut child = Command::new(env!("CARGO_BIN_EXE_provider-sim"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the simulator starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a piped stdout")).read_line(&mut line).expect("a line on stdout");
        let address = line.trim().strip_prefix("listening on ").expect("the address").to_owned();
        let http = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(20))
            .build()
            .expect("a client");
        Self { child, base: format!("http://{address}"), http }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    /// A control call that must succeed.
    pub(crate) async fn control(&self, path: &str, body: Value) -> Value {
        let response = self.post(&format!("/_sim/{path}")).json(&body).send().await.expect("an answer");
        let status = response.status();
        let text = response.text().await.expect("a body");
        assert!(status.is_success(), "{path} gave {status}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// A control call that is read.
    pub(crate) async fn look(&self, path: &str) -> Value {
        json(self.get(&format!("/_sim/{path}")).send().await.expect("an answer")).await
    }

    /// Ends it with SIGTERM and returns the exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        let killed = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill runs");
        assert!(killed.success());
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
    }
}

/// The body of an answer as JSON.
pub(crate) async fn json(response: Response) -> Value {
    let text = response.text().await.expect("a body");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("not JSON ({error}): {text}"))
}

/// Our side: takes webhooks and answers them with `status`.
pub(crate) async fn receiver(status: u16) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(status)).mount(&server).await;
    server
}

/// Waits until the receiver has `count` requests, and returns all it has by then.
pub(crate) async fn received(server: &MockServer, count: usize) -> Vec<Request> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let requests = server.received_requests().await.unwrap_or_default();
        if requests.len() >= count {
            return requests;
        }
        assert!(Instant::now() < deadline, "{} of {count} webhooks came", requests.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until what `path` shows satisfies `good`.
pub(crate) async fn until(sim: &Running, path: &str, good: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let shown = sim.look(path).await;
        if good(&shown) {
            return shown;
        }
        assert!(Instant::now() < deadline, "{path} did not become as wished: {shown}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A header of a received request.
pub(crate) fn header<'a>(request: &'a Request, name: &str) -> &'a str {
    request.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

/// The query of a received request.
pub(crate) fn query(request: &Request) -> std::collections::HashMap<String, String> {
    request.url.query_pairs().into_owned().collect()
}
