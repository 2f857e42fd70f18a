//! Reads the users of Cesi's database, once, with the program `sqlite3`.

use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::access::AccessLimits;
use super::role::Role;
use super::user::{User, check_user_name};

/// The question to the database.
const QUERY: &str = "SELECT username, password, usertype FROM users ORDER BY id";

/// A row of Cesi's table.
#[derive(Debug, Deserialize)]
struct CesiRow {
    username: String,
    password: String,
    usertype: u64,
}

/// Returns the users of a database. Their passwords stay as Cesi hashed them until they log in.
///
/// # Errors
/// Why they cannot be read.
pub(in crate::hub) fn import_database(path: &Path) -> Result<Vec<User>, String> {
    if !path.is_file() {
        return Err(format!("{}: there is no such file", path.display()));
    }
    let run = Command::new("sqlite3")
        .args(["-readonly", "-json"])
        .arg(path)
        .arg(QUERY)
        .stdin(Stdio::null())
        .output();
    let output = run.map_err(|error| {
        format!("the program sqlite3 cannot be started (install it for the import): {error}")
    })?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {}", path.display(), reason.trim()));
    }
    users_of(&output.stdout)
}

fn users_of(json: &[u8]) -> Result<Vec<User>, String> {
    if json.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<CesiRow> = serde_json::from_slice(json)
        .map_err(|_| "the table users is not that of Cesi".to_owned())?;
    let users = rows.into_iter().map(|row| {
        check_user_name(&row.username)?;
        let role = Role::of_user_type(row.usertype);
        let role =
            role.ok_or_else(|| format!("{}: unknown user type {}", row.username, row.usertype))?;
        Ok(User {
            must_change_password: false,
            name: row.username,
            role,
            limits: AccessLimits::default(),
            password: row.password,
            tokens: Vec::new(),
        })
    });
    users.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_users() {
        let json = br#"[{"username":"admin","password":"pbkdf2:sha256:1$a$b","usertype":0},
                        {"username":"bob","password":"x$y$z","usertype":1}]"#;
        let users = users_of(json).expect("valid");
        let shown: Vec<_> = users
            .iter()
            .map(|user| (user.name.as_str(), user.role))
            .collect();
        assert_eq!(shown, [("admin", Role::Admin), ("bob", Role::Operator)]);
        assert_eq!(users[0].password, "pbkdf2:sha256:1$a$b");
        assert_eq!(users_of(b"\n").expect("no rows"), []);
        for wrong in [
            r#"[{"username":"x","password":"","usertype":7}]"#,
            r#"[{"username":"","password":"","usertype":1}]"#,
            "[{}]",
        ] {
            assert!(users_of(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
