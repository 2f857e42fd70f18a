//! Cross-site requests change nothing, and requests of programs still work.

use crate::scene::{PlainCheck, Scene, plain_trials, text};
use crate::support::daemon::Side;
use crate::support::expect;
use crate::support::runner::Trial;
use crate::support::wire::Address;

const CONFIG: &str = "\
[program:up]
command={test_child} say hello forever
startsecs=0
";

const MOZILLA: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64)";
/// `u:p`.
const PASSWORD: &str = "Authorization: Basic dTpw";

pub(crate) fn tests() -> Vec<Trial> {
    let table: Vec<(&str, PlainCheck)> = vec![
        (
            "links_of_browsers_change_nothing",
            links_of_browsers_change_nothing,
        ),
        ("links_of_programs_work", links_of_programs_work),
        (
            "a_cached_password_does_not_help_a_foreign_page",
            a_cached_password_does_not_help_a_foreign_page,
        ),
        ("forms_need_the_token", forms_need_the_token),
        ("foreign_pages_get_nothing", foreign_pages_get_nothing),
        ("a_rebound_name_is_refused", a_rebound_name_is_refused),
        (
            "the_content_security_policy_is_strict",
            the_content_security_policy_is_strict,
        ),
        (
            "streams_and_forms_are_bounded",
            streams_and_forms_are_bounded,
        ),
        (
            "every_path_asks_for_the_password",
            every_path_asks_for_the_password,
        ),
    ];
    plain_trials("csrf", table)
}

fn scene(more: &str) -> Result<Scene, String> {
    let scene = Scene::start(Side::Ours, &format!("{more}{CONFIG}"))?;
    scene.daemon.wait_state("up", "RUNNING")?;
    Ok(scene)
}

/// The process is the same as before.
fn unchanged(scene: &Scene, pid: i32, what: &str) -> Result<(), String> {
    expect(
        scene.daemon.pid_of("up") == pid && scene.daemon.state("up") == "RUNNING",
        format!("changed by {what}"),
    )
}

const STOP: &str = "/index.html?processname=up&action=stop";

fn links_of_browsers_change_nothing() -> Result<(), String> {
    let scene = scene("")?;
    let pid = scene.daemon.pid_of("up");
    let own = format!("Origin: http://127.0.0.1:{}", scene.port);
    let referer = format!("Referer: http://127.0.0.1:{}/", scene.port);
    // Typed, bookmarked, followed on our own page, or of unknown origin: the answer offers a button.
    for headers in [
        &["Sec-Fetch-Site: none", MOZILLA][..],
        &["Sec-Fetch-Site: same-origin", MOZILLA],
        &[&own],
        &[&referer],
        &[MOZILLA],
        &["Accept-Language: de"],
        &["Upgrade-Insecure-Requests: 1"],
    ] {
        for path in [
            STOP,
            "/?action=stopall",
            "/index.html?action=restartall",
            "/?processname=up&action=clearlog",
        ] {
            let answer = scene.get(path, headers)?;
            let page = text(&answer);
            expect(
                answer.code() == 403 && page.contains("A link cannot change anything"),
                format!("{path} {headers:?}: {} {page}", answer.status),
            )?;
            unchanged(&scene, pid, path)?;
        }
        let posted = scene.post("/index.html", headers, "processname=up&action=stop")?;
        expect(
            posted.code() == 403,
            format!("{headers:?}: {}", posted.status),
        )?;
        unchanged(&scene, pid, "a form without a token")?;
    }
    // A request that changes nothing needs no button.
    let refresh = scene.get("/?action=refresh", &[MOZILLA])?;
    expect(refresh.code() == 301, refresh.status)
}

fn links_of_programs_work() -> Result<(), String> {
    let scene = scene("")?;
    let over_socket = Address::Unix(scene.place.join("s"));
    let addresses = [Address::Port(scene.port), over_socket];
    for address in &addresses {
        for headers in [&[][..], &["User-Agent: curl/8.5.0", "Accept: */*"]] {
            let pid = scene.daemon.pid_of("up");
            let path = "/index.html?processname=up&action=restart";
            let answer = scene.ask(address, "GET", path, headers, "")?;
            expect(
                answer.code() == 301,
                format!("{headers:?} {}", answer.status),
            )?;
            scene.wait_other_pid("up", pid)?;
        }
    }
    // A foreign host name in a program's request is allowed: DNS rebinding only affects browsers.
    let answer = scene.get(STOP, &["Host: supervisor.example:9001"])?;
    let location = answer.header("Location").unwrap_or_default();
    expect(
        location == "http://supervisor.example:9001/?message=Process%20up%20stopped",
        location,
    )?;
    scene.daemon.wait_state("up", "STOPPED")?;
    let log = scene.place.read("log");
    expect(
        log.contains("restart") || log.contains("stop") && log.contains("accepted"),
        "no audit line",
    )
}

