//! Edits of programs.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::{DIFF_CONTEXT, TextDiff, conflict, digest_of, plan_value, reply, unified};
use super::jobs::{ConfigDocuments, EditorJobs};
use super::{ConfigEditor, blocking, failure_fault, load_fault};
use crate::api::{Caller, Fault, FaultCode, ProgramChange, ProgramEdit, Reply};
use crate::config::diff::GroupAction;
use crate::config::edit::{
    ConfigTexts, EditError, KeyEdit, LineDiff, NewProgramPlace, TextEdit, masked_diff, origin_of,
    place_of_new, program_of,
};
use crate::config::source::RemoteText;
use crate::control::{ConfigAnswer, ControlHandle, UpdateSteps};
use crate::domain::GroupName;
use crate::source::snapshot::md5_of;
use crate::sys::{self, GuardedFileError};

/// Maximum size of a configuration file that is edited, in bytes.
const FILE_BYTES_MAX: usize = 8 << 20;
/// The mode of a new configuration file.
const NEW_FILE_MODE: u32 = 0o644;

/// A changed text.
struct ChangedText {
    name: String,
    /// `None`: the text of the server.
    path: Option<PathBuf>,
    /// Empty: the file does not exist yet.
    old: String,
    new: String,
    /// Without secrets.
    diff: LineDiff,
    /// The file is removed, because nothing is left in it.
    is_removed: bool,
}

/// An edit that is checked and not written yet.
struct PreparedEdit {
    changes: Vec<ChangedText>,
    /// The groups that the edit changes.
    groups: Vec<GroupName>,
    /// The answer.
    answer: Value,
}

impl ConfigEditor {
    pub(super) async fn list_programs(&self) -> Result<Reply, Fault> {
        let (jobs, remote) = (self.jobs.clone(), self.newest_remote().await?);
        blocking(move || {
            let read = (jobs.read)(remote).map_err(load_fault)?;
            let md5s: Vec<String> = read.documents.iter().map(|it| md5_of(&it.text)).collect();
            let programs = read.places.program_names().into_iter();
            let programs = programs.filter_map(|name| {
                let origin = origin_of(&read.places, &name)?;
                let first = origin.places.first()?;
                let md5 = md5s.get(first.file)?;
                let (file, line) = (&first.place.file, first.place.line);
                Some(json!({"name": name, "file": file, "line": line, "md5": md5}))
            });
            Ok(reply(&json!({"programs": programs.collect::<Vec<_>>()})))
        })
        .await
    }

    pub(super) async fn get_program(&self, name: String) -> Result<Reply, Fault> {
        let (jobs, remote) = (self.jobs.clone(), self.newest_remote().await?);
        blocking(move || {
            let read = (jobs.read)(remote).map_err(load_fault)?;
            let texts = texts_of(&read)?;
            let text = texts
                .section_text(&name)
                .map_err(|error| edit_fault(&error))?;
            let index = index_of(&read, &name)?;
            let document = &read.documents[index];
            let copy = texts.suggest_copy(&name);
            Ok(reply(&json!({
                "name": name,
                "text": text,
                "md5": md5_of(&document.text),
                "file": document.name,
                "copy": copy,
            })))
        })
        .await
    }

    pub(super) async fn edit_program(
        &self,
        control: &ControlHandle,
        caller: &Caller,
        edit: ProgramEdit,
    ) -> Result<ConfigAnswer, Fault> {
        let _changing = self.changing.lock().await;
        let (jobs, remote) = (self.jobs.clone(), self.newest_remote().await?);
        let dry_run = edit.dry_run;
        let prepared = blocking(move || prepare(&jobs, remote, &edit)).await?;
        if !dry_run {
            // An item is applied when the server reports the change.
            let is_local = prepared.changes.iter().all(|change| change.path.is_some());
            self.write(caller, prepared.changes).await?;
            if is_local {
                apply(control, caller, &prepared.groups).await?;
            }
        }
        Ok(ConfigAnswer {
            digest: digest_of(&prepared.answer),
            reply: reply(&prepared.answer),
        })
    }

