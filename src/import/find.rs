//! Finds unit files on this machine, and the drop-ins that systemd merges into them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::translate::EnvironmentFile;
use super::unit::{SUFFIX, SystemdUnit, UnitName};

/// The directories of units, in order of precedence.
// Source: systemd.unit(5), "Unit File Load Path".
const DIRECTORIES: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// Suffixes of units that are not services.
const OTHERS: [&str; 10] = [
    ".socket",
    ".timer",
    ".target",
    ".mount",
    ".automount",
    ".path",
    ".slice",
    ".scope",
    ".swap",
    ".device",
];

/// Maximum size of a unit file in bytes. A larger file is not a unit.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads the unit that an argument of the command line names.
///
/// # Errors
/// There is none, it cannot be read, or it is not a service. The message names the file.
pub(super) fn find_unit(word: &str, stdin_name: &str) -> Result<SystemdUnit, String> {
    if word == "-" {
        let mut unit = SystemdUnit::new(UnitName::new(stdin_name));
        let text = read_limited(std::io::stdin().lock())
            .map_err(|why| format!("standard input: {why}"))?;
        unit.read("stdin", &text)?;
        return Ok(unit);
    }
    let path = Path::new(word);
    let file_name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or(word);
    if OTHERS.iter().any(|suffix| file_name.ends_with(suffix)) {
        return Err(format!("{word}: only service units can be imported"));
    }
    let name = UnitName::new(file_name);
    // A file in the working directory is meant only if its name ends in .service: `nginx` is a unit even if there is a
    // directory of that name.
    let is_path = word.contains('/') || (word.ends_with(SUFFIX) && path.is_file());
    let directories: Vec<String> = if is_path {
        let parent = path.parent().map(|parent| parent.display().to_string());
        vec![
            parent
                .filter(|parent| !parent.is_empty())
                .unwrap_or_else(|| ".".to_owned()),
        ]
    } else {
        DIRECTORIES.map(str::to_owned).into()
    };
    if name.is_template() {
        return Err(format!(
            "{word}: this is a template unit (name an instance, such as {}@1{SUFFIX})",
            name.prefix
        ));
    }
    let candidates = file_names(&name, is_path.then_some(file_name));
    let found = candidates.iter().find_map(|file| {
        directories
            .iter()
            .map(|directory| join(directory, file))
            .find(|path| Path::new(path).symlink_metadata().is_ok())
    });
    let Some(found) = found else {
        return Err(if is_path {
            format!("{word}: no such file")
        } else {
            format!("{}: not found in {}", name.full, DIRECTORIES.join(", "))
        });
    };
    let is_null = fs::canonicalize(&found).is_ok_and(|path| path == Path::new("/dev/null"));
    if is_null {
        return Err(format!("{found}: the unit is masked"));
    }
    let text = read_file(&found).map_err(|why| format!("{found}: {why}"))?;
    let mut unit = SystemdUnit::new(name);
    unit.read(&found, &text)?;
    for path in drop_ins(&unit.name, &directories) {
        let text = read_file(&path).map_err(|why| format!("{path}: {why}"))?;
        unit.read(&path, &text)?;
    }
    Ok(unit)
}

/// The possible file names: the unit's name, or its template's.
fn file_names(name: &UnitName, given: Option<&str>) -> Vec<String> {
    let mut names = vec![given.unwrap_or(&name.full).to_owned()];
    if name.instance.is_some() {
        names.push(format!("{}@{SUFFIX}", name.prefix));
    }
    names
}

/// The drop-ins in the order in which they apply. Of drop-ins with the same name, the one in the most specific
/// directory is read; between equal ones, the one in the first directory of the load path.
fn drop_ins(name: &UnitName, directories: &[String]) -> Vec<String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for kind in drop_in_directories(name) {
        for directory in directories {
            let directory = join(directory, &kind);
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                let Ok(file) = entry.file_name().into_string() else {
                    continue;
                };
                if file.ends_with(".conf") {
                    found
                        .entry(file.clone())
                        .or_insert_with(|| join(&directory, &file));
                }
            }
        }
    }
    found.into_values().collect()
}

/// Names of drop-in directories, the most specific first.
fn drop_in_directories(name: &UnitName) -> Vec<String> {
    let mut kinds = vec![format!("{}.d", name.full)];
    let at = if name.instance.is_some() { "@" } else { "" };
    if name.instance.is_some() {
        kinds.push(format!("{}@{SUFFIX}.d", name.prefix));
    }
    let mut prefix = name.prefix.trim_end_matches('-');
    while let Some(dash) = prefix.rfind('-') {
        prefix = &prefix[..dash];
        kinds.push(format!("{prefix}-{at}{SUFFIX}.d"));
        if !at.is_empty() {
            kinds.push(format!("{prefix}-{SUFFIX}.d"));
        }
        prefix = prefix.trim_end_matches('-');
    }
    kinds.push("service.d".to_owned());
    kinds
}

