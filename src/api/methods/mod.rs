//! METHODS: the table of all methods of the XML-RPC interface. A method that is not in the table cannot be called.
//!
//! Dispatch, argument checks, permissions, `system.listMethods`, `methodHelp` and `methodSignature` derive from the
//! table. Each namespace has its rows in a file of its own; `params` has what rows share.
//!
//! # Source
//! Supervisor manual, "XML-RPC API Documentation".

mod configuration;
mod inspection;
mod params;
mod supervisor;
mod supervisord;
mod system;
mod twiddler;

use super::method::Method;

/// The tables of the namespaces. `system.listMethods` sorts the names; the manual pages have this order.
const NAMESPACES: [&[Method]; 6] = [
    supervisor::METHODS,
    supervisord::METHODS,
    inspection::METHODS,
    configuration::METHODS,
    twiddler::METHODS,
    system::METHODS,
];

/// The number of all methods.
const COUNT: usize = {
    let (mut count, mut at) = (0, 0);
    while at < NAMESPACES.len() {
        count += NAMESPACES[at].len();
        at += 1;
    }
    count
};

/// All methods.
pub const METHODS: &[Method] = &{
    let mut all = [supervisor::METHODS[0]; COUNT];
    let (mut filled, mut at) = (0, 0);
    while at < NAMESPACES.len() {
        let mut row = 0;
        while row < NAMESPACES[at].len() {
            all[filled] = NAMESPACES[at][row];
            filled += 1;
            row += 1;
        }
        at += 1;
    }
    all
};