    /// Writes the texts. The text of the server comes first, because another writer may win there.
    async fn write(&self, caller: &Caller, mut changes: Vec<ChangedText>) -> Result<(), Fault> {
        changes.sort_by_key(|change| change.path.is_some());
        for change in changes {
            let ChangedText {
                path,
                old,
                new,
                is_removed,
                ..
            } = change;
            match path {
                None => self.publish(caller, &old, new).await?,
                Some(path) => {
                    blocking(move || {
                        let written = match is_removed {
                            true => remove_file(&path, &old, &new),
                            false => write_file(&path, &old, &new),
                        };
                        written.map_err(|error| file_fault(&path, &error))
                    })
                    .await?;
                }
            }
        }
        Ok(())
    }

    /// Writes the text of the server.
    pub(super) async fn publish(
        &self,
        caller: &Caller,
        old: &str,
        new: String,
    ) -> Result<(), Fault> {
        let wanted = md5_of(&new);
        let published = self
            .source
            .publish(new, md5_of(old), caller.identity())
            .await;
        let now = published.map_err(|failure| failure_fault(&failure))?;
        if now.md5 != wanted {
            return Err(conflict(&now.server, &now.md5, &now.text));
        }
        Ok(())
    }
}

/// Applies local files: updates the groups that an edit changed. Who may configure needs no other permission for
/// it: a file that is written and not applied would be half an edit.
async fn apply(
    control: &ControlHandle,
    caller: &Caller,
    groups: &[GroupName],
) -> Result<(), Fault> {
    if groups.is_empty() {
        return Ok(());
    }
    let caller = Caller {
        access: None,
        ..caller.clone()
    };
    let steps = UpdateSteps {
        control,
        caller: &caller,
    };
    let names: Vec<String> = groups.iter().map(GroupName::to_string).collect();
    steps.update_groups(&names, groups).await.map(drop)
}

/// Makes and checks an edit.
fn prepare(
    jobs: &EditorJobs,
    remote: Option<Arc<RemoteText>>,
    edit: &ProgramEdit,
) -> Result<PreparedEdit, Fault> {
    let read = (jobs.read)(remote.clone()).map_err(load_fault)?;
    let texts = texts_of(&read)?;
    check_version(&read, &texts, edit)?;
    let (name, changes) = changed_texts(&read, &texts, edit)?;
    check_writable(&read, &name, &changes)?;
    let mut remote = remote;
    let mut files = Vec::new();
    for change in &changes {
        match (&change.path, &remote) {
            (Some(path), _) => files.push((path.display().to_string(), change.new.clone())),
            (None, Some(known)) => {
                let settings = Arc::clone(&known.settings);
                let (md5, server) = (md5_of(&change.new), known.server.clone());
                let text = RemoteText::new(settings, &change.new, md5, server);
                remote = Some(Arc::new(text));
            }
            (None, None) => {}
        }
    }
    let plan = (jobs.check)(remote, files, &read.groups).map_err(load_fault)?;
    let is_touched = |action: GroupAction| action != GroupAction::Nothing;
    let touched = plan.groups.iter().filter(|group| is_touched(group.action));
    let groups = touched.map(|group| group.name.clone()).collect();
    let diff = unified(changes.iter().map(|change| TextDiff {
        name: &change.name,
        diff: &change.diff,
        is_removed: change.is_removed,
    }));
    let (mut text, mut md5, mut file) = (String::new(), String::new(), String::new());
    let new_texts = new_texts(&read, &changes);
    let named = new_texts
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()));
    let after = ConfigTexts::new(named).map_err(|error| edit_fault(&error))?;
    if let Ok(section) = after.section_text(&name) {
        text = section;
        let has_it = |(_, text): &&(String, String)| {
            let one = ConfigTexts::new([("", text.as_str())]);
            one.is_ok_and(|one| one.section_text(&name).is_ok())
        };
        if let Some((name, whole)) = new_texts.iter().find(has_it) {
            md5 = md5_of(whole);
            file.clone_from(name);
        }
    } else if let Some(change) = changes.first() {
        md5 = md5_of(&change.new);
        file.clone_from(&change.name);
    }
    let counts = changes.iter().map(|change| change.diff.counts());
    let (removed, added) = counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let answer = json!({
        "name": name,
        "text": text,
        "md5": md5,
        "file": file,
        "changed": !changes.is_empty(),
        "remote": changes.iter().any(|change| change.path.is_none()),
        "lines_added": added,
        "lines_removed": removed,
        "diff": diff,
        "plan": plan_value(&plan)?,
    });
    Ok(PreparedEdit {
        changes,
        groups,
        answer,
    })
}

