//! A real browser without a window, driven over its DevTools protocol.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::wait::pause;

/// Nothing in these tests takes this long.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the system may take to end it.
const LEAVING: Duration = Duration::from_secs(5);
const PROGRAM: &str = "chromium";
/// What keeps it to itself: no window, no calls home, no first-run questions.
const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-lcd-text",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "--window-size=1100,700",
    "about:blank",
];

/// A browser with one page. It ends with this.
pub struct Chromium {
    /// The leader of its process group.
    child: Child,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    session: Option<String>,
    asked: u64,
    /// How many pages were loaded.
    loaded: u64,
}

impl Chromium {
    /// Starts one; nothing where none is installed.
    pub async fn start(profile: &Path) -> Option<Self> {
        let mut command = Command::new(PROGRAM);
        command.args(FLAGS).arg(format!("--user-data-dir={}", profile.display()));
        // What it makes for itself beside that goes with the profile, also when it is killed.
        let scratch = profile.join("tmp");
        std::fs::create_dir_all(&scratch).expect("a folder");
        command.env("TMPDIR", scratch);
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().ok()?;
        let mut lines = BufReader::new(child.stderr.take().expect("what it says")).lines();
        let address = async {
            while let Some(line) = lines.next_line().await.expect("text") {
                if let Some((_, address)) = line.split_once("DevTools listening on ") {
                    return address.to_owned();
                }
            }
            panic!("the browser does not say where it listens")
        };
        let address = tokio::time::timeout(PATIENCE, address).await.expect("an address in time");
        // It may say what it likes from now on.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let (socket, _) = tokio_tungstenite::connect_async(address.trim()).await.expect("a connection");
        let mut browser = Self { child, socket, session: None, asked: 0, loaded: 0 };
        let target = browser.ask("Target.createTarget", json!({"url": "about:blank"})).await;
        let attached = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.ask("Target.attachToTarget", attached).await;
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        browser.ask("Page.enable", json!({})).await;
        Some(browser)
    }

    /// Asks for something and waits for the answer.
    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let mut question = json!({"id": self.asked, "method": method, "params": params});
        if let Some(session) = &self.session {
            question["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(question.to_string())).await.expect("a connection");
        let id = self.asked;
        let answer = async {
            loop {
                let answer = self.hear().await;
                if answer["id"] == id {
                    assert!(answer["error"].is_null(), "{method}: {answer}");
                    return answer["result"].clone();
                }
            }
        };
        tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| panic!("no answer to {question}"))
    }

    async fn hear(&mut self) -> Value {
        while let Some(message) = self.socket.next().await {
            let Message::Text(text) = message.expect("a message") else { continue };
            let said: Value = serde_json::from_str(&text).expect("JSON");
            if said["method"] == "Page.loadEventFired" {
                self.loaded += 1;
            }
            return said;
        }
        panic!("the browser is gone")
    }

    /// Goes to a page, and answers when it is loaded.
    pub async fn go(&mut self, url: &str) {
        let before = self.loaded;
        self.ask("Page.navigate", json!({"url": url})).await;
        self.load_after(before).await;
    }

    /// Follows a link, and answers when its page is loaded.
    pub async fn click(&mut self, link: &str) {
        let before = self.loaded;
        self.evaluate(&format!("document.querySelector('{link}').click()")).await;
        self.load_after(before).await;
    }

    /// Fills in a form and sends it, as its own button would; answers when the next page is loaded.
    pub async fn submit(&mut self, form: &str, fill: &str) {
        let before = self.loaded;
        self.evaluate(&format!("{fill}; document.querySelector('{form}').submit()")).await;
        self.load_after(before).await;
    }

    async fn load_after(&mut self, before: u64) {
        let load = async {
            while self.loaded == before {
                self.hear().await;
            }
        };
        tokio::time::timeout(PATIENCE, load).await.expect("a page in time");
    }

    /// A cookie that scripts do not see.
    pub async fn set_cookie(&mut self, url: &str, name: &str, value: &str) {
        let cookie = json!({"url": url, "name": name, "value": value, "httpOnly": true, "sameSite": "Strict"});
        let answer = self.ask("Network.setCookie", cookie).await;
        assert_eq!(answer["success"], true, "{answer}");
    }

    /// From now on, pages are without scripts of theirs.
    pub async fn without_scripts(&mut self) {
        self.ask("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
    }

    /// Whether the reader's system is dark.
    pub async fn dark(&mut self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let feature = json!({"name": "prefers-color-scheme", "value": value});
        self.ask("Emulation.setEmulatedMedia", json!({"features": [feature]})).await;
    }

    /// How large the window is.
    pub async fn size(&mut self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.ask("Emulation.setDeviceMetricsOverride", size).await;
        self.ask("Emulation.setScrollbarsHidden", json!({"hidden": true})).await;
    }

    /// What is seen, as a PNG.
    pub async fn picture(&mut self) -> Vec<u8> {
        let answer = self.ask("Page.captureScreenshot", json!({"format": "png"})).await;
        decode(answer["data"].as_str().expect("a picture"))
    }

    /// The value of an expression in the page.
    pub async fn evaluate(&mut self, expression: &str) -> Value {
        let question = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.ask("Runtime.evaluate", question).await;
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an element has the focus: that goes from one to another without a change of the page.
    pub async fn until_focus(&mut self, element: &str) {
        let wait = format!(
            "new Promise((done) => {{
                const look = () => document.activeElement === document.querySelector('{element}') ? done(true) : requestAnimationFrame(look);
                look();
            }})"
        );
        let waited = tokio::time::timeout(PATIENCE, self.evaluate(&wait)).await;
        waited.unwrap_or_else(|_| panic!("it never came to {element}"));
    }

    /// Waits until a condition holds in the page: it is looked at whenever the page changes.
    pub async fn until(&mut self, condition: &str) {
        let wait = format!(
            "new Promise((done) => {{
                const holds = () => {{ try {{ return {condition}; }} catch {{ return false; }} }};
                const watch = new MutationObserver(() => holds() && (watch.disconnect(), done(true)));
                watch.observe(document, {{subtree: true, childList: true, characterData: true, attributes: true}});
                if (holds()) done(true);
            }})"
        );
        let waited = tokio::time::timeout(PATIENCE, self.evaluate(&wait)).await;
        waited.unwrap_or_else(|_| panic!("it never came to this: {condition}"));
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        if let Some(leader) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            let _ = killpg(Pid::from_raw(leader), Signal::SIGKILL);
            // What it still wrote would keep its folders from being removed.
            let until = Instant::now() + LEAVING;
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
                pause();
            }
        }
    }
}

/// Bytes from base64.
fn decode(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u32> = text.bytes().filter(|byte| *byte != b'=').map(|byte| u32::from(digit(byte))).collect();
    let bytes = digits.chunks(4).flat_map(|four| {
        let bits = four.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - four.len()));
        bits.to_be_bytes().into_iter().skip(1).take(four.len() - 1)
    });
    bytes.collect()
}
