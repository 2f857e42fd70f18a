//! `supervisord healthcheck`: asks the running daemon whether its programs are ready.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use super::machine::Machine;
use super::print::print;
use crate::cli::subcommand::HealthcheckArgs;
use crate::config::ctl::ctl_spec;
use crate::config::search::{find_config, not_found};

/// How long connecting, and each read and write, may take.
const WITHIN: Duration = Duration::from_secs(5);
/// Maximum length of an answer in bytes.
const ANSWER_MAX: u64 = 64 << 10;

/// Prints the answer of `/readyz`. Exit status 1: the programs are not ready, or the daemon does not answer.
pub(super) fn run_healthcheck(argv0: &str, args: &HealthcheckArgs, machine: &Machine) -> ExitCode {
    let checked = server_url(argv0, args, machine).and_then(|url| {
        let answer = ask(&url).map_err(|error| format!("{url}: {error}"))?;
        read_answer(&answer).ok_or_else(|| format!("{url}: it does not answer as supervisord does"))
    });
    match checked {
        Ok((is_ready, body)) => {
            let code = print(&body);
            if is_ready { code } else { ExitCode::FAILURE }
        }
        Err(why) => {
            eprintln!("{argv0}: {why}");
            ExitCode::FAILURE
        }
    }
}

fn server_url(argv0: &str, args: &HealthcheckArgs, machine: &Machine) -> Result<String, String> {
    if let Some(url) = &args.server_url {
        return Ok(url.clone());
    }
    let found = args.configuration.clone();
    let path = found
        .or_else(|| find_config(argv0, machine))
        .ok_or_else(|| not_found(argv0, machine))?;
    let spec = ctl_spec(&path, machine, true).map_err(|errors| errors.to_string())?;
    Ok(spec.serverurl)
}

/// Sends the request and reads the answer.
fn ask(url: &str) -> io::Result<Vec<u8>> {
    if let Some(path) = url.strip_prefix("unix://") {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(WITHIN))?;
        stream.set_write_timeout(Some(WITHIN))?;
        return exchange(stream, "localhost");
    }
    let wrong = || io::Error::other("the address must begin with http:// or unix://");
    let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let with_port = match has_port {
        true => host.to_owned(),
        false => format!("{host}:80"),
    };
    let mut last = io::Error::other("the host name has no address");
    for address in with_port.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, WITHIN) {
            Ok(stream) => {
                stream.set_read_timeout(Some(WITHIN))?;
                stream.set_write_timeout(Some(WITHIN))?;
                return exchange(stream, host);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn exchange(mut stream: impl Read + Write, host: &str) -> io::Result<Vec<u8>> {
    let request = format!("GET /readyz HTTP/1.0\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
    Ok(answer)
}

/// Whether the programs are ready, and the body. `None`: this is no answer of `/readyz`.
fn read_answer(answer: &[u8]) -> Option<(bool, String)> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?;
    match status {
        "200" => Some((true, body.to_owned())),
        "503" => Some((false, body.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t10_only_answers_of_the_daemon_count() {
        let read = |text: &str| read_answer(text.as_bytes());
        let body = || "{}\n".to_owned();
        assert_eq!(
            read("HTTP/1.0 200 OK\r\nA: b\r\n\r\n{}\n"),
            Some((true, body()))
        );
        assert_eq!(read("HTTP/1.0 503 X\r\n\r\n{}\n"), Some((false, body())));
        for wrong in [
            "",
            "HTTP/1.0 200 OK\r\n",
            "HTTP/1.0 404 Not Found\r\n\r\n",
            "x\r\n\r\n",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_http_and_unix_are_asked() {
        let error = ask("https://localhost:1").expect_err("refused").to_string();
        assert!(error.contains("http:// or unix://"), "{error}");
    }
}