/// Refuses a change of the output of a command.
fn check_writable(
    read: &ConfigDocuments,
    name: &str,
    changes: &[ChangedText],
) -> Result<(), Fault> {
    let mut changes = changes.iter();
    match changes.find(|change| change.path.is_none()) {
        Some(change) if !read.is_remote_writable => Err(FaultCode::Failed.of(format!(
            "{name} comes from {}, the output of a command (change it where the command reads it)",
            change.name
        ))),
        _ => Ok(()),
    }
}

/// All texts after the edit, with their names.
fn new_texts(read: &ConfigDocuments, changes: &[ChangedText]) -> Vec<(String, String)> {
    let changed = |name: &str| changes.iter().find(|change| change.name == name);
    let known = read.documents.iter().map(|document| {
        let text = changed(&document.name).map_or(&document.text, |change| &change.new);
        (document.name.clone(), text.clone())
    });
    let is_new = |change: &&ChangedText| {
        let mut names = read.documents.iter().map(|document| &document.name);
        !names.any(|name| *name == change.name)
    };
    let new = changes.iter().filter(is_new);
    known
        .chain(new.map(|change| (change.name.clone(), change.new.clone())))
        .collect()
}

fn texts_of(read: &ConfigDocuments) -> Result<ConfigTexts<'_>, Fault> {
    let documents = read.documents.iter();
    let texts = ConfigTexts::new(documents.map(|it| (it.name.as_str(), it.text.as_str())));
    texts.map_err(|error| edit_fault(&error))
}

/// The index of the text that has the section of a program.
fn index_of(read: &ConfigDocuments, name: &str) -> Result<usize, Fault> {
    let origin = origin_of(&read.places, name);
    let first = origin.and_then(|origin| origin.places.first().map(|place| place.file));
    first
        .filter(|index| *index < read.documents.len())
        .ok_or_else(|| FaultCode::BadName.of(name))
}

/// Refuses an edit of a text that has another version than the caller has seen.
fn check_version(
    read: &ConfigDocuments,
    texts: &ConfigTexts<'_>,
    edit: &ProgramEdit,
) -> Result<(), Fault> {
    if edit.md5.is_empty() {
        return Ok(());
    }
    let (index, section) = match &edit.change {
        ProgramChange::Add(text) => {
            let name = program_of(text).map_err(|error| edit_fault(&error))?;
            match place_of_new(&read.places, &name, read.remote_index()) {
                NewProgramPlace::Append(index) => (index, String::new()),
                NewProgramPlace::NewFile(_) => return Ok(()),
            }
        }
        _ => {
            let section = texts.section_text(&edit.name);
            let section = section.map_err(|error| edit_fault(&error))?;
            (index_of(read, &edit.name)?, section)
        }
    };
    let md5 = md5_of(&read.documents[index].text);
    match md5 == edit.md5.to_ascii_lowercase() {
        true => Ok(()),
        false => Err(conflict(&read.documents[index].name, &md5, &section)),
    }
}

/// The texts that an edit changes, and the name of the program after it.
fn changed_texts(
    read: &ConfigDocuments,
    texts: &ConfigTexts<'_>,
    edit: &ProgramEdit,
) -> Result<(String, Vec<ChangedText>), Fault> {
    let name = edit.name.as_str();
    let fault = |error: EditError| edit_fault(&error);
    let made = match &edit.change {
        ProgramChange::Add(text) => return added(read, texts, name, text),
        ProgramChange::Copy(new_name) => {
            let new_name = match new_name.as_str() {
                "" => texts.suggest_copy(name),
                new_name => new_name.to_owned(),
            };
            let text = texts.copy_text(name, &new_name).map_err(fault)?;
            return added(read, texts, &new_name, &text);
        }
        ProgramChange::Replace(text) => texts.replace(name, text).map_err(fault)?,
        ProgramChange::Remove => texts.remove(name).map_err(fault)?,
        ProgramChange::Set(keys) => {
            let edits: Vec<KeyEdit<'_>> = keys
                .iter()
                .map(|(key, value)| KeyEdit {
                    key,
                    value: (!value.is_empty()).then_some(value),
                })
                .collect();
            texts.set_keys(name, &edits).map_err(fault)?
        }
    };
    Ok(of_edit(read, made))
}

