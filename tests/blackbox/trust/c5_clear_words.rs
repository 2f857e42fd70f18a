//! Messages name the path, what is there and the remedy (phusion/baseimage-docker#227), and no class of Python.

use std::os::unix::fs::symlink;

use crate::host::Host;
use crate::support::expect;
use crate::support::runner::{Outcome, Trial};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new(
            "trust::c5_the_error_names_the_file_at_the_socket_path",
            occupied,
        ),
        Trial::new(
            "trust::c5_errors_have_a_reason_and_no_python_class",
            reasons,
        ),
    ]
}

fn occupied() -> Result<Outcome, String> {
    let host = Host::new("")?;
    let path = host.place.join("s");
    let refused = |what: &str| -> Result<(), String> {
        let got = host.run(&["-n", "-c", "conf"])?;
        let words = format!(
            "{}: there is {what}, not a socket (remove it",
            path.display()
        );
        expect(
            got.code == 2
                && got.stderr.starts_with(
                    "Error: Cannot open an HTTP server: socket.error reported errno.EEXIST (17): ",
                )
                && got.stderr.contains(&words),
            format!("{got:?}"),
        )
    };
    host.place.write("s", "precious")?;
    refused("a regular file")?;
    expect(host.place.read("s") == "precious", "the file was touched")?;
    std::fs::remove_file(&path).map_err(|e| e.to_string())?;
    symlink("/nonexistent/x", &path).map_err(|e| e.to_string())?;
    refused("a symbolic link to /nonexistent/x")?;
    std::fs::remove_file(&path).map_err(|e| e.to_string())?;
    std::fs::create_dir(&path).map_err(|e| e.to_string())?;
    refused("a directory")?;
    Ok(Outcome::Passed)
}

fn reasons() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:web]\ncommand={test_child} forever\nstartsecs=0\nstdout_logfile={dir}/weblog\nautostart=false\n",
    )?;
    // A log that cannot be removed, because it is a directory.
    std::fs::create_dir(host.place.join("weblog")).map_err(|e| e.to_string())?;
    let got = host.ctl(&["clear", "web"])?;
    expect(
        got.code == 1
            && got.stdout.starts_with("web: ERROR (failed: ")
            && !got.stdout.contains("(failed: web"),
        format!("{got:?}"),
    )?;
    host.configure("[program:web]\ncommand={test_child} forever\nnumprocs=x\n")?;
    for action in ["reread", "update", "reload"] {
        let got = host.ctl(&[action])?;
        expect(
            got.code == 1
                && got.stdout.contains("CANT_REREAD: ")
                && !format!("{}{}", got.stdout, got.stderr).contains("<class"),
            format!("{action}: {got:?}"),
        )?;
    }
    host.expect_well()?;
    Ok(Outcome::Passed)
}
