//! Chromium by its own driver, and what a person does in it.

use std::process::Command;
use std::time::{Duration, Instant};

use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::key::Key;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use reqwest::Url;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Process, eventually, eventually_true};

/// How long a page may take to show what it must.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// How a page is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Light,
    Dark,
    Phone,
}

impl Look {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
            Self::Phone => "phone",
        }
    }
}

/// A browser with one window.
pub(crate) struct Browser {
    client: Client,
    base: String,
    _driver: Process,
    _profile: Profile,
}

/// What Chromium keeps on disk. It outlives its driver by a moment and writes until then, so its end is awaited.
struct Profile(TempDir);

impl Profile {
    fn is_in_use(&self) -> bool {
        let folder = self.0.path().to_string_lossy();
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let mut lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
        lines.any(|line| String::from_utf8_lossy(&line).contains(&*folder))
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        let end = Instant::now() + SOON;
        while self.is_in_use() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Browser {
    /// Starts one for the console at `base`.
    pub(crate) async fn open(base: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new("chromedriver");
        let mut driver = Process::start("chromedriver", command.arg("--port=0").env("TMPDIR", profile.path()));
        let address = driver.wait_for_line("its port", SOON, |line| {
            let port = line.strip_prefix("ChromeDriver was started successfully on port ")?;
            Some(format!("http://127.0.0.1:{}", port.trim_end_matches('.')))
        });
        let folder = format!("--user-data-dir={}/profile", profile.path().display());
        // By the pipe, Chromium ends with its driver, however that ends.
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--remote-debugging-pipe",
            "--hide-scrollbars",
            // Pages that glide move under the pointer.
            "--force-prefers-reduced-motion",
            "--lang=en-IN",
            "--window-size=1280,900",
            &folder,
        ];
        let wishes = json!({ "browserName": "chrome", "goog:chromeOptions": { "args": arguments } });
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(wishes.as_object().unwrap().clone())
            .connect(&address)
            .await
            .expect("Chromium starts");
        Self { client, base: base.to_owned(), _driver: driver, _profile: Profile(profile) }
    }

    /// Logs in by the form.
    pub(crate) async fn log_in(&self, email: &str, password: &str) {
        self.client.delete_all_cookies().await.unwrap();
        self.visit("/admin/login").await;
        self.fill("form", &[("email", email), ("password", password)]).await;
        self.sees("Workers").await;
    }

    /// Goes to a page.
    pub(crate) async fn visit(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.base)).await.unwrap();
    }

    /// Where it is.
    pub(crate) async fn path(&self) -> String {
        let url = self.client.current_url().await.unwrap();
        url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
    }

    /// What can be read on the page.
    pub(crate) async fn text(&self) -> String {
        self.run("return document.body.innerText").await.as_str().unwrap().to_owned()
    }

    /// Waits until these words are on the page.
    pub(crate) async fn sees(&self, words: &str) {
        eventually_true(&format!("{words:?} in the browser"), SOON, async || self.text().await.contains(words)).await;
    }

    /// Loads the page again until these words are on it.
    pub(crate) async fn finds(&self, words: &str) {
        eventually_true(&format!("{words:?} on the page"), SOON, async || {
            let found = self.text().await.contains(words);
            if !found {
                self.client.refresh().await.unwrap();
            }
            found
        })
        .await;
    }

    /// Loads the page again until these words are not on it any more.
    pub(crate) async fn loses(&self, words: &str) {
        eventually_true(&format!("no {words:?} on the page"), SOON, async || {
            let is_there = self.text().await.contains(words);
            if is_there {
                self.client.refresh().await.unwrap();
            }
            !is_there
        })
        .await;
    }

    /// Waits until what `css` means reads so.
    pub(crate) async fn reads(&self, css: &str, text: &str) {
        let script = format!("return document.querySelector({})?.innerText.trim() ?? ''", json!(css));
        eventually_true(&format!("{css} reads {text:?}"), SOON, async || self.run(&script).await == text).await;
    }

    /// Whether there is such an element.
    pub(crate) async fn has(&self, css: &str) -> bool {
        !self.client.find_all(Locator::Css(css)).await.unwrap().is_empty()
    }

    /// Presses a link or a button, as soon as it is there: the page that has it may still be on its way.
    pub(crate) async fn press(&self, css: &str) {
        eventually_true(&format!("{css} can be pressed"), SOON, async || {
            match self.client.find(Locator::Css(css)).await {
                Ok(found) => found.click().await.is_ok(),
                Err(_not_there) => false,
            }
        })
        .await;
    }

    /// Types into the fields of a form by their names and presses its button.
    pub(crate) async fn fill(&self, form: &str, fields: &[(&str, &str)]) {
        for (name, text) in fields {
            let css = format!("{form} [name={name}]");
            let find = async || self.client.find(Locator::Css(&css)).await.ok();
            eventually(&format!("{css} is there"), SOON, find).await.send_keys(text).await.unwrap();
        }
        self.press(&format!("{form} button")).await;
    }

    /// Sends the form that does what `action` ends with, saying why.
    pub(crate) async fn act(&self, action: &str, reason: &str) {
        self.fill(&format!("form[action$='{action}']"), &[("reason", reason)]).await;
    }

    /// Runs a script in the page.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Runs a script that calls its last argument when it is done.
    pub(crate) async fn run_to_end(&self, script: &str) -> Value {
        self.client.execute_async(script, Vec::new()).await.unwrap()
    }

    /// Presses keys one after the other.
    pub(crate) async fn keys(&self, keys: impl IntoIterator<Item = char>) {
        let mut actions = KeyActions::new("keyboard".to_owned());
        for value in keys {
            actions = actions.then(KeyAction::Down { value }).then(KeyAction::Up { value });
        }
        self.client.perform_actions(actions).await.unwrap();
    }

    /// Presses the key TAB so often.
    pub(crate) async fn tabs(&self, count: usize) {
        self.keys(std::iter::repeat_n(char::from(Key::Tab), count)).await;
    }

    /// Looks at pages so from now on.
    pub(crate) async fn look(&self, look: Look) {
        let scheme = if look == Look::Dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.tell("Emulation.setEmulatedMedia", media).await;
        let (width, height, scale) = if look == Look::Phone { (390, 844, 2) } else { (1280, 900, 1) };
        let screen =
            json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": look == Look::Phone });
        self.tell("Emulation.setDeviceMetricsOverride", screen).await;
    }

    /// Makes pages run no script from now on.
    pub(crate) async fn without_scripts(&self) {
        self.tell("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    }

    /// What is to be seen, as PNG.
    pub(crate) async fn picture(&self) -> Vec<u8> {
        self.client.screenshot().await.unwrap()
    }

    async fn tell(&self, command: &'static str, parameters: Value) {
        self.client.issue_cmd(Devtools { command, parameters }).await.unwrap();
    }
}

/// What the common protocol has no word for, by the driver's own way to the browser.
#[derive(Debug)]
struct Devtools {
    command: &'static str,
    parameters: Value,
}

impl WebDriverCompatibleCommand for Devtools {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _url: &Url) -> (reqwest::Method, Option<String>) {
        let body = json!({ "cmd": self.command, "params": self.parameters });
        (reqwest::Method::POST, Some(body.to_string()))
    }
}