fn a_cached_password_does_not_help_a_foreign_page() -> Result<(), String> {
    let scene = scene("username=u\npassword=p\n")?;
    let pid = scene.daemon.pid_of("up");
    for headers in [
        &["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"][..],
        &["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"],
        &["Sec-Fetch-Site: same-site"],
        &["Referer: http://evil.example/"],
        &["Origin: http://evil.example"],
        &["Origin: null"],
        // An old browser, and an image on a page that suppresses the Referer.
        &[MOZILLA],
    ] {
        let mut headers = headers.to_vec();
        headers.push(PASSWORD);
        for (method, path) in [("GET", STOP), ("POST", STOP), ("POST", "/actions")] {
            let address = Address::Port(scene.port);
            let body = "do=stop+up%3Aup&processname=up&action=stop";
            let answer = scene.ask(&address, method, path, &headers, body)?;
            expect(
                answer.code() == 403,
                format!("{method} {path} {headers:?}: {}", answer.status),
            )?;
            unchanged(&scene, pid, path)?;
        }
    }
    // A script of the administrator with the same password.
    let answer = scene.get(STOP, &[PASSWORD])?;
    expect(answer.code() == 301, answer.status)?;
    scene.daemon.wait_state("up", "STOPPED")
}

fn forms_need_the_token() -> Result<(), String> {
    let scene = scene("")?;
    let pid = scene.daemon.pid_of("up");
    let token = scene.token(&[MOZILLA])?;
    expect(token.len() == 32, &token)?;
    let wrong = "0".repeat(32);
    for given in [
        String::new(),
        "token=".to_owned(),
        format!("token={wrong}"),
        format!("token={}", &token[1..]),
    ] {
        for headers in [&[][..], &[MOZILLA], &["Sec-Fetch-Site: same-origin"]] {
            let body = format!("{given}&do=stop+up%3Aup");
            let answer = scene.post("/actions", headers, &body)?;
            expect(answer.code() == 403, format!("{body}: {}", answer.status))?;
            unchanged(&scene, pid, &body)?;
        }
    }
    // Another site that has obtained the token is still refused, and so is GET.
    let body = format!("token={token}&do=stop+up%3Aup");
    let stranger = scene.post("/actions", &["Origin: http://evil.example"], &body)?;
    expect(stranger.code() == 403, stranger.status)?;
    let got = scene.get(&format!("/actions?{body}"), &[])?;
    expect(got.code() == 404, got.status)?;
    for what in [
        "",
        "&do=",
        "&do=dance+up%3Aup",
        "&do=stop",
        "&do=shutdown+*",
    ] {
        let answer = scene.post("/actions", &[], &format!("token={token}{what}"))?;
        expect(answer.code() == 400, format!("{what}: {}", answer.status))?;
    }
    unchanged(&scene, pid, "what is no action")?;
    let answer = scene.post("/actions", &["Sec-Fetch-Site: same-origin"], &body)?;
    expect(
        answer.code() == 303
            && answer.header("Location") == Some("./?message=Process%20up%20stopped"),
        format!("{:?}", answer.headers),
    )?;
    scene.daemon.wait_state("up", "STOPPED")?;
    // Each daemon has its own token.
    let other = self::scene("")?;
    expect(other.token(&[])? != token, "the same token twice")
}

fn foreign_pages_get_nothing() -> Result<(), String> {
    let scene = scene("")?;
    for path in [
        "/",
        "/tail.html?processname=up",
        "/logtail/up",
        "/mainlogtail",
        "/events",
        "/maintail.html",
        "/images/icon.png",
    ] {
        for headers in [
            &["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"][..],
            &["Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors"],
        ] {
            let answer = scene.get(path, headers)?;
            expect(answer.code() == 403, format!("{path}: {}", answer.status))?;
        }
    }
    // Following a link shows the page, and nothing else.
    let headers = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"];
    let page = scene.get("/", &headers)?;
    expect(page.code() == 200, page.status)?;
    let token = scene.token(&[])?;
    let action = scene.get(&format!("{STOP}&token={token}"), &headers)?;
    expect(
        action.code() == 403 && text(&action).contains("came from another web page"),
        action.status,
    )
}

