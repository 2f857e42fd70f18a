//! A small WebDriver client: JSON over HTTP to our own chromedriver, which starts a headless Chromium.
//!
//! # Source
//! W3C WebDriver; `goog:chromeOptions` and `goog:loggingPrefs` of chromedriver's manual.

use std::path::PathBuf;
use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};

use crate::support::daemon::Marked;
use crate::support::temp_dir::TempDir;
use crate::support::wire::{Address, Connection};
use crate::support::{LIMIT, wait_for};

/// One browser at a time: a machine with two processors cannot run six.
static ONE: Mutex<()> = Mutex::new(());

const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Settings of a browser.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) dark: bool,
    pub(crate) scripts: bool,
    /// The font size that the browser's user chose, in pixels.
    pub(crate) font: u32,
}

impl Look {
    pub(crate) const DESK: Self = Self {
        width: 1360,
        height: 820,
        dark: false,
        scripts: true,
        font: 16,
    };
    pub(crate) const WITHOUT_SCRIPTS: Self = Self {
        scripts: false,
        ..Self::DESK
    };
}

/// A browser with one window. Fields drop in order: the driver, all marked processes, the files, the lock.
pub(crate) struct Browser {
    driver: Child,
    _marked: Marked,
    place: TempDir,
    port: u16,
    session: String,
    _turn: MutexGuard<'static, ()>,
}

fn installed(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/usr/local/bin", "/usr/lib/chromium"]
        .iter()
        .map(|dir| PathBuf::from(dir).join(name))
        .find(|path| path.exists())
}

/// Why no browser is available. `None`: one is available.
pub(crate) fn missing() -> Option<String> {
    let names = ["chromium", "chromedriver"];
    let missing: Vec<&str> = names
        .into_iter()
        .filter(|name| installed(name).is_none())
        .collect();
    (!missing.is_empty()).then(|| format!("{} is not installed", missing.join(" and ")))
}

impl Browser {
    pub(crate) fn open(look: Look) -> Result<Self, String> {
        let turn = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let chromium = installed("chromium").ok_or("no chromium")?;
        let marked = Marked::new();
        let place = TempDir::new()?;
        let mut command = marked.command(
            &installed("chromedriver").ok_or("no chromedriver")?,
            place.path(),
        );
        let out = std::fs::File::create(place.join("out")).map_err(|e| e.to_string())?;
        let err = out.try_clone().map_err(|e| e.to_string())?;
        let driver = command
            .arg("--port=0")
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(|e| e.to_string())?;
        let mut browser = Self {
            driver,
            _marked: marked,
            place,
            port: 0,
            session: String::new(),
            _turn: turn,
        };
        let mut port = None;
        let place = &browser.place;
        wait_for("chromedriver prints its port", LIMIT, || {
            let text = place.read("out");
            port = text
                .split("started successfully on port ")
                .nth(1)
                .and_then(|rest| rest.split('.').next()?.trim().parse().ok());
            port.is_some()
        })?;
        browser.port = port.ok_or("no port")?;
        let args = vec![
            "--headless".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--hide-scrollbars".to_owned(),
            format!(
                "--user-data-dir={}",
                browser.place.join("profile").display()
            ),
            format!("--window-size={},{}", look.width, look.height),
        ];
        let answer = browser.call(
            "POST",
            "/session",
            json!({ "capabilities": { "alwaysMatch": {
                "browserName": "chrome",
                "goog:chromeOptions": { "binary": chromium, "args": args,
                    "prefs": { "webkit.webprefs.default_font_size": look.font } },
                "goog:loggingPrefs": { "browser": "ALL" },
            } } }),
        )?;
        let id = answer["sessionId"].as_str().ok_or("no session")?;
        browser.session = format!("/session/{id}");
        browser.media(look.dark)?;
        if !look.scripts {
            // The page's own scripts do not run. Scripts of the test do.
            browser.cdp(
                "Emulation.setScriptExecutionDisabled",
                json!({ "value": true }),
            )?;
        }
        browser.resize(look.width, look.height)?;
        Ok(browser)
    }

