//! Every route of every service, with what it takes to come in.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use e2e::{POSTBACK_TOKEN, STATS_TOKEN, System};
use serde_json::Value;
use testkit::binary;

use crate::contents::{self, Contents};
use crate::request::Request;

pub(crate) const ID: &str = "01981b1e-7a4c-7cc2-8f3e-0d9a5c1b2e4f";
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

/// In what form a route refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tongue {
    /// `application/problem+json`.
    Problem,
    /// A page for people.
    Page,
    /// Whatever it likes: for operators.
    Plain,
}

/// A route, and the way in.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) service: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) method: String,
    pub(crate) pattern: String,
    pub(crate) tongue: Tongue,
    credentials: Vec<(String, String)>,
    pub(crate) contents: Contents,
    /// The offer that is there.
    offer: String,
}

impl Door {
    /// Parameters of the path.
    pub(crate) fn parameters(&self) -> Vec<&str> {
        self.pattern.split('/').filter(|part| part.starts_with('{')).collect()
    }

    fn value(&self, parameter: &str) -> String {
        match parameter {
            "{queue}" => "email",
            "{network}" => "admitad",
            "{job}" => "expire-offers",
            "{name}" => "console.css",
            "{offer}" => &self.offer,
            "{token}" => POSTBACK_TOKEN,
            _ => ID,
        }
        .to_owned()
    }

    /// The path with one parameter replaced.
    pub(crate) fn path_with(&self, parameter: &str, value: &str) -> String {
        let part = |part: &str| match part {
            _ if part == parameter => value.to_owned(),
            _ if part.starts_with('{') => self.value(part),
            _ => part.to_owned(),
        };
        self.pattern.split('/').map(part).collect::<Vec<_>>().join("/")
    }

    /// A request with all that is needed and nothing in it.
    pub(crate) fn empty(&self) -> Request {
        let mut request = Request::new(&self.method, &self.path_with("", ""));
        for (name, value) in &self.credentials {
            request = request.header(name, value.as_bytes());
        }
        request
    }

    /// A request that is right.
    pub(crate) fn request(&self) -> Request {
        self.contents.fill(self.empty())
    }
}

/// Whoever may do everything: tokens for the API, a session of each role.
pub(crate) struct Keys {
    pub(crate) tokens: Vec<String>,
    /// Role, cookie, token of forms.
    pub(crate) people: Vec<(&'static str, String, String)>,
}

/// All of them. Fetches the API's description.
pub(crate) async fn all(system: &mut System, keys: &Keys) -> Vec<Door> {
    let offer = system.cast.offer.to_string();
    let door = |service, at: &str, method: &str, pattern: &str, tongue| Door {
        service,
        address: at.trim_start_matches("http://").parse().expect("an address"),
        method: method.to_owned(),
        pattern: pattern.to_owned(),
        tongue,
        credentials: vec![("User-Agent".to_owned(), BROWSER.to_owned())],
        contents: Contents::Nothing,
        offer: offer.clone(),
    };
    let mut doors = Vec::new();

    let at = system.at("redirector", "");
    for method in ["GET", "HEAD"] {
        let mut out = door("redirector", &at, method, "/out/{offer}", Tongue::Page);
        out.contents = Contents::query(&[("to", "https://www.example.in/"), ("t", "x.y.z"), ("token", "x")]);
        doors.push(out);
    }
    let mut stats = door("redirector", &at, "GET", "/stats", Tongue::Plain);
    stats.credentials.push(("Authorization".to_owned(), format!("Bearer {STATS_TOKEN}")));
    doors.push(stats);

    let at = system.at("webhooks", "");
    for (method, pattern, contents) in contents::webhooks() {
        let mut hook = door("webhooks", &at, method, pattern, Tongue::Problem);
        hook.contents = contents;
        doors.push(hook);
    }
    for method in ["GET", "POST"] {
        doors.push(door("webhooks", &at, method, "/unsubscribe/{id}", Tongue::Problem));
    }

    let at = system.at("admin", "");
    let description: Value =
        testkit::http().get(format!("{at}/api/v1/openapi.json")).send().await.unwrap().json().await.unwrap();
    for (number, route) in console_routes().iter().enumerate() {
        let text = |field: &str| route[field].as_str().unwrap();
        let is_api = text("path").starts_with("/api/");
        let tongue = if is_api || text("path") == "/ws" { Tongue::Problem } else { Tongue::Page };
        let mut console = door("admin", &at, text("method"), text("path"), tongue);
        if is_api {
            let token = &keys.tokens[number % keys.tokens.len()];
            console.credentials.push(("Authorization".to_owned(), format!("Bearer {token}")));
            console.contents = Contents::described(&description, &console.pattern, &console.method);
        } else {
            let may = |role: &str| route["roles"].as_array().unwrap().iter().any(|allowed| allowed == role);
            let (_, cookie, csrf) =
                keys.people.iter().find(|(role, ..)| may(role)).unwrap_or_else(|| keys.people.first().unwrap());
            // Who logs out is out.
            let cookie = if text("path") == "/admin/logout" { "console=void" } else { cookie.as_str() };
            console.credentials.push(("Cookie".to_owned(), cookie.to_owned()));
            console.credentials.push(("Sec-Fetch-Site".to_owned(), "same-origin".to_owned()));
            console.contents = Contents::of_console(&console.method, &console.pattern, csrf);
        }
        doors.push(console);
    }

    for (service, running) in system.services() {
        for path in ["/healthz", "/readyz", "/metrics"] {
            doors.push(door(service, running.ops(), "GET", path, Tongue::Plain));
        }
    }
    doors
}

/// The console's own table.
pub(crate) fn console_routes() -> Vec<Value> {
    let output = Command::new(binary("admin")).arg("routes").stdin(Stdio::null()).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    text.lines().filter(|line| line.contains("\"path\"")).map(|line| serde_json::from_str(line).unwrap()).collect()
}