/// Adds a section where new programs belong.
fn added(
    read: &ConfigDocuments,
    texts: &ConfigTexts<'_>,
    name: &str,
    text: &str,
) -> Result<(String, Vec<ChangedText>), Fault> {
    let fault = |error: EditError| edit_fault(&error);
    let named = program_of(text).map_err(fault)?;
    if !name.is_empty() && named != name {
        let text = format!("the header of the section is [program:{named}], not [program:{name}]");
        return Err(FaultCode::IncorrectParameters.of(text));
    }
    // The text is checked in the main file, wherever it will be.
    let trial = texts.add(0, text).map_err(fault)?;
    match place_of_new(&read.places, &trial.program, read.remote_index()) {
        NewProgramPlace::Append(0) => Ok(of_edit(read, trial)),
        NewProgramPlace::Append(index) => Ok(of_edit(read, texts.add(index, text).map_err(fault)?)),
        NewProgramPlace::NewFile(path) => {
            let mut new = text.trim_end().to_owned();
            new.push('\n');
            let change = ChangedText {
                diff: masked_diff("", &new, DIFF_CONTEXT),
                name: path.clone(),
                path: Some(PathBuf::from(path)),
                old: String::new(),
                new,
                is_removed: false,
            };
            Ok((trial.program, vec![change]))
        }
    }
}

fn of_edit(read: &ConfigDocuments, made: TextEdit) -> (String, Vec<ChangedText>) {
    let changes = made.files.into_iter().map(|file| {
        let document = &read.documents[file.file];
        ChangedText {
            name: document.name.clone(),
            path: document.path.clone(),
            old: document.text.clone(),
            diff: masked_diff(&document.text, &file.text, DIFF_CONTEXT),
            // The main file is always needed. Another one with a comment belongs to somebody.
            is_removed: file.file > 0 && document.path.is_some() && file.text.trim().is_empty(),
            new: file.text,
        }
    });
    (made.program, changes.collect())
}

/// Writes a file if it still has the old text. An empty old text: a new file.
fn write_file(path: &std::path::Path, old: &str, new: &str) -> Result<(), GuardedFileError> {
    match old.is_empty() && !path.exists() {
        true => sys::create_file(path, NEW_FILE_MODE, new.as_bytes()),
        false => {
            let is_old = |bytes: &[u8]| bytes == old.as_bytes();
            sys::replace_file_if(path, FILE_BYTES_MAX, is_old, new.as_bytes())
        }
    }
}

/// Removes a file if it still has the old text. A link stays, and its target gets the new text, which is blank.
fn remove_file(path: &std::path::Path, old: &str, new: &str) -> Result<(), GuardedFileError> {
    let is_old = |bytes: &[u8]| bytes == old.as_bytes();
    match sys::remove_file_if(path, FILE_BYTES_MAX, is_old) {
        Err(GuardedFileError::NotRegular(_)) => write_file(path, old, new),
        done => done,
    }
}

fn file_fault(path: &std::path::Path, error: &GuardedFileError) -> Fault {
    let code = match error {
        GuardedFileError::Conflict(_) | GuardedFileError::Exists => FaultCode::Conflict,
        _ => FaultCode::Failed,
    };
    code.of(format!("{}: {error}", path.display()))
}

fn edit_fault(error: &EditError) -> Fault {
    let code = match error {
        EditError::NotFound(name) => return FaultCode::BadName.of(name.as_str()),
        EditError::Exists { .. } => FaultCode::Conflict,
        EditError::SectionText { .. }
        | EditError::InvalidName { .. }
        | EditError::InvalidKey(_)
        | EditError::InvalidValue { .. } => FaultCode::CantReread,
        EditError::Needed { .. }
        | EditError::Entangled { .. }
        | EditError::MixedLineEnds(_)
        | EditError::NoFile(_) => FaultCode::Failed,
    };
    code.of(error.to_string())
}
