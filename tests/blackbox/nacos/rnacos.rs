//! Against a real server, rnacos: a login whose token expires, changes, a program written back, an item that is deleted.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{DATAID, GROUP, programs};
use crate::host::{Host, free_port};
use crate::programs::installed;
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, wait_for};

const PASSWORD: &str = "s3cret-of-rnacos";

pub(super) fn tests() -> Vec<Trial> {
    vec![Trial::new("nacos::a_real_server_rnacos", real)]
}

/// A running server. It ends with this value.
struct Server {
    process: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Server {
    fn start(program: &Path, place: &Path) -> Result<Self, String> {
        let port = free_port()?;
        let process = Command::new(program)
            .env("RNACOS_SDK_HOST", "127.0.0.1")
            .env("RNACOS_CONSOLE_HOST", "127.0.0.1")
            .env("RNACOS_HTTP_PORT", port.to_string())
            .env("RNACOS_GRPC_PORT", free_port()?.to_string())
            .env("RNACOS_HTTP_CONSOLE_PORT", free_port()?.to_string())
            .env("RNACOS_DATA_DIR", place)
            .env("RNACOS_ENABLE_OPEN_API_AUTH", "true")
            .env("RNACOS_INIT_ADMIN_USERNAME", "nacos")
            .env("RNACOS_INIT_ADMIN_PASSWORD", PASSWORD)
            .env("RNACOS_API_LOGIN_TIMEOUT", "3")
            .env("RUST_LOG", "warn")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let url = format!("127.0.0.1:{port}");
        let server = Self { process, url };
        // With authentication, only a login tells that it is ready. What is published before is lost.
        wait_for("a login", LIMIT, || server.token().is_ok())?;
        Ok(server)
    }

    /// Sends a form, or without fields a GET. Returns the status and the body.
    fn ask(&self, path: &str, fields: &[(&str, &str)]) -> Result<(String, String), String> {
        let mut command = Command::new("curl");
        command.args(["-s", "-m", "10", "-w", "\n%{http_code}"]);
        for (name, value) in fields {
            command
                .arg("--data-urlencode")
                .arg(format!("{name}={value}"));
        }
        command.arg(format!("http://{}{path}", self.url));
        let output = command.output().map_err(|error| format!("curl: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').ok_or("no answer")?;
        Ok((status.to_owned(), body.to_owned()))
    }

    fn token(&self) -> Result<String, String> {
        let fields = [("username", "nacos"), ("password", PASSWORD)];
        let (status, body) = self.ask("/nacos/v1/auth/users/login", &fields)?;
        let told: serde_json::Value =
            serde_json::from_str(&body).map_err(|_| format!("{status} {body}"))?;
        let token = told["accessToken"].as_str();
        token.map(str::to_owned).ok_or(body)
    }

    fn item(&self, token: &str) -> Result<(String, String), String> {
        self.ask(
            &format!(
                "/nacos/v1/cs/configs?dataId={DATAID}&group={GROUP}&tenant=&accessToken={token}"
            ),
            &[],
        )
    }

    fn publish(&self, text: &str) -> Result<(), String> {
        let token = self.token()?;
        let fields = [("dataId", DATAID), ("group", GROUP), ("content", text)];
        let told = self.ask(
            &format!("/nacos/v1/cs/configs?accessToken={token}"),
            &fields,
        )?;
        expect(told == ("200".into(), "true".into()), format!("{told:?}"))
    }
}

fn real() -> Result<Outcome, String> {
    let given = std::env::var_os("RNACOS").map(PathBuf::from);
    let Some(program) = given.or_else(|| installed("rnacos")) else {
        return Ok(Outcome::Skipped(
            "rnacos is not installed (cargo install rnacos --locked; RNACOS=PROGRAM)".to_owned(),
        ));
    };
    let mut host = Host::new("")?;
    let place = host.place.join("rnacos");
    std::fs::create_dir(&place).map_err(|error| error.to_string())?;
    let server = Server::start(&program, &place)?;
    server.publish(&programs(&["one"]))?;
    host.go_with(|command| {
        command
            .arg(format!("--nacos-server={}", server.url))
            .arg(format!("--nacos-dataid={DATAID}"))
            .env("NACOS_USERNAME", "nacos")
            .env("NACOS_PASSWORD", PASSWORD);
    })?;
    let daemon = host.daemon()?;
    daemon.wait_state("one", "RUNNING")?;
    let one = daemon.pid_of("one");
    server.publish(&programs(&["one", "two"]))?;
    daemon.wait_state("two", "RUNNING")?;

    // The first token has expired when the next change comes.
    let token = server.token()?;
    wait_for("the end of a token", LIMIT, || {
        server.item(&token).is_ok_and(|(status, _)| status == "403")
    })?;
    server.publish(&programs(&["one", "three"]))?;
    daemon.wait_state("three", "RUNNING")?;
    wait_for("two is removed", LIMIT, || daemon.info("two").is_err())?;

    // A program is written back to the item.
    host.place.write("four.ini", &programs(&["four"]))?;
    let file = host.place.text() + "/four.ini";
    host.expect_ctl(&["program", "add", &file], 0, &["four"])?;
    daemon.wait_state("four", "RUNNING")?;
    let (_, text) = server.item(&server.token()?)?;
    expect(
        text.starts_with(&programs(&["one", "three"])) && text.contains("[program:four]"),
        text,
    )?;

    // A deleted item stops nothing.
    let deleted = Command::new("curl")
        .args(["-s", "-m", "10", "-X", "DELETE"])
        .arg(format!(
            "http://{}/nacos/v1/cs/configs?dataId={DATAID}&group={GROUP}&tenant=&accessToken={}",
            server.url,
            server.token()?
        ))
        .output()
        .map_err(|error| format!("curl: {error}"))?;
    expect(deleted.stdout == b"true", format!("{deleted:?}"))?;
    host.wait_file("log", "cannot be read: ")?;
    server.publish(&programs(&["one", "five"]))?;
    daemon.wait_state("five", "RUNNING")?;
    expect(daemon.pid_of("one") == one, "one was restarted")?;
    Ok(Outcome::Passed)
}
