//! Reads the settings file, and the files with more nodes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::hub_table::{CESI_KEYS, CesiSettings, HUB_KEYS, HubSettings};
use super::node_table::{NODE_KEYS, NodeTable};
use super::problem::SettingsProblem;
use super::table::{SettingsFile, unknown};
use crate::hub::node::NodeConfig;
use crate::sys;

/// Maximum size of a file, in bytes.
pub(super) const FILE_BYTES_MAX: usize = 16 << 20;
/// Maximum number of nodes.
pub(super) const NODES_MAX: usize = 10_000;
/// Maximum number of files in the directory `nodes_file`.
const FILES_MAX: usize = 1000;
/// The tables of a file.
const TABLES: [&str; 3] = ["cesi", "hub", "nodes"];

/// All settings.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// `[cesi]`.
    pub cesi: CesiSettings,
    /// `[hub]`.
    pub hub: HubSettings,
    /// `[[nodes]]` of all files.
    pub nodes: Vec<NodeConfig>,
    /// What is strange in the files, but no reason to refuse them.
    pub warnings: Vec<SettingsProblem>,
}

/// Reads all settings.
///
/// # Errors
/// All problems that make them unusable.
pub fn load(path: &Path) -> Result<Settings, Vec<SettingsProblem>> {
    let mut loader = Loader::default();
    loader.read_file(path, true);
    if let Some(more) = loader.settings.hub.nodes_file.clone() {
        let directory = path.parent().unwrap_or(Path::new(""));
        loader.read_more(&directory.join(more));
    }
    match loader.errors.is_empty() {
        true => Ok(loader.settings),
        false => Err(loader.errors),
    }
}

#[derive(Default)]
struct Loader {
    settings: Settings,
    errors: Vec<SettingsProblem>,
    /// The places of the names of nodes.
    named: HashMap<String, String>,
}

impl Loader {
    /// Reads one file. `is_main`: it may have all tables.
    fn read_file(&mut self, path: &Path, is_main: bool) {
        let name = path.display().to_string();
        let text = match sys::read_small_file(path, FILE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) => {
                let error = SettingsProblem::of_file(&name, error.to_string());
                return self.errors.push(error);
            }
        };
        let Ok(text) = String::from_utf8(text) else {
            let error = SettingsProblem::of_file(&name, "the file is not UTF-8");
            return self.errors.push(error);
        };
        let mut file = SettingsFile::new(&name, &text);
        let tables = file.parse();
        self.read_tables(&mut file, &tables, path, is_main);
        self.errors.append(&mut file.errors);
        self.settings.warnings.append(&mut file.warnings);
    }

    fn read_tables<'t>(
        &mut self,
        file: &mut SettingsFile<'t>,
        tables: &DeTable<'t>,
        path: &Path,
        is_main: bool,
    ) {
        for (name, value) in tables {
            match name.get_ref().as_ref() {
                "cesi" if is_main => {
                    if let Some(table) = file.table("[cesi]", value) {
                        file.read("[cesi]", table, CESI_KEYS, &mut self.settings.cesi);
                    }
                }
                "hub" if is_main => {
                    if let Some(table) = file.table("[hub]", value) {
                        file.read("[hub]", table, HUB_KEYS, &mut self.settings.hub);
                    }
                }
                "nodes" => self.read_nodes(file, value, path),
                word => {
                    let known = TABLES.iter().copied();
                    let known = known.filter(|table| is_main || *table == "nodes");
                    let text = unknown("table", word, "the file", known);
                    file.warning(name.span(), text);
                }
            }
        }
    }

    fn read_nodes<'t>(
        &mut self,
        file: &mut SettingsFile<'t>,
        value: &Spanned<DeValue<'t>>,
        path: &Path,
    ) {
        let Some(nodes) = value.get_ref().as_array() else {
            return file.error(value.span(), "nodes must be a list of tables: [[nodes]]");
        };
        let directory = path.parent().unwrap_or(Path::new(""));
        for node in nodes {
            let Some(table) = file.table("[[nodes]]", node) else {
                continue;
            };
            let before = file.errors.len();
            let mut read = NodeTable::default();
            file.read("[[nodes]]", table, NODE_KEYS, &mut read);
            if file.errors.len() > before {
                continue;
            }
            match read.into_config(directory) {
                Ok(config) => self.add_node(file, node, config),
                Err(text) => file.error(node.span(), text),
            }
        }
    }

    fn add_node(
        &mut self,
        file: &mut SettingsFile<'_>,
        node: &Spanned<DeValue<'_>>,
        config: NodeConfig,
    ) {
        let here = SettingsProblem::at(file.name, file.text, node.span(), "");
        let line = here.place.map_or(0, |(line, _)| line);
        if let Some(other) = self.named.get(&config.name) {
            let text = format!("name: another node has the name {} ({other})", config.name);
            return file.error(node.span(), text);
        }
        if self.settings.nodes.len() >= NODES_MAX {
            return file.error(
                node.span(),
                format!("there are more than {NODES_MAX} nodes"),
            );
        }
        self.named
            .insert(config.name.clone(), format!("{}:{line}", file.name));
        self.settings.nodes.push(config);
    }

    /// Reads the file `nodes_file`, or the files of this directory.
    fn read_more(&mut self, path: &Path) {
        if !path.is_dir() {
            return self.read_file(path, false);
        }
        let shown = path.display().to_string();
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => {
                let error = SettingsProblem::of_file(&shown, error.to_string());
                return self.errors.push(error);
            }
        };
        let is_toml = |path: &PathBuf| path.extension().is_some_and(|end| end == "toml");
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut paths: Vec<PathBuf> = paths.filter(is_toml).take(FILES_MAX + 1).collect();
        if paths.len() > FILES_MAX {
            let text = format!("it has more than {FILES_MAX} files");
            return self.errors.push(SettingsProblem::of_file(&shown, text));
        }
        paths.sort_unstable();
        for path in paths {
            self.read_file(&path, false);
        }
    }
}

/// Parses nodes from the text of `[[nodes]]` that an inventory was turned into.
pub(super) fn nodes_of(
    name: &str,
    text: &str,
    directory: &Path,
) -> Result<Vec<NodeConfig>, Vec<SettingsProblem>> {
    let mut loader = Loader::default();
    let mut file = SettingsFile::new(name, text);
    let tables = file.parse();
    loader.read_tables(&mut file, &tables, &directory.join("inventory"), false);
    match file.errors.is_empty() {
        true => Ok(loader.settings.nodes),
        false => Err(file.errors),
    }
}
