//! A running console with everything around it, and people and programs who use it.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::job::Queue;
use domain::jobs::payment::StartPayout;
use kv::Kv;
use queue::{Handler, JobContext, JobError, Outcome, Worker};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use store::Pool;
use testkit::{Database, Redis, Service, binary};
use tokio_util::sync::CancellationToken;

pub(crate) const SOON: Duration = Duration::from_secs(20);
pub(crate) const PASSWORD: &str = "correct horse battery";
/// A token with every scope.
pub(crate) const TOKEN: &str = "a-token-for-tests-with-every-scope";

pub(crate) struct Stage {
    pub(crate) service: Service,
    pub(crate) pool: Pool,
    pub(crate) kv: Kv,
    pub(crate) database: Database,
    redis: Redis,
    people: tempfile::TempDir,
}

impl Stage {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With these settings besides.
    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> Self {
        let (database, redis) = (Database::start().await, Redis::start());
        let (url, redis_url) = (database.url(), redis.url());
        let kv = testkit::kv(&redis_url);
        let service = launch(&url, &redis_url, settings).await;
        let pool = database.pool();
        let stage = Self { service, pool, kv, database, redis, people: tempfile::tempdir().unwrap() };
        stage.token("everything", TOKEN, &[]).await;
        stage
    }

    /// Another replica.
    pub(crate) async fn replica(&self, settings: &[(&str, &str)]) -> Service {
        launch(&self.database.url(), &self.redis.url(), settings).await
    }

    /// The service that works webhooks off.
    pub(crate) fn webhooks(&self) -> Service {
        let (url, redis_url) = (self.database.url(), self.redis.url());
        let environment = [
            ("DATABASE_URL", url.as_str()),
            ("REDIS_URL", redis_url.as_str()),
            ("WEBHOOK_SOURCES", "razorpay"),
            ("RAZORPAY_WEBHOOK_SECRET", "synthetic-webhook-secret"),
        ];
        Service::start("webhooks", &environment)
    }

    /// Makes a token valid for these scopes, or for all.
    pub(crate) async fn token(&self, name: &str, token: &str, scopes: &[&str]) {
        let mut all: Vec<String> =
            routes().iter().filter_map(|route| route["scope"].as_str().map(str::to_owned)).collect();
        all.sort();
        all.dedup();
        let scopes: Vec<String> =
            if scopes.is_empty() { all } else { scopes.iter().map(ToString::to_string).collect() };
        let client = self.pool.get().await.unwrap();
        store::api_tokens::upsert(&client, name, token, &scopes, "test").await.unwrap();
    }

    /// Adds a person by the command line.
    pub(crate) fn add_person(&self, email: &str, role: &str) {
        let file = self.people.path().join(role);
        std::fs::write(&file, PASSWORD).unwrap();
        let output = Command::new(binary("admin"))
            .env("DATABASE_URL", self.database.url())
            .args(["create-user", email, "--role", role, "--name", "Asha Operator", "--password-file"])
            .arg(&file)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// A person of this role, logged in.
    pub(crate) async fn person(&self, role: &str) -> Person {
        let email = format!("{role}@example.in");
        self.add_person(&email, role);
        self.log_in(&email).await
    }

    /// Logs in somebody who was added before.
    pub(crate) async fn log_in(&self, email: &str) -> Person {
        let answer = self.try_log_in(email, PASSWORD).await;
        assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let mut person = Person { base: self.service.http().to_owned(), cookie, csrf: String::new() };
        let page = person.get("/admin/workers").await;
        let token_at = page.find("name=\"csrf\" value=\"").expect("a form with a token");
        person.csrf = page[token_at..].split('"').nth(3).unwrap().into();
        person
    }

    pub(crate) async fn try_log_in(&self, email: &str, password: &str) -> Response {
        let form = [("email", email), ("password", password)];
        testkit::http().post(format!("{}/admin/login", self.service.http())).form(&form).send().await.unwrap()
    }

    /// A call to the API with the token for everything.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let request =
            testkit::http().request(method, format!("{}/api/v1{path}", self.service.http())).bearer_auth(TOKEN);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// What was written down, the newest first: action, target, reason.
    pub(crate) async fn audit(&self) -> Vec<(String, String, String)> {
        let client = self.pool.get().await.unwrap();
        let newest = domain::ids::AuditId::generate();
        let lines = store::audit::list(&client, newest, "", "", 100).await.unwrap();
        lines.into_iter().map(|line| (line.action, line.target, line.reason)).collect()
    }
}

async fn launch(url: &str, redis_url: &str, settings: &[(&str, &str)]) -> Service {
    let mut environment = vec![
        ("DATABASE_URL", url),
        ("REDIS_URL", redis_url),
        ("CONSOLE_SECURE_COOKIES", "false"),
        ("HTTP_WORKERS", "2"),
    ];
    environment.extend(settings);
    let service = Service::start("admin", &environment);
    service.ready().await;
    service
}

/// Somebody with a session.
pub(crate) struct Person {
    pub(crate) base: String,
    pub(crate) cookie: String,
    pub(crate) csrf: String,
}

impl Person {
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        testkit::http().request(method, format!("{}{path}", self.base)).header("cookie", &self.cookie)
    }

    /// A page, as text.
    pub(crate) async fn get(&self, path: &str) -> String {
        let answer = self.request(Method::GET, path).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert_eq!(status, 200, "{path}: {text}");
        text
    }

    /// Sends a form as our page would.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        let mut form = vec![("csrf", self.csrf.as_str())];
        form.extend(fields);
        self.request(Method::POST, path).header("sec-fetch-site", "same-origin").form(&form).send().await.unwrap()
    }

    /// Sends a form and follows to the page after it.
    pub(crate) async fn act(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let answer = self.post(path, fields).await;
        let status = answer.status();
        let location = answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
        assert_eq!(status, 303, "{path}: {}", answer.text().await.unwrap());
        self.get(&location.unwrap()).await
    }
}

/// The table of routes.
pub(crate) fn routes() -> Vec<Value> {
    let output = Command::new(binary("admin")).arg("routes").output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|line| line.contains("\"path\"")).map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A worker of the queue `payments` that fails for good until it is mended.
pub(crate) struct Payouts {
    mended: Arc<AtomicBool>,
    shutdown: CancellationToken,
}

#[derive(Clone)]
struct Fragile(Arc<AtomicBool>);

impl Handler<StartPayout> for Fragile {
    async fn handle(&self, _job: StartPayout, _context: JobContext) -> Outcome {
        if self.0.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err(JobError::Fail(anyhow::anyhow!("the bank refused asha@example.in with the number 919800000001")))
        }
    }
}

impl Payouts {
    pub(crate) fn start(stage: &Stage) -> Self {
        let mended = Arc::new(AtomicBool::new(false));
        let worker = Worker::builder(stage.kv.clone(), "payouts")
            .queue(Queue::Payments, 8)
            .register(Fragile(mended.clone()))
            .build()
            .unwrap();
        let shutdown = CancellationToken::new();
        let token = shutdown.clone();
        tokio::spawn(async move { worker.run(token).await.unwrap() });
        Self { mended, shutdown }
    }

    pub(crate) fn mend(&self) {
        self.mended.store(true, Ordering::Relaxed);
    }
}

impl Drop for Payouts {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}