    /// Resizes the window. A headless window is wider than a telephone unless it emulates a device.
    pub(crate) fn resize(&self, width: u32, height: u32) -> Result<(), String> {
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 }),
        )?;
        Ok(())
    }

    /// Sets the preference for dark or light that the page sees.
    pub(crate) fn media(&self, dark: bool) -> Result<(), String> {
        let value = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": value }]);
        self.cdp(
            "Emulation.setEmulatedMedia",
            json!({ "features": features }),
        )?;
        Ok(())
    }

    fn call(&self, method: &str, path: &str, body: Value) -> Result<Value, String> {
        let text = if method == "GET" {
            String::new()
        } else {
            body.to_string()
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{text}",
            self.port,
            text.len()
        );
        let mut connection =
            Connection::open(&Address::Port(self.port)).map_err(|e| e.to_string())?;
        connection.limit(Duration::from_secs(90));
        connection
            .send(request.as_bytes())
            .map_err(|e| e.to_string())?;
        let answer = connection
            .answer()
            .map_err(|e| format!("{path}: {e}"))?
            .ok_or_else(|| format!("{path}: closed"))?;
        let value: Value =
            serde_json::from_slice(&answer.body).map_err(|e| format!("{path}: {e}"))?;
        let value = value["value"].clone();
        if answer.code() == 200 {
            Ok(value)
        } else {
            let first = value["message"].as_str().unwrap_or_default();
            Err(format!("{path} {body}: {} {first}", value["error"]))
        }
    }

    fn post(&self, path: &str, body: Value) -> Result<Value, String> {
        self.call("POST", &format!("{}{path}", self.session), body)
    }

    fn cdp(&self, command: &str, params: Value) -> Result<Value, String> {
        self.post(
            "/goog/cdp/execute",
            json!({ "cmd": command, "params": params }),
        )
    }

    pub(crate) fn go(&self, url: &str) -> Result<(), String> {
        self.post("/url", json!({ "url": url })).map(drop)
    }

    /// Runs a script in the page and returns its result.
    pub(crate) fn run(&self, script: &str) -> Result<Value, String> {
        self.post("/execute/sync", json!({ "script": script, "args": [] }))
    }

    /// The string value of an expression in the page.
    pub(crate) fn text(&self, expression: &str) -> Result<String, String> {
        let value = self.run(&format!("return {expression}"))?;
        Ok(match value {
            Value::String(text) => text,
            other => other.to_string(),
        })
    }

    /// Waits until an expression in the page is true.
    pub(crate) fn wait(&self, expression: &str) -> Result<(), String> {
        let end = Instant::now() + LIMIT;
        let mut last;
        loop {
            last = self.run(&format!("return {expression}"));
            if last == Ok(Value::Bool(true)) {
                return Ok(());
            }
            if Instant::now() >= end {
                let body = self.text("document.body.innerText.slice(0, 1500)");
                return Err(format!(
                    "not true: {expression} ({last:?}); the page: {body:?}"
                ));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn element(&self, selector: &str) -> Result<String, String> {
        let found = self.post(
            "/element",
            json!({ "using": "css selector", "value": selector }),
        )?;
        let id = found[ELEMENT].as_str().ok_or("no element")?;
        Ok(format!("/element/{id}"))
    }

    /// Clicks as a person does. Fails for an element that is invisible or covered.
    pub(crate) fn click(&self, selector: &str) -> Result<(), String> {
        let element = self.element(selector)?;
        self.post(&format!("{element}/click"), json!({})).map(drop)
    }

    /// Types into a field.
    pub(crate) fn type_into(&self, selector: &str, text: &str) -> Result<(), String> {
        let element = self.element(selector)?;
        self.post(&format!("{element}/value"), json!({ "text": text }))
            .map(drop)
    }

    /// Answers a dialog of the page.
    pub(crate) fn accept(&self) -> Result<String, String> {
        let path = format!("{}/alert/text", self.session);
        let mut text = Err(String::new());
        wait_for("the page asks", LIMIT, || {
            text = self.call("GET", &path, json!({}));
            text.is_ok()
        })?;
        self.post("/alert/accept", json!({}))?;
        Ok(text?.as_str().unwrap_or_default().to_owned())
    }

    /// Lines of the browser's console since the last call.
    pub(crate) fn console(&self) -> Result<Vec<String>, String> {
        let entries = self.post("/se/log", json!({ "type": "browser" }))?;
        Ok(entries
            .as_array()
            .into_iter()
            .flatten()
            .map(|entry| format!("{} {}", entry["level"], entry["message"]))
            .collect())
    }

    /// A screenshot of the window, as PNG.
    pub(crate) fn picture(&self) -> Result<Vec<u8>, String> {
        let path = format!("{}/screenshot", self.session);
        let text = self.call("GET", &path, json!({}))?;
        base64::engine::general_purpose::STANDARD
            .decode(text.as_str().unwrap_or_default())
            .map_err(|e| e.to_string())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            drop(self.call("DELETE", &self.session, json!({})));
        }
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}