fn join(directory: &str, file: &str) -> String {
    match directory {
        "." => file.to_owned(),
        directory => format!("{}/{file}", directory.trim_end_matches('/')),
    }
}

fn read_file(path: &str) -> Result<String, String> {
    read_limited(open_regular(path)?.0)
}

/// Opens a regular file. Opening a FIFO would wait for its writer, and reading a device may have side effects.
fn open_regular(path: &str) -> Result<(fs::File, fs::Metadata), String> {
    let opened = fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        // open(2) reports a socket this way.
        Some(libc::ENXIO) => "it is not a regular file".to_owned(),
        _ => error.to_string(),
    })?;
    let meta = file.metadata().map_err(|error| error.to_string())?;
    let kind = meta.file_type();
    if kind.is_file() {
        return Ok((file, meta));
    }
    Err(if kind.is_dir() {
        "it is a directory"
    } else if kind.is_fifo() {
        "it is a FIFO, not a regular file"
    } else if kind.is_char_device() || kind.is_block_device() {
        "it is a device, not a regular file"
    } else {
        "it is not a regular file"
    }
    .to_owned())
}

fn read_limited(from: impl std::io::Read) -> Result<String, String> {
    let mut bytes = Vec::new();
    from.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err("it is too large for a unit".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

/// Reads a file of variables. A file that is not world-readable is not copied, because the output may be.
pub(super) fn environment_file(path: &str) -> EnvironmentFile {
    const EVERYBODY_READS: u32 = 0o004;
    if fs::metadata(path).is_err() {
        return EnvironmentFile::Missing;
    }
    match open_regular(path) {
        Ok((file, meta)) if meta.permissions().mode() & EVERYBODY_READS != 0 => {
            read_limited(file).map_or(EnvironmentFile::Private, EnvironmentFile::Text)
        }
        Ok(_) | Err(_) => EnvironmentFile::Private,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drop_in_directories_are_systemds() {
        assert_eq!(
            drop_in_directories(&UnitName::new("a-b-c")),
            [
                "a-b-c.service.d",
                "a-b-.service.d",
                "a-.service.d",
                "service.d"
            ]
        );
        assert_eq!(
            drop_in_directories(&UnitName::new("a@b")),
            ["a@b.service.d", "a@.service.d", "service.d"]
        );
    }

    #[test]
    fn a_path_includes_its_drop_ins_and_its_template() {
        let dir = std::env::temp_dir().join(format!("supervisord-import-{}", std::process::id()));
        let write = |name: &str, text: &str| {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("directory");
            fs::write(&path, text).expect("written");
        };
        write("w@.service", "[Service]\nExecStart=/bin/a %i\n");
        write("w@.service.d/20.conf", "[Service]\nNice=1\n");
        write("w@1.service.d/10.conf", "[Service]\nNice=2\n");
        write("w@1.service.d/20.conf", "[Service]\nNice=3\n");
        write("w@1.service.d/no.txt", "nonsense");
        let read = |name: &str| find_unit(&dir.join(name).display().to_string(), "");
        let values = |unit: SystemdUnit| -> Vec<String> {
            unit.assignments.into_iter().map(|one| one.value).collect()
        };
        assert_eq!(
            read("w@1.service").map(values),
            Ok(vec!["/bin/a %i".into(), "2".into(), "3".into()])
        );
        assert_eq!(
            read("w@2.service").map(values),
            Ok(vec!["/bin/a %i".into(), "1".into()])
        );
        assert!(read("w@.service").is_err_and(|why| why.contains("name an instance")));
        assert!(read("no.service").is_err_and(|why| why.ends_with("no such file")));
        assert!(
            read("x.timer").is_err_and(|why| why.ends_with("only service units can be imported"))
        );
        std::os::unix::fs::symlink("/dev/null", dir.join("m.service")).expect("link");
        assert!(read("m.service").is_err_and(|why| why.ends_with("the unit is masked")));
        write("private", "A=1");
        fs::set_permissions(dir.join("private"), PermissionsExt::from_mode(0o600)).expect("mode");
        let private = dir.join("private").display().to_string();
        assert_eq!(environment_file(&private), EnvironmentFile::Private);
        assert_eq!(environment_file("/no/such"), EnvironmentFile::Missing);
        fs::remove_dir_all(dir).expect("cleaned");
    }
}