fn a_rebound_name_is_refused() -> Result<(), String> {
    let open = scene("")?;
    let host = format!("Host: evil.example:{}", open.port);
    let paths = [
        "/",
        "/tail.html?processname=up",
        "/logtail/up",
        "/mainlogtail",
        "/events",
    ];
    for path in paths {
        for mark in [
            "Sec-Fetch-Site: same-origin",
            "Accept-Language: de",
            MOZILLA,
        ] {
            let answer = open.get(path, &[&host, mark])?;
            expect(
                answer.code() == 403 && text(&answer).contains("is not a name of this host"),
                format!("{path} {mark}: {}", answer.status),
            )?;
        }
    }
    let health = open.get("/ok.html", &[&host, MOZILLA])?;
    expect(health.code() == 200, health.status)?;
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    for name in [
        "localhost",
        "127.0.0.1",
        "[::1]:9001",
        "10.1.2.3:80",
        hostname.trim(),
    ] {
        let answer = open.get("/", &[&format!("Host: {name}"), MOZILLA])?;
        expect(answer.code() == 200, format!("{name}: {}", answer.status))?;
    }
    let named = scene("hosts=panel.example\n")?;
    let answer = named.get("/", &["Host: Panel.example:9001", MOZILLA])?;
    expect(answer.code() == 200, answer.status)?;
    let answer = named.get("/", &["Host: other.panel.example", MOZILLA])?;
    expect(answer.code() == 403, answer.status)?;
    // A browser sends a password only to the name it was typed for, and it cannot reach a socket by a name.
    let closed = scene("username=u\npassword=p\n")?;
    let answer = closed.get("/", &[&host, MOZILLA, PASSWORD])?;
    expect(answer.code() == 200, answer.status)?;
    let socket = Address::Unix(open.place.join("s"));
    let answer = open.ask(&socket, "GET", "/", &[&host, MOZILLA], "")?;
    expect(answer.code() == 200, answer.status)
}

fn the_content_security_policy_is_strict() -> Result<(), String> {
    let scene = scene("")?;
    for path in ["/", "/tail.html?processname=up", "/maintail.html"] {
        let answer = scene.get(path, &[])?;
        let policy = answer.header("Content-Security-Policy").unwrap_or_default();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ] {
            expect(policy.contains(part), format!("{path}: {policy}"))?;
        }
        expect(!policy.contains("unsafe"), policy)?;
        for (name, value) in [
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            ("Referrer-Policy", "same-origin"),
        ] {
            expect(
                answer.header(name) == Some(value),
                format!("{path}: {name}"),
            )?;
        }
        let page = text(&answer);
        for bad in [
            " style=",
            " onclick=",
            "javascript:",
            "<style",
            "http://",
            "https://",
            "src=\"//",
        ] {
            expect(!page.contains(bad), format!("{path}: {bad}"))?;
        }
        // Every script is a file.
        expect(
            page.matches("<script").count() == page.matches("<script src=\"scripts/").count(),
            format!("{path}: {page}"),
        )?;
    }
    Ok(())
}

fn streams_and_forms_are_bounded() -> Result<(), String> {
    let scene = scene("")?;
    let long = format!("x={}", "y".repeat(65 << 10));
    for path in ["/index.html", "/actions", "/tail.html"] {
        let answer = scene.post(path, &[], &long)?;
        expect(answer.code() == 413, format!("{path}: {}", answer.status))?;
    }
    let address = Address::Port(scene.port);
    let mut streams = Vec::new();
    let mut refused = 0;
    for _ in 0..70 {
        let mut stream =
            crate::support::wire::Connection::open(&address).map_err(|e| e.to_string())?;
        let request = format!(
            "GET /events HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n",
            scene.port
        );
        stream.send(request.as_bytes()).map_err(|e| e.to_string())?;
        let head = stream.read_until(b"\r\n\r\n", crate::support::LIMIT);
        if head.starts_with(b"HTTP/1.1 503") {
            refused += 1;
        } else {
            expect(
                head.starts_with(b"HTTP/1.1 200"),
                String::from_utf8_lossy(&head).into_owned(),
            )?;
        }
        streams.push(stream);
    }
    expect(
        refused == 6,
        format!("{refused} of 70 streams were refused"),
    )?;
    // Closed streams make room, and the page itself never needed any.
    drop(streams);
    crate::support::wait_for(
        "a stream finds its place again",
        crate::support::LIMIT,
        || {
            let Ok(mut stream) = crate::support::wire::Connection::open(&address) else {
                return false;
            };
            let request = "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
            stream.send(request.as_bytes()).is_ok()
                && stream
                    .read_until(b"event: all", std::time::Duration::from_secs(5))
                    .windows(10)
                    .any(|part| part == b"event: all")
        },
    )
}

fn every_path_asks_for_the_password() -> Result<(), String> {
    let scene = scene("username=u\npassword=p\n")?;
    for path in [
        "/",
        "/index.html",
        "/tail.html",
        "/maintail.html",
        "/events",
        "/actions",
        "/stylesheets/supervisor.css",
        "/scripts/status.js",
    ] {
        let answer = scene.get(path, &[])?;
        expect(answer.code() == 401, format!("{path}: {}", answer.status))?;
    }
    let page = scene.get("/", &[PASSWORD])?;
    expect(page.code() == 200, page.status)
}
