//! The settings of the hub: Cesi's TOML file as it is, and our table `[hub]`. Each key is a row of a table of keys, from
//! which parsing, hints and the manual derive.

mod hub_table;
mod inventory;
mod load;
mod manual;
mod network;
mod node_table;
mod problem;
mod table;

pub(in crate::hub) use hub_table::check_address;
pub use hub_table::{CesiSettings, HubSettings};
pub(in crate::hub) use inventory::run_inventory;
pub use load::{Settings, load};
pub(in crate::hub) use manual::key_entries;
pub use network::Network;
pub use problem::SettingsProblem;
